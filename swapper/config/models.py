"""One model of the configuration."""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from swapper.config.nodes import Entry, Reader, Value
from swapper.config.quantities import duration, memory, size
from swapper.config.sections import Section
from swapper.config.settings import DRAIN_TIMEOUT, LOAD_TIMEOUT, Filters, Location, Model
from swapper.config.vocabulary import (
    CAPABILITIES,
    ENGINES,
    NEVER_BY_LLAMA,
    NOT_FILTERED,
    ON_SWAP,
    PRIORITIES,
    VARIABLES,
    Words,
)
from swapper.core.model import instance_name

NAME_BYTES = 64
"""Longest escaped name: a unix socket's path ends at 107 bytes (unix(7)), and the name is a part of it."""

_UNKNOWN = Words(weights="a file")
"""Of an engine that is not known: it is asked for everything."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WEIGHTS = " or ".join(f"{words.weights} ({engine})" for engine, words in ENGINES.items() if words.weights)
_HINTS = {"engine": " or ".join(f"engine: {engine}" for engine in ENGINES), "model": _WEIGHTS}


def read_model(reader: Reader, entry: Entry, models_dir: Path) -> Model | None:
    """The model at this key; None, with everything noted, where it is not clear what it is."""
    name = read_name(reader, entry.key, "a model's name")
    section = Section(reader, [entry.value], f"model {entry.name!r}")
    engine = section.word("engine", ENGINES)
    words = ENGINES.get(engine or "", _UNKNOWN)
    path = section.path("model", models_dir)
    for key, hint in _HINTS.items():
        if not section.values(key) and (words.weights or key != "model"):
            reader.wrong(entry.key, f"{section.what} lacks {key!r}", hint)
    args = section.each("args", partial(_argument, reader, engine))
    images = section.number("images", least=0)
    mmproj = section.path("mmproj", models_dir)
    env = section.variables("env", _refuse_variable)
    told = frozenset(section.words("capabilities", CAPABILITIES))
    told = words.only or told
    likely = _likely(args, sees=mmproj is not None or bool(images))
    model = Model(
        name=name or entry.name,
        engine=engine or "",
        model=path or models_dir,
        mmproj=mmproj,
        gpus=_gpus(section, words),
        gpu_memory=section.parsed("gpu_memory", memory, None),
        context=section.number("context", least=1),
        images=images,
        aliases=section.each("aliases", partial(read_name, reader)),
        args=args,
        env=env,
        ttl=section.span("ttl", None),
        preload=section.flag("preload"),
        pinned=section.flag("pinned"),
        load_timeout=section.parsed("load_timeout", duration, LOAD_TIMEOUT),
        drain_timeout=section.parsed("drain_timeout", duration, DRAIN_TIMEOUT),
        concurrency=section.number("concurrency", least=1),
        queue=section.number("queue", least=0),
        queue_timeout=section.span("queue_timeout", None),
        priority=PRIORITIES[section.word("priority", PRIORITIES) or "normal"],
        park=_parks(section, engine),
        park_level=_park_level(section),
        filters=_filters(section),
        loading_message=section.flag("loading_message"),
        keep_conversations=section.flag("keep_conversations"),
        network=section.flag("network"),
        memory_max=section.parsed("memory_max", size, None),
        capabilities=told or likely,
        incapable=CAPABILITIES - told if told else _impossible(engine, args, env, projector=mmproj is not None),
        where=Location(entry.key.file, entry.key.line),
    )
    _refuse_keys(section, engine)
    section.close()
    whole = path is not None or not words.weights
    return model if name is not None and engine is not None and whole else None


def read_name(reader: Reader, value: Value, what: str) -> str | None:
    """A model's name or alias: it stands in unit names, in paths and on command lines."""
    name = reader.text(value, what)
    if name is None:
        return None
    if not name or name != name.strip() or name.startswith("-") or "," in name or "\t" in name:
        hint = "no comma, no '-' or blank at its beginning, no blank at its end"
        reader.wrong(value, f"{what} cannot be {name!r}", hint)
    elif (length := len(instance_name(name))) > NAME_BYTES:
        message = f"{what} {name!r} takes {length} bytes in a unit's name, which is more than {NAME_BYTES}"
        reader.wrong(value, message, "every character but letters, digits and ':_.-' takes three or more")
    else:
        return name
    return None


def _gpus(section: Section, words: Words) -> tuple[int, ...]:
    """`gpu: 1`, `gpu: [0, 1]`, or `gpu: []` for the CPU only; without the key it is GPU 0, if the engine uses any."""
    if not section.values("gpu"):
        return (0,) if words.on_gpu else ()
    indexes = section.each("gpu", partial(section.reader.number))
    if indexes and not words.on_gpu:
        section.reader.wrong(section.values("gpu")[-1], f"{section.what}: its engine uses no GPU", "leave 'gpu' out")
    if len(set(indexes)) < len(indexes):
        section.reader.wrong(section.values("gpu")[-1], f"{section.what}: 'gpu' names a GPU twice")
    return tuple(sorted(set(indexes)))


def _parks(section: Section, engine: str | None) -> bool:
    """`on_swap: park`, for engines that can be parked."""
    park = section.word("on_swap", ON_SWAP) == "park"
    if park and engine is not None and (why := ENGINES[engine].not_parked):
        section.reader.wrong(section.values("on_swap")[-1], f"{section.what} cannot be parked", why)
    return park


def _park_level(section: Section) -> int:
    level = section.number("park_level", least=1)
    if level is not None and level > 2:
        hint = "1 keeps the weights in host memory, 2 reads them again"
        section.reader.wrong(section.values("park_level")[-1], f"{section.what}: 'park_level' is 1 or 2", hint)
    return level or 1


def _argument(reader: Reader, engine: str | None, value: Value, what: str) -> str | None:
    """One argument, passed through as it is, unless a key says the same."""
    argument = reader.text(value, what)
    if argument is None or engine is None:
        return argument
    flag = argument.partition("=")[0]
    if hint := ENGINES[engine].arguments.get(flag):
        reader.wrong(value, f"{what} cannot have {flag!r}", hint)
        return None
    return argument


def _filters(section: Section) -> Filters | None:
    """`filters: {set: {temperature: 0.7}, strip: [top_k]}`."""
    below = section.below("filters")
    given = {
        entry.name: text
        for value in below.values("set")
        for entry in below.reader.entries(value, f"{below.what}: 'set'")
        if _may_be_filtered(below, entry.key, entry.name)
        and (text := below.reader.json(entry.value, f"{below.what}: {entry.name!r}")) is not None
    }
    strip = tuple(
        name
        for value in below.items("strip")
        if (name := below.reader.text(value, f"{below.what}: 'strip'")) and _may_be_filtered(below, value, name)
    )
    below.close()
    return Filters(tuple(given.items()), strip) if given or strip else None


def _may_be_filtered(section: Section, value: Value, name: str) -> bool:
    if why := NOT_FILTERED.get(name):
        section.reader.wrong(value, f"{section.what} cannot change {name!r}", why)
    return name not in NOT_FILTERED


def _refuse_variable(name: str) -> str | None:
    """Why an environment variable cannot be set in `env`."""
    if not _VARIABLE.fullmatch(name):
        return "letters, digits and '_', no digit first"
    return VARIABLES.get(name)


def _refuse_keys(section: Section, engine: str | None) -> None:
    """Note keys that exist, but mean nothing to this engine."""
    for key, why in (ENGINES[engine].refused if engine is not None else {}).items():
        for value in section.values(key):
            section.reader.wrong(value, f"{section.what}: {key!r} is not for engine {engine!r}", why)


def _likely(args: Iterable[str], *, sees: bool) -> frozenset[str]:
    """What a model can do, as far as its configuration tells; `capabilities:` says it for sure."""
    given = {argument.partition("=")[0] for argument in args}
    if given & {"--rerank", "--reranking"}:
        return frozenset({"rerank"})
    can = {"chat", "completions"}
    if given & {"--embedding", "--embeddings"}:
        can.add("embeddings")
    if sees:
        can.add("vision")
    return frozenset(can)


def _impossible(
    engine: str | None, args: Iterable[str], env: Iterable[tuple[str, str]], *, projector: bool
) -> frozenset[str]:
    """What a model surely cannot do. What an engine finds out for itself from its files is not for us to refuse."""
    if engine != "llama":
        return frozenset()
    given = {argument.partition("=")[0] for argument in args} | {name for name, _ in env}
    if projector or any(name.upper().replace("-", "_").endswith(("MMPROJ", "MMPROJ_URL", "_HF")) for name in given):
        return NEVER_BY_LLAMA
    return NEVER_BY_LLAMA | {"transcription", "translation"}
