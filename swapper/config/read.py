"""Files → Config: the sections that there are, and what has to fit together across them.

Several files are one configuration. A model stands in one place only; of any other setting, the last file's counts, so
that a file in `conf.d` can change what the shipped file says without touching it.
"""

from collections.abc import Iterator
from pathlib import Path

from swapper.config.errors import ConfigError, ConfigErrors
from swapper.config.groups import contradictions, read_groups
from swapper.config.keywords import ApiKeyKeys, EngineKeys, GpuKeys, MediaKeys, RouterKeys, TopKeys, TurnKeys
from swapper.config.models import read_model
from swapper.config.nodes import Reader
from swapper.config.profiles import misfits, read_profiles
from swapper.config.sections import Section
from swapper.config.settings import (
    Bytes,
    Config,
    EngineSettings,
    GpuSettings,
    KeySettings,
    Media,
    Model,
    RouterSettings,
)
from swapper.config.vocabulary import ENGINES, PRIORITIES
from swapper.core.model import Policy, Turns

FILE = Path("/etc/swapper/swapper.yaml")
FOLDER = Path("/etc/swapper/conf.d")
LAST_GOOD = Path("/run/swapper-generator/config")
"""Copies of the files as they were at the last daemon-reload that found no mistake in them: what units are made of."""


def default_paths() -> tuple[Path, ...]:
    """`/etc/swapper/swapper.yaml` and, by name, the files in `/etc/swapper/conf.d`."""
    return FILE, *sorted(FOLDER.glob("*.yaml"))


def load(*paths: Path) -> Config:
    """Read the configuration from these files; from the default ones if none are given.

    Raises:
        ConfigErrors: With every mistake in all of the files.
    """
    reader = Reader()
    documents = [document for path in paths or default_paths() if (document := reader.document(path)) is not None]
    config = _config(Section(reader, documents, TopKeys))
    if reader.errors:
        raise ConfigErrors(reader.errors)
    return config


def load_last_good() -> Config:
    """Read the configuration that the units were last made of: for a router that starts while the files are bad.

    Raises:
        ConfigErrors: There is none; the files have been bad since boot.
    """
    paths = sorted(LAST_GOOD.glob("*.yaml"))
    if not paths:
        raise ConfigErrors([ConfigError(str(LAST_GOOD), 0, "no configuration without mistakes since boot")])
    return load(*paths)


def _config(top: Section) -> Config:
    models_dir = top.get(TopKeys.models_dir)
    gpus = _gpus(top)
    models = _models(top, models_dir)
    implied = {index for model in models for index in model.gpus} - {gpu.index for gpu in gpus}
    groups = read_groups(top, models)
    config = Config(
        models_dir=models_dir,
        gpus=tuple(sorted((*gpus, *map(GpuSettings, implied)), key=lambda gpu: gpu.index)),
        models=models,
        media=_media(top.below(TopKeys.media)),
        router=_router(top.below(TopKeys.router)),
        engines=_engines(top),
        keys=_keys(top),
        turns=_turns(top.below(TopKeys.turns)),
        groups=groups,
        profiles=read_profiles(top, models, groups),
    )
    top.close()
    top.reader.errors += (*_shared_names(config), *_too_large(config), *contradictions(config), *misfits(config))
    return config


def _gpus(top: Section) -> tuple[GpuSettings, ...]:
    found = []
    for entries in top.groups(TopKeys.gpus):
        index = top.reader.number(entries[0].key, "a GPU's index")
        gpu = Section(top.reader, (entry.value for entry in entries), GpuKeys, f"GPU {entries[0].name}")
        policy = gpu.get(GpuKeys.policy)
        memory = gpu.get(GpuKeys.memory)
        gpu.close()
        if index is not None:
            found.append(GpuSettings(index, memory, Policy(policy)))
    return tuple(found)


def _media(section: Section) -> Media:
    media = Media(
        allow=section.get(MediaKeys.allow),
        max_bytes=section.get(MediaKeys.max_bytes),
        timeout=section.get(MediaKeys.timeout),
    )
    section.close()
    return media


def _router(section: Section) -> RouterSettings:
    router = RouterSettings(
        max_body=section.get(RouterKeys.max_body),
        idle_exit=section.span(RouterKeys.idle_exit),
        spool=section.get(RouterKeys.spool),
        header_timeout=section.get(RouterKeys.header_timeout),
        body_timeout=section.get(RouterKeys.body_timeout),
        idle_timeout=section.get(RouterKeys.idle_timeout),
        hosts=section.get(RouterKeys.hosts),
        origins=section.get(RouterKeys.origins),
        park_memory=section.get(RouterKeys.park_memory),
        read_ahead=section.get(RouterKeys.read_ahead),
        early_start=section.get(RouterKeys.early_start),
    )
    section.close()
    return router


def _turns(section: Section) -> Turns:
    turns = Turns(section.get(TurnKeys.min_hold), section.get(TurnKeys.swap_share))
    section.close()
    return turns


def _keys(top: Section) -> tuple[KeySettings, ...]:
    found = []
    for entries in top.groups(TopKeys.keys):
        key = Section(top.reader, (entry.value for entry in entries), ApiKeyKeys, f"key {entries[0].name!r}")
        priority = PRIORITIES[key.get(ApiKeyKeys.priority)]
        found.append(KeySettings(entries[0].name, key.get(ApiKeyKeys.concurrency), priority))
        key.close()
    return tuple(found)


def _engines(top: Section) -> dict[str, EngineSettings]:
    found = {}
    for entries in top.groups(TopKeys.engines):
        name = top.reader.one_of(entries[0].key, "'engines'", ENGINES)
        engine = Section(top.reader, (entry.value for entry in entries), EngineKeys, f"engine {entries[0].name!r}")
        settings = EngineSettings(engine.get(EngineKeys.path), engine.get(EngineKeys.search))
        engine.close()
        if name is not None:
            found[name] = settings
    return found


def _models(top: Section, models_dir: Path) -> tuple[Model, ...]:
    found = []
    for first, *others in top.groups(TopKeys.models):
        for other in others:
            message = f"model {first.name!r} is configured twice"
            top.reader.wrong(other.key, message, f"first in {first.key.file}:{first.key.line}")
        model = read_model(top.reader, first, models_dir)
        if model is not None:
            found.append(model)
    return tuple(found)


def _shared_names(config: Config) -> Iterator[ConfigError]:
    """Names and aliases that mean more than one model, or one model twice."""
    owners = {model.name: model for model in config.models}
    for model in config.models:
        for alias in model.aliases:
            owner = owners.setdefault(alias, model)
            if owner is not model or alias == model.name or model.aliases.count(alias) > 1:
                message = f"model {model.name!r}: alias {alias!r} is taken"
                hint = "by itself" if owner is model else f"by model {owner.name!r} in {owner.where}"
                yield ConfigError(model.where.file, model.where.line, message, hint)


def _too_large(config: Config) -> Iterator[ConfigError]:
    """Models that want more than their GPU has, or as many bytes of a GPU whose size nobody told."""
    for model in config.models:
        if not isinstance(model.gpu_memory, Bytes):
            continue
        for index in model.gpus:
            total, place = config.gpu(index).memory, model.where
            if total is None:
                hint = f"write 'gpus: {{{index}: {{memory: 24GiB}}}}', or a share such as 30%"
                message = f"model {model.name!r}: 'gpu_memory' is in bytes, and GPU {index} has no 'memory'"
                yield ConfigError(place.file, place.line, message, hint)
            elif model.gpu_memory.count > total:
                message = f"model {model.name!r}: 'gpu_memory' is more than GPU {index} has"
                yield ConfigError(place.file, place.line, message)
