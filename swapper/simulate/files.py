"""Workloads as files: JSON lines, made to be written by hand as well as by programs.

The first line describes the host, each other one a request:

    {"models": {"devstral": {"load": 12, "stop": 1.5}, "asr": {"load": 4, "gpu_memory": "30%"}}, "gpus": {"0": "pack"}}
    {"at": 12.5, "model": "devstral", "seconds": 3.2}
    {"client": "alice", "model": "devstral", "seconds": 3.2, "think": 0.5, "times": 100}

`at` is when a request arrives, and `seconds` how long the engine works on it. The requests of a client follow one
another: each is sent `think` seconds (0) after the answer to the one before, and not before `at` (0); `times` repeats
the line. Lines stand in any order, but for those of one client. Blank lines, and those that begin with #, say nothing.

Of a model, `load` has to be said: seconds until it is ready. `stop` (0) is how long it takes to be gone. Either may be
a list: what its starts take, one after the other and over and over; `lag` (0) is the part of each that systemd's own
clock, by which quanta are reckoned, does not count. `speeds` says how fast it gets on with each request where there
are one, two, … at once, such as [1, 0.8, 0.7]; the last is for all larger numbers, and without it all get on as fast as
one alone. `gpu` (0; a list for several, an empty one for none), `gpu_memory` (all of it; a share in percent),
`concurrency`, `pinned`, `ttl`, `queue`, `queue_timeout`, `load_timeout` and `drain_timeout` are those of the
configuration, with times as numbers of seconds. A GPU that is not in `gpus` is exclusive. `groups` are those of the
configuration too, such as `"groups": {"heavy": {"never_together": ["devstral", "asr"]}}`.
"""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from swapper.config import Rule, Share
from swapper.config.quantities import memory
from swapper.config.settings import Location
from swapper.core.model import WHOLE, Demand, Gpu, ModelSpec, Policy
from swapper.simulate.workload import Ask, Model, Workload, WorkloadError

_TIMES = frozenset({"ttl", "load_timeout", "drain_timeout", "queue_timeout"})
_COUNTS = {"concurrency": 1, "queue": 0}
_MODEL = frozenset({"load", "stop", "lag", "speeds", "gpu", "gpu_memory", "pinned", *_TIMES, *_COUNTS})
_REQUEST = frozenset({"at", "model", "seconds"})
_CLIENT = frozenset({"client", "model", "seconds", "at", "think", "times"})
_EXAMPLE = '{"models": {"devstral": {"load": 12, "stop": 1.5}}}'

type _Refuse = Callable[[str, str], WorkloadError]


def read(path: Path) -> Workload:
    """Read a workload from a file.

    Raises:
        WorkloadError: It cannot be read, or a line is wrong: the first one that is.
    """
    with opened(path) as lines:
        return parse(lines, str(path))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Iterable[str]]:
    """The lines of a file.

    Raises:
        WorkloadError: It cannot be read, or is not text.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            yield lines
    except OSError as error:
        hint = "Name a file, or synthetic:NAME."
        raise WorkloadError(f"{path}: {error.strerror}", hint=hint, code="workload_unreadable") from error
    except UnicodeDecodeError as error:
        raise WorkloadError(f"{path} is not text in UTF-8", hint="JSON lines are expected.") from error


def parse(lines: Iterable[str], name: str) -> Workload:
    """Read a workload from its lines; `name` stands in messages and reports.

    Raises:
        WorkloadError: A line is wrong: the first one that is.
    """
    numbered = _objects(lines, name)
    first = next(numbered, None)
    if first is None:
        raise WorkloadError("there is nothing in it", hint=f"Begin with {_EXAMPLE}", where=Location(name, 0))
    where, head = first
    models, gpus = _head(head, _refuser(where))
    known = {model.spec.name for model in models}
    asks: list[Ask] = []
    clients: dict[str, list[Ask]] = {}
    for at, request in numbered:
        refuse = _refuser(at)
        ask = _ask(request, known, refuse)
        if "client" not in request:
            asks.append(ask)
            continue
        client = request["client"]
        if not isinstance(client, str) or not client:
            raise refuse("'client' has to be a name", 'Such as "client": "alice".')
        clients.setdefault(client, []).extend([ask] * _count(request, "times", 1, refuse))
    if not asks and not clients:
        raise WorkloadError("it has no requests", hint='Add lines such as {"at": 0, "model": "…", "seconds": 1}.',
                            where=Location(name, 0))  # fmt: skip
    asks.sort(key=lambda ask: ask.at)
    return Workload(name, models, gpus, tuple(asks), tuple(map(tuple, clients.values())))


def write(workload: Workload) -> Iterator[str]:
    """The lines of a file that `parse` makes the same requests of."""
    gpus = {str(gpu.index): gpu.policy.value for gpu in workload.gpus if gpu.index >= 0}
    sections = {"models": dict(map(_described, workload.models)), "gpus": gpus, "groups": _grouped(workload)}
    yield json.dumps({name: section for name, section in sections.items() if section})
    for ask in workload.asks:
        yield json.dumps({"at": ask.at, "model": ask.model, "seconds": ask.seconds})
    for number, client in enumerate(workload.clients, 1):
        for ask in client:
            yield json.dumps({"client": f"client-{number}", **ask._asdict()})


def _described(model: Model) -> tuple[str, dict[str, object]]:
    spec, usual = model.spec, ModelSpec("")
    demands = [demand for demand in spec.demands if demand.real]
    said: dict[str, object] = {"load": model.loads or model.load, "stop": model.stops or model.stop,
                               "gpu": [demand.gpu for demand in demands]}  # fmt: skip
    if model.lag:
        said["lag"] = model.lag
    if model.speeds:
        said["speeds"] = model.speeds
    if demands and demands[0].parts != WHOLE:
        said["gpu_memory"] = f"{demands[0].parts * 100 / WHOLE:g}%"
    keys = sorted(_TIMES | {"pinned", *_COUNTS})
    return spec.name, said | {key: value for key in keys if (value := getattr(spec, key)) != getattr(usual, key)}


def _grouped(workload: Workload) -> dict[str, dict[str, list[str]]]:
    specs = [model.spec for model in workload.models]
    never = {
        gpu.group: {Rule.NEVER.value: [s.name for s in specs if any(d.gpu == gpu.index for d in s.demands)]}
        for gpu in workload.gpus
        if gpu.group
    }
    together = dict.fromkeys(spec.together for spec in specs if spec.together)
    return never | {name: {Rule.ALWAYS.value: [s.name for s in specs if s.together == name]} for name in together}


def _objects(lines: Iterable[str], name: str) -> Iterator[tuple[Location, Mapping[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not (text := line.strip()) or text.startswith("#"):
            continue
        where = Location(name, number)
        try:
            found = json.loads(text)
        except ValueError as error:
            hint = "Every line is a JSON object of its own."
            raise WorkloadError(f"this is not JSON: {error}", hint=hint, where=where) from error
        if not isinstance(found, dict):
            raise WorkloadError("this is not a JSON object", hint=f"Such as {_EXAMPLE}", where=where)
        yield where, found


def _refuser(where: Location) -> _Refuse:
    return lambda message, hint: WorkloadError(message, hint=hint, where=where)


def _head(head: Mapping[str, Any], refuse: _Refuse) -> tuple[tuple[Model, ...], tuple[Gpu, ...]]:
    models, gpus = head.get("models"), head.get("gpus", {})
    if not isinstance(models, dict) or not models:
        raise refuse("the first line does not describe models", f"Begin with {_EXAMPLE}")
    _refuse_others(head, frozenset({"models", "gpus", "groups"}), "the first line", refuse)
    policies = [policy.value for policy in Policy]
    if not isinstance(gpus, dict) or not all(key.isdecimal() and word in policies for key, word in gpus.items()):
        raise refuse("'gpus' has to name the policy of each GPU", f'Such as {{"0": "{policies[-1]}"}}.')
    return _group(
        head.get("groups", {}),
        [_model(name, said, refuse) for name, said in models.items()],
        [Gpu(int(index), Policy(word)) for index, word in gpus.items()],
        refuse,
    )


def _group(
    groups: object, models: list[Model], gpus: list[Gpu], refuse: _Refuse
) -> tuple[tuple[Model, ...], tuple[Gpu, ...]]:
    """Models and GPUs with what groups make of them."""
    known = {model.spec.name: model.spec for model in models}
    rules = [rule.value for rule in Rule]
    for name, said in groups.items() if isinstance(groups, dict) else [("", None)]:
        rule, members = next(iter(said.items())) if isinstance(said, dict) and len(said) == 1 else ("", [])
        named = isinstance(members, list) and all(isinstance(member, str) and member in known for member in members)
        if rule not in rules or not named or len(set(members)) < 2 or len(set(members)) < len(members):
            raise refuse("'groups' has to name models by group and rule",
                         f'Such as "groups": {{"heavy": {{"{rules[0]}": ["a", "b"]}}}}.')  # fmt: skip
        place = Gpu(-1 - sum(gpu.index < 0 for gpu in gpus), group=name)
        if rule == Rule.NEVER:
            gpus.append(place)
        for member in members:
            spec = known[member]
            known[member] = (
                replace(spec, demands=(*spec.demands, Demand(place.index))) if rule == Rule.NEVER
                else replace(spec, together=name)
            )  # fmt: skip
    return tuple(replace(model, spec=known[model.spec.name]) for model in models), tuple(gpus)


def _model(name: str, said: object, refuse: _Refuse) -> Model:
    what = f"model {name!r}"
    if not isinstance(said, dict):
        raise refuse(f"{what} is not described by an object", f"Such as {_EXAMPLE}")
    _refuse_others(said, _MODEL, what, refuse)
    if "load" not in said:
        raise refuse(f"{what} lacks 'load'", "Say in how many seconds it is ready.")
    if not isinstance(said.get("pinned", False), bool):
        raise refuse(f"{what}: 'pinned' has to be true or false", "Leave it out for false.")
    limits: dict[str, Any] = {key: _seconds(said, key, 0.0, refuse) for key in _TIMES if said.get(key) is not None}
    limits |= {key: _count(said, key, least, refuse) for key, least in _COUNTS.items() if said.get(key) is not None}
    spec = ModelSpec(name, _demands(said, what, refuse), pinned=said.get("pinned", False), **limits)
    (load, loads), (stop, stops) = _spans(said, "load", None, refuse), _spans(said, "stop", 0.0, refuse)
    return Model(spec, load, stop, loads, stops, _seconds(said, "lag", 0.0, refuse), _speeds(said, what, refuse))


def _speeds(said: Mapping[str, Any], what: str, refuse: _Refuse) -> tuple[float, ...]:
    given = said.get("speeds", [])
    if not isinstance(given, list) or not all(type(part) in {int, float} and 0 < part < float("inf") for part in given):
        raise refuse(f"{what}: 'speeds' has to be a list of numbers above zero", 'Such as "speeds": [1, 0.8, 0.7].')
    return tuple(map(float, given))


def _demands(said: Mapping[str, Any], what: str, refuse: _Refuse) -> tuple[Demand, ...]:
    given = said.get("gpu", 0)
    gpus = given if isinstance(given, list) else [given]
    if not all(type(gpu) is int and gpu >= 0 for gpu in gpus) or len(set(gpus)) < len(gpus):
        raise refuse(f"{what}: 'gpu' has to be an index, or a list of indexes", 'Such as "gpu": 0 or "gpu": [0, 1].')
    try:
        share = memory(said["gpu_memory"]) if "gpu_memory" in said else Share(WHOLE)
    except (ValueError, AttributeError):
        share = None
    if not isinstance(share, Share):
        raise refuse(f"{what}: 'gpu_memory' has to be a share", 'Such as "gpu_memory": "30%".')
    return tuple(Demand(gpu, share.parts) for gpu in gpus)


def _ask(request: Mapping[str, Any], known: Collection[str], refuse: _Refuse) -> Ask:
    client = "client" in request
    _refuse_others(request, _CLIENT if client else _REQUEST, "a client's request" if client else "a request", refuse)
    model = request.get("model")
    if not isinstance(model, str) or model not in known:
        some = ", ".join(sorted(known)[:8]) + (", …" if len(known) > 8 else "")
        raise refuse(f"there is no model {model!r}", f"The first line describes {some}.")
    at = _seconds(request, "at", 0.0 if client else None, refuse)
    return Ask(at, model, _seconds(request, "seconds", None, refuse), _seconds(request, "think", 0.0, refuse))


def _seconds(said: Mapping[str, Any], key: str, otherwise: float | None, refuse: _Refuse) -> float:
    value = said.get(key, otherwise)
    if type(value) not in {int, float} or not 0 <= value < float("inf"):
        raise refuse(f"{key!r} has to be a number of seconds" + ("" if key in said else ", and is missing"),
                     f'Such as "{key}": 1.5.')  # fmt: skip
    return float(value)


def _spans(
    said: Mapping[str, Any], key: str, otherwise: float | None, refuse: _Refuse
) -> tuple[float, tuple[float, ...]]:
    """A number of seconds, or several: their median, and all of them."""
    given = said.get(key)
    if not isinstance(given, list) or not given:
        return _seconds(said, key, otherwise, refuse), ()
    spans = tuple(_seconds({key: span}, key, None, refuse) for span in given)
    return median(spans), spans


def _count(said: Mapping[str, Any], key: str, least: int, refuse: _Refuse) -> int:
    value = said.get(key, least)
    if type(value) is not int or value < least:
        raise refuse(f"{key!r} has to be a whole number of at least {least}", f'Such as "{key}": {least + 1}.')
    return value


def _refuse_others(said: Mapping[str, Any], keys: frozenset[str], what: str, refuse: _Refuse) -> None:
    for key in said:
        if key not in keys:
            raise refuse(f"{what} cannot have {key!r}", f"It may have {', '.join(sorted(keys))}.")
