"""From the configuration, and what systemd makes of it, to what the scheduler is told.

The pin is read back from the unit: an administrator's drop-in (`systemctl edit`) is what counts, not our configuration.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from swapper.config import Config, Model
from swapper.core import placement
from swapper.core.events import ConfigApplied
from swapper.core.model import Gpu, ModelSpec
from swapper.engines import ENGINES
from swapper.generator import dropin
from swapper.host.status import UnitRefused

_LOG = logging.getLogger(__name__)

_AT_ONCE = 32
"""Units that systemd is asked about at the same time."""


class Environments(Protocol):
    """What is needed of `host.units.Units`."""

    async def environment(self, unit: str) -> tuple[tuple[str, str], ...]:
        """`Environment=` of a unit as systemd sees it."""


async def read_pins(units: Environments, config: Config) -> dict[str, tuple[int, ...]]:
    """GPUs by model, where the unit's pin is understood: indexes, as `CUDA_VISIBLE_DEVICES` takes them."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(model: Model) -> tuple[int, ...] | None:
        async with gate:
            try:
                return parse_pin(dict(await units.environment(model.unit)).get("CUDA_VISIBLE_DEVICES"))
            except UnitRefused as refused:
                _LOG.warning("the pin of %s is not known: %s", model.unit, refused)
                return None

    pins = await asyncio.gather(*(read(model) for model in config.models))
    return {model.name: pin for model, pin in zip(config.models, pins, strict=True) if pin is not None}


def parse_pin(value: str | None) -> tuple[int, ...] | None:
    """GPU indexes in a `CUDA_VISIBLE_DEVICES`; None where it is not set or names GPUs otherwise (by UUID)."""
    if value is None:
        return None
    words = [word.strip() for word in value.split(",")] if value.strip() else []
    return tuple(int(word) for word in words) if all(word.isdecimal() for word in words) else None


def applied(config: Config, pins: Mapping[str, tuple[int, ...]], memory: int = 0) -> ConfigApplied:
    """The configuration as the scheduler's event; the host has so many bytes of memory."""
    park_memory = memory // 2 if config.router.park_memory is None else config.router.park_memory
    models = tuple(_spec(config, model, pins.get(model.name)) for model in config.models)
    _warn(models, config.budgets)
    return ConfigApplied(models, config.budgets, config.turns, park_memory)


def _warn(models: Iterable[ModelSpec], gpus: Iterable[Gpu]) -> None:
    """The configuration's own pins have been checked; an administrator's may still part those that are together."""
    budgets = {gpu.index: gpu for gpu in gpus}
    groups: dict[str, list[ModelSpec]] = {}
    for spec in models:
        groups.setdefault(spec.together, []).append(spec)
    for group, members in groups.items():
        if group and placement.crowded(members, budgets):
            names = ", ".join(spec.name for spec in members)
            text = "group %s: %s do not fit together where their units are pinned, so each is loaded for itself"
            _LOG.warning(text, group, names)


def _spec(config: Config, model: Model, pin: tuple[int, ...] | None) -> ModelSpec:
    fingerprint = hashlib.blake2b(dropin(model, config).encode(), digest_size=16).hexdigest()
    early = config.router.early_start and bool(ENGINES[model.engine].launch(model, config).imports)
    spec = replace(config.spec(model), early=early, fingerprint=f"{model.unit} {fingerprint}")
    if pin is None or set(pin) == set(model.gpus):
        return spec
    return replace(spec, demands=config.demands(model, pin))
