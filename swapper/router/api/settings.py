"""The settings in force for one model, each with the place that it comes from.

Written ones are in the configuration; the others are defaults, or what somebody said to systemd or the engine itself.
"""

from collections.abc import Callable

from swapper.config import Bytes, Memory, Model
from swapper.config.vocabulary import PRIORITIES
from swapper.core.record import Record
from swapper.router.api.catalog import Catalog
from swapper.router.api.views import Setting, Source

_UNSET = "—"
_WORDS = {steps: word for word, steps in PRIORITIES.items()}


def settings(catalog: Catalog, model: Model) -> tuple[Setting, ...]:
    """All of them, in the order of the manual."""
    record = catalog.scheduler.record(model.name)
    return tuple(_setting(catalog, model, record, name, show) for name, show in _SHOWN.items())


def _setting(
    catalog: Catalog, model: Model, record: Record | None, name: str, show: Callable[[Model], str]
) -> Setting:
    where = model.written.get(name)
    source: Source = "default" if where is None else "configuration"
    value, place = show(model), "" if where is None else str(where)
    if name == "gpu" and record is not None:
        # The unit has the last word on the pin: an administrator's drop-in counts, and is read back from there.
        pins = tuple(demand.gpu for demand in record.spec.demands if demand.real)
        if pins != model.gpus:
            return Setting(name, _numbers(pins), "unit", f"CUDA_VISIBLE_DEVICES of {model.unit}")
    if name == "context" and model.context is None and (context := catalog.context(model)) is not None:
        return Setting(name, str(context), "engine", "")
    if name == "concurrency" and model.concurrency is None and record is not None and record.slots is not None:
        return Setting(name, str(record.slots), "engine", "")
    return Setting(name, value, source, place)


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:g} s"


def _limit(seconds: float | None) -> str:
    return "no limit" if seconds is None else f"{seconds:g} s"


def _count(count: int | None) -> str:
    return "no limit" if count is None else str(count)


def _size(size: int | None) -> str:
    return "no limit" if size is None else f"{size / (1 << 30):.3g} GiB"


def _memory(memory: Memory | None) -> str:
    if memory is None:
        return "all of it"
    return _size(memory.count) if isinstance(memory, Bytes) else f"{memory.parts / 10_000:g}%"


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) or "none: CPU only"


def _filters(model: Model) -> str:
    if model.filters is None:
        return _UNSET
    said = [f"set {name}: {value}" for name, value in model.filters.set]
    return "; ".join([*said, *([f"strip {', '.join(model.filters.strip)}"] if model.filters.strip else [])])


def _yes(value: bool) -> str:
    return "yes" if value else "no"


_SHOWN: dict[str, Callable[[Model], str]] = {
    "engine": lambda model: model.engine,
    "model": lambda model: str(model.model) if model.written.get("model") else _UNSET,
    "mmproj": lambda model: str(model.mmproj or _UNSET),
    "aliases": lambda model: ", ".join(model.aliases) or _UNSET,
    "gpu": lambda model: _numbers(model.gpus),
    "gpu_memory": lambda model: _memory(model.gpu_memory),
    "context": lambda model: str(model.context or "the engine's own"),
    "images": lambda model: "the engine's own" if model.images is None else str(model.images),
    "args": lambda model: " ".join(model.args) or _UNSET,
    "env": lambda model: " ".join(f"{name}={value}" for name, value in model.env) or _UNSET,
    "capabilities": lambda model: ", ".join(sorted(model.capabilities)) or _UNSET,
    "preload": lambda model: _yes(model.preload),
    "pinned": lambda model: _yes(model.pinned),
    "ttl": lambda model: _seconds(model.ttl),
    "on_swap": lambda model: "park" if model.park else "stop",
    "park_level": lambda model: str(model.park_level),
    "keep_conversations": lambda model: _yes(model.keep_conversations),
    "load_timeout": lambda model: _seconds(model.load_timeout),
    "drain_timeout": lambda model: _seconds(model.drain_timeout),
    "concurrency": lambda model: _count(model.concurrency),
    "queue": lambda model: _count(model.queue),
    "queue_timeout": lambda model: _limit(model.queue_timeout),
    "priority": lambda model: _WORDS.get(model.priority, str(model.priority)),
    "filters": _filters,
    "loading_message": lambda model: _yes(model.loading_message),
    "network": lambda model: _yes(model.network),
    "memory_max": lambda model: _size(model.memory_max),
}
"""Every key that a model may have, and how its value reads; a test holds it to what the configuration takes."""

SHOWN = tuple(_SHOWN)
