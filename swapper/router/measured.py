"""What models have of the GPUs beside what they declared, and a word of warning where that is not true.

Room is given by what is declared, so a model that takes more may keep the next one from being loaded, or break it.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from swapper.core.model import WHOLE, Demand, State
from swapper.core.record import Record
from swapper.core.scheduler import Scheduler
from swapper.host.gpus import Card, Reading
from swapper.router.places import Places

_LOG = logging.getLogger(__name__)

TOLERANCE = 0.05
"""What may be in use beyond what was declared, as a part of that: what a driver adds is in no model's papers."""

_MIB, _GIB = 1 << 20, 1 << 30
"""Shares are in parts per million, and the driver counts in MiB: more exact figures would not be truer."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one model has of one GPU.

    Attributes:
        gpu: Its index.
        share: What it declared, of 1.
        declared: The same in bytes; None where the GPU's memory is not known, or all of it was declared.
        measured: Bytes that its processes have in use; None where that is not known, or it is not resident.
    """

    gpu: int
    share: float
    declared: int | None
    measured: int | None

    @property
    def exceeds(self) -> bool:
        """Whether it takes more than it said."""
        return None not in {self.declared, self.measured} and _beyond(self.measured or 0, self.declared or 0)


class Measured:
    """The last reading, and what it says of models.

    Attributes:
        at: When it was taken, in seconds since the epoch; None without one.
    """

    def __init__(self, places: Places, scheduler: Scheduler) -> None:
        self.at: float | None = None
        self._places = places
        self._scheduler = scheduler
        self._reading: Reading | None = None
        self._runs: dict[str, str] = {}
        self._warned: dict[str, str] = {}
        self._oversized: dict[int, tuple[int, int]] = {}

    def seen(self, reading: Reading | None, began: float) -> None:
        """Somebody has looked; warn, once a load, of whoever takes more than it declared.

        Args:
            reading: What there was to see, None for nothing.
            began: When the look began, on the scheduler's clock: who was loaded later may not be in it as a whole.
        """
        self._reading, self.at = reading, None if reading is None else time.time()
        self._runs = {record.name: record.invocation for record in self._scheduler.records() if record.state.resident}
        if reading is None:
            return
        self._check_cards(reading)
        for record in self._scheduler.records():
            settled = record.state is State.READY and record.since <= began
            if settled and self._warned.get(record.name) != record.invocation:
                self._check(record)

    def card(self, gpu: int) -> Card | None:
        """A GPU as it was seen last; None where it was not."""
        return self._reading.cards.get(gpu) if self._reading is not None else None

    def uses(self, record: Record, unit: str) -> tuple[Use, ...]:
        """What a model declared, and its unit has, of each of its GPUs."""
        return tuple(self._use(record, unit, demand) for demand in record.holds or record.spec.demands if demand.real)

    def hint(self, uses: Iterable[Use]) -> str:
        """What to do about a model that takes more than it declared; empty where it does not."""
        return " ".join(f"{_said(use)}: {self._advice(use)}." for use in uses if use.exceeds)

    def _use(self, record: Record, unit: str, demand: Demand) -> Use:
        known = None
        # Another run's figures say nothing of this one.
        if self._reading is not None and record.state.resident and self._runs.get(record.name) == record.invocation:
            known = self._reading.shares.get((unit, demand.gpu))
        total = self._total(demand.gpu)
        declared = None if total is None or demand.parts >= WHOLE else demand.parts * total // WHOLE // _MIB * _MIB
        return Use(demand.gpu, demand.parts / WHOLE, declared, known)

    def _total(self, gpu: int) -> int | None:
        """Bytes that shares are counted of: as configured, or as the GPU says itself."""
        configured = self._places.config.gpu(gpu).memory
        card = self.card(gpu)
        return configured if configured is not None else card.total if card is not None else None

    def _advice(self, use: Use) -> str:
        total = self._total(use.gpu) or 0
        need = -(-(use.measured or 0) * 100 // total) if total else 100
        return f"say 'gpu_memory: {need}%'" if need < 100 else "leave 'gpu_memory' out, and the GPU is its own"

    def _check(self, record: Record) -> None:
        for use in self.uses(record, self._places.of(record.name).unit):
            if use.exceeds:
                self._warned[record.name] = record.invocation
                extra = {"MODEL": record.name, "GPU": str(use.gpu)}
                _LOG.warning("%s has %s: %s", record.name, _said(use), self._advice(use), extra=extra)

    def _check_cards(self, reading: Reading) -> None:
        for gpu, configured, total in self._configured(reading):
            known = self._oversized.get(gpu)
            if _beyond(configured, total) and known != (configured, total):
                self._oversized[gpu] = (configured, total)
                text = "GPU %d has %.1f GiB of memory, not the %.1f GiB that 'gpus:' says: correct 'memory' there"
                _LOG.warning(text, gpu, total / _GIB, configured / _GIB, extra={"GPU": str(gpu)})

    def _configured(self, reading: Reading) -> Iterator[tuple[int, int, int]]:
        for gpu in self._places.config.gpus:
            card = reading.cards.get(gpu.index)
            if gpu.memory is not None and card is not None and card.total is not None:
                yield gpu.index, gpu.memory, card.total


def _beyond(amount: int, limit: int) -> bool:
    return amount > limit * (1 + TOLERANCE)


def _said(use: Use) -> str:
    measured, declared = (use.measured or 0) / _GIB, (use.declared or 0) / _GIB
    return f"{measured:.1f} GiB of GPU {use.gpu} in use, and declared {declared:.1f} GiB"
