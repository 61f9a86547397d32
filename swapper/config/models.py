"""One model of the configuration."""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from swapper.config.keywords import FilterKeys, ModelKeys
from swapper.config.names import read_name
from swapper.config.nodes import Entry, Reader, Value
from swapper.config.sections import Section
from swapper.config.settings import Filters, Location, Model
from swapper.config.table import Known, keys_of
from swapper.config.vocabulary import (
    CAPABILITIES,
    ENGINES,
    NEVER_BY_LLAMA,
    NOT_FILTERED,
    PRIORITIES,
    VARIABLE,
    VARIABLES,
    Words,
)

_UNKNOWN = Words(weights="a file")
"""Of an engine that is not known: it is asked for everything."""

_WEIGHTS = " or ".join(f"{words.weights} ({engine})" for engine, words in ENGINES.items() if words.weights)
_HINTS: tuple[tuple[Known, str], ...] = (
    (ModelKeys.engine, " or ".join(f"engine: {engine}" for engine in ENGINES)),
    (ModelKeys.model, _WEIGHTS),
)


def read_model(reader: Reader, entry: Entry, models_dir: Path) -> Model | None:
    """The model at this key; None, with everything noted, where it is not clear what it is."""
    name = read_name(reader, entry.key, "a model's name")
    section = Section(reader, [entry.value], ModelKeys, f"model {entry.name!r}")
    engine = section.get(ModelKeys.engine)
    words = ENGINES.get(engine or "", _UNKNOWN)
    path = section.path(ModelKeys.model, models_dir)
    for key, hint in _HINTS:
        if not section.values(key) and (words.weights or key is not ModelKeys.model):
            reader.wrong(entry.key, f"{section.what} lacks {key.name!r}", hint)
    args = section.each(ModelKeys.args, partial(_argument, reader, engine))
    images = section.get(ModelKeys.images)
    mmproj = section.path(ModelKeys.mmproj, models_dir)
    env = section.variables(ModelKeys.env, _refuse_variable)
    said = section.get(ModelKeys.capabilities)
    told = words.only or frozenset(said)
    likely = _likely(args, sees=mmproj is not None or bool(images))
    model = Model(
        name=name or entry.name,
        engine=engine or "",
        model=path or models_dir,
        mmproj=mmproj,
        gpus=_gpus(section, words),
        gpu_memory=section.get(ModelKeys.gpu_memory),
        context=section.get(ModelKeys.context),
        images=images,
        aliases=section.get(ModelKeys.aliases),
        args=args,
        env=env,
        ttl=section.span(ModelKeys.ttl),
        preload=section.get(ModelKeys.preload),
        pinned=section.get(ModelKeys.pinned),
        load_timeout=section.get(ModelKeys.load_timeout),
        drain_timeout=section.get(ModelKeys.drain_timeout),
        concurrency=section.get(ModelKeys.concurrency),
        queue=section.get(ModelKeys.queue),
        queue_timeout=section.span(ModelKeys.queue_timeout),
        priority=PRIORITIES[section.get(ModelKeys.priority)],
        park=_parks(section, engine),
        park_level=_park_level(section),
        filters=_filters(section),
        loading_message=section.get(ModelKeys.loading_message),
        keep_conversations=section.get(ModelKeys.keep_conversations),
        network=section.get(ModelKeys.network),
        memory_max=section.get(ModelKeys.memory_max),
        capabilities=told or likely,
        incapable=CAPABILITIES - told if told else _impossible(engine, args, env, projector=mmproj is not None),
        where=Location(entry.key.file, entry.key.line),
        written={key: Location(value.file, value.line) for key, value in section.written()},
    )
    _refuse_keys(section, engine)
    section.close()
    whole = path is not None or not words.weights
    return model if name is not None and engine is not None and whole else None


def _gpus(section: Section, words: Words) -> tuple[int, ...]:
    """`gpu: 1`, `gpu: [0, 1]`, or `gpu: []` for the CPU only; without the key it is GPU 0, if the engine uses any."""
    given = section.values(ModelKeys.gpu)
    if not given:
        return ModelKeys.gpu.usual if words.on_gpu else ()
    indexes = section.get(ModelKeys.gpu)
    if indexes and not words.on_gpu:
        section.reader.wrong(given[-1], f"{section.what}: its engine uses no GPU", "leave 'gpu' out")
    if len(set(indexes)) < len(indexes):
        section.reader.wrong(given[-1], f"{section.what}: 'gpu' names a GPU twice")
    return tuple(sorted(set(indexes)))


def _parks(section: Section, engine: str | None) -> bool:
    """`on_swap: park`, for engines that can be parked."""
    park = section.get(ModelKeys.on_swap) == "park"
    if park and engine is not None and (why := ENGINES[engine].not_parked):
        section.reader.wrong(section.values(ModelKeys.on_swap)[-1], f"{section.what} cannot be parked", why)
    return park


def _park_level(section: Section) -> int:
    level = section.get(ModelKeys.park_level)
    if level > 2:
        hint = "1 keeps the weights in host memory, 2 reads them again"
        section.reader.wrong(section.values(ModelKeys.park_level)[-1], f"{section.what}: 'park_level' is 1 or 2", hint)
    return level


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
    below = section.below(ModelKeys.filters)
    given = {
        entry.name: text
        for value in below.values(FilterKeys.set)
        for entry in below.reader.entries(value, f"{below.what}: 'set'")
        if _may_be_filtered(below, entry.key, entry.name)
        and (text := below.reader.json(entry.value, f"{below.what}: {entry.name!r}")) is not None
    }
    strip = tuple(
        name
        for value in below.items(FilterKeys.strip)
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
    if not re.fullmatch(VARIABLE, name):
        return "letters, digits and '_', no digit first"
    return VARIABLES.get(name)


def _refuse_keys(section: Section, engine: str | None) -> None:
    """Note keys that exist, but mean nothing to this engine."""
    for key, why in (ENGINES[engine].refused if engine is not None else {}).items():
        for value in section.values(keys_of(ModelKeys)[key]):
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
