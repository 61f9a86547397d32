"""Files → Config: the sections that there are, and what has to fit together across them.

Several files are one configuration. A model stands in one place only; of any other setting, the last file's counts, so
that a file in `conf.d` can change what the shipped file says without touching it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from swapper.config.errors import ConfigError, ConfigErrors
from swapper.config.groups import contradictions, read_groups
from swapper.config.models import read_model
from swapper.config.nodes import Reader, Value
from swapper.config.profiles import misfits, read_profiles
from swapper.config.quantities import duration, share, size
from swapper.config.sections import Section
from swapper.config.settings import (
    MODELS_DIR,
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
from swapper.core.model import TURNS, Policy, Turns

FILE = Path("/etc/swapper/swapper.yaml")
FOLDER = Path("/etc/swapper/conf.d")
_PEER = re.compile(r"(?:\[(?P<inner>[^]]+)\]|(?P<host>[^][:]+))(?P<port>:[0-9]{1,5})?")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+")
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
    config = _config(Section(reader, documents))
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
    models_dir = top.path("models_dir") or MODELS_DIR
    gpus = _gpus(top.below("gpus"))
    models = _models(top.below("models"), models_dir)
    implied = {index for model in models for index in model.gpus} - {gpu.index for gpu in gpus}
    groups = read_groups(top.below("groups"), models)
    config = Config(
        models_dir=models_dir,
        gpus=tuple(sorted((*gpus, *map(GpuSettings, implied)), key=lambda gpu: gpu.index)),
        models=models,
        media=_media(top.below("media")),
        router=_router(top.below("router")),
        engines=_engines(top.below("engines")),
        keys=_keys(top.below("keys")),
        turns=_turns(top.below("turns")),
        groups=groups,
        profiles=read_profiles(top.below("profiles"), models, groups),
    )
    top.close()
    top.reader.errors += (*_shared_names(config), *_too_large(config), *contradictions(config), *misfits(config))
    return config


def _gpus(section: Section) -> tuple[GpuSettings, ...]:
    found = []
    for entries in section.groups():
        index = section.reader.number(entries[0].key, "a GPU's index")
        gpu = Section(section.reader, (entry.value for entry in entries), f"GPU {entries[0].name}")
        policy = gpu.word("policy", [policy.value for policy in Policy])
        memory = gpu.parsed("memory", size, None)
        gpu.close()
        if index is not None:
            found.append(GpuSettings(index, memory, Policy(policy or Policy.EXCLUSIVE)))
    return tuple(found)


def _media(section: Section) -> Media:
    usual = Media()
    allow = section.each("allow", lambda value, what: _peer(section.reader, value, what))
    max_bytes = section.parsed("max_bytes", size, usual.max_bytes)
    timeout = section.parsed("timeout", duration, usual.timeout)
    section.close()
    return Media(allow, max_bytes, timeout)


def _peer(reader: Reader, value: Value, what: str) -> str | None:
    """A host name, an address or a network, perhaps with a port, for those who decide what may be fetched."""
    import ipaddress  # noqa: PLC0415 — for the few who allow private addresses; costs every start otherwise

    text = reader.text(value, what)
    if text is None:
        return None
    match = _PEER.fullmatch(text)
    host, port = (match["inner"] or match["host"], match["port"] or "") if match else (text, "")
    try:
        network = str(ipaddress.ip_network(host))
        return f"[{network}]{port}" if port and ":" in network else network + port
    except ValueError:
        labels = host.lower().removesuffix(".").split(".")
    if all(label.isascii() and label.replace("-", "").replace("_", "").isalnum() for label in labels):
        return ".".join(labels) + port
    hint = "such as files.example.com, 192.168.1.7:8080, [fd00::7]:8080 or 192.168.1.0/24; no scheme, no path"
    reader.wrong(value, f"{what} wants host names, addresses and networks, not {text!r}", hint)
    return None


def _router(section: Section) -> RouterSettings:
    usual = RouterSettings()
    router = RouterSettings(
        max_body=section.parsed("max_body", size, usual.max_body),
        idle_exit=section.span("idle_exit", usual.idle_exit),
        spool=section.path("spool") or usual.spool,
        header_timeout=section.parsed("header_timeout", duration, usual.header_timeout),
        body_timeout=section.parsed("body_timeout", duration, usual.body_timeout),
        idle_timeout=section.parsed("idle_timeout", duration, usual.idle_timeout),
        hosts=section.each("hosts", lambda value, what: _host(section.reader, value, what)),
        origins=section.each("origins", lambda value, what: _origin(section.reader, value, what)),
        park_memory=section.parsed("park_memory", size, None),
        read_ahead=section.flag("read_ahead", usual.read_ahead),
        early_start=section.flag("early_start", usual.early_start),
    )
    section.close()
    return router


def _turns(section: Section) -> Turns:
    """`turns: {min_hold: 1s, swap_share: 20%}`."""
    min_hold = section.parsed("min_hold", duration, TURNS.min_hold)
    swap_share = section.parsed("swap_share", share, TURNS.swap_share)
    section.close()
    return Turns(min_hold, swap_share)


def _host(reader: Reader, value: Value, what: str) -> str | None:
    """A name as it stands in a Host field, without its port."""
    text = reader.text(value, what)
    if text is not None and not _HOST.fullmatch(text):
        reader.wrong(value, f"{what} wants host names, not {text!r}", "such as gpu.example.com; no scheme, no port")
        return None
    return text.lower().removesuffix(".") if text is not None else None


def _origin(reader: Reader, value: Value, what: str) -> str | None:
    """A web page's origin (RFC 6454): scheme, host and port, as browsers send it."""
    text = reader.text(value, what)
    if text is not None and text != "*" and not _ORIGIN.fullmatch(text):
        hint = "such as https://chat.example.com or http://localhost:3000; no path, no '/' at the end; or '*'"
        reader.wrong(value, f"{what} wants origins, not {text!r}", hint)
        return None
    return text.lower() if text is not None else None


def _keys(section: Section) -> tuple[KeySettings, ...]:
    found = []
    for entries in section.groups():
        key = Section(section.reader, (entry.value for entry in entries), f"key {entries[0].name!r}")
        priority = PRIORITIES[key.word("priority", PRIORITIES) or "normal"]
        found.append(KeySettings(entries[0].name, key.number("concurrency", least=1), priority))
        key.close()
    return tuple(found)


def _engines(section: Section) -> dict[str, EngineSettings]:
    found = {}
    for entries in section.groups():
        name = section.reader.one_of(entries[0].key, "'engines'", ENGINES)
        engine = Section(section.reader, (entry.value for entry in entries), f"engine {entries[0].name!r}")
        settings = EngineSettings(engine.path("path"), engine.paths("search"))
        engine.close()
        if name is not None:
            found[name] = settings
    return found


def _models(section: Section, models_dir: Path) -> tuple[Model, ...]:
    found = []
    for first, *others in section.groups():
        for other in others:
            message = f"model {first.name!r} is configured twice"
            section.reader.wrong(other.key, message, f"first in {first.key.file}:{first.key.line}")
        model = read_model(section.reader, first, models_dir)
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
