"""Reads ahead what is loaded next, while the model before it drains and stops: the engine's files, and the model's.

A load of gigabytes is mostly the disk's work, and the disk has nothing to do while requests end. What is read stays in
the page cache, where the engine finds it. The router reads what it may; other files are passed over without a word.
The engine's own come first, since its start begins with them; once it has begun, it finds those that it needs itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from swapper.config import Config, Model
from swapper.core.actions import Announce
from swapper.core.model import State
from swapper.core.scheduler import Scheduler
from swapper.engines import ENGINES
from swapper.host import pages
from swapper.router.chores import Chores
from swapper.router.places import Places

_LOG = logging.getLogger(__name__)

COMFORT = 2
"""No more is read than the available memory divided by this: the engine and everybody else need some too."""

_LEAVING = frozenset({State.DRAINING, State.STOPPING})


class ReadAhead:
    """Knows who is next, and reads: once for whoever has waited longest for it."""

    def __init__(self, places: Places, scheduler: Scheduler, available: Callable[[], int]) -> None:
        """Read nothing yet.

        Args:
            places: Where models are.
            scheduler: Knows who makes room for whom; to be read only.
            available: Says how many bytes of memory can be had.
        """
        self._places = places
        self._scheduler = scheduler
        self._available = available
        self._read_for: dict[str, float] = {}
        self._chores = Chores()

    def note(self, change: Announce) -> None:
        """A model's state has changed: where one is leaving, its successor's files are wanted soon."""
        if change.new not in _LEAVING or not self._places.config.router.read_ahead:
            return
        name = self._successor(change.model)
        record = self._scheduler.record(name) if name is not None else None
        if record is None or record.waiting.oldest is None or self._read_for.get(record.name) == record.waiting.oldest:
            return
        self._read_for[record.name] = record.waiting.oldest
        self._chores.spawn(self._read(record.name, change.model), f"read {record.name} ahead")

    async def close(self) -> None:
        """Read no more."""
        await self._chores.close()

    def _successor(self, leaving: str) -> str | None:
        """For whom a model leaves: who is said to, or who is first in line for one of its GPUs."""
        victim = self._scheduler.record(leaving)
        if victim is None or victim.drained_for is not None:
            return None if victim is None else victim.drained_for
        gpus = {demand.gpu for demand in victim.loaded.demands}
        for name in self._scheduler.claims:
            claimant = self._scheduler.record(name)
            if claimant is not None and any(demand.gpu in gpus for demand in claimant.spec.demands):
                return name
        return None

    def _awaited(self, name: str) -> bool:
        """Whether somebody still waits for room for it."""
        return name in self._scheduler.claims

    def _wanted(self, name: str) -> bool:
        """Whether somebody still waits for it; while it starts too, for no engine begins with its files."""
        record = self._scheduler.record(name)
        return record is not None and (self._awaited(name) or record.state is State.STARTING)

    async def _read(self, name: str, leaving: str) -> None:
        began = time.monotonic()
        record = self._scheduler.record(name)
        parked = record is not None and record.state is State.PARKED
        model, config = self._places.of(name), self._places.config
        programs = await asyncio.to_thread(_programs, model, config, config.resolve(leaving)) if not parked else ()
        files = await asyncio.to_thread(_files, model) if not parked or model.park_level > 1 else ()
        room = await asyncio.to_thread(self._available) // COMFORT
        engine = await self._read_files(programs, room, partial(self._awaited, name))
        own = await self._read_files(files, room - engine, partial(self._wanted, name))
        if engine or own:
            what = f"{own // 10**6} MB of its files" + (f" and {engine // 10**6} MB of its engine's" if engine else "")
            _LOG.info("%s: %s read ahead in %.1f s", name, what, time.monotonic() - began, extra={"MODEL": name})

    async def _read_files(self, paths: Iterable[Path], room: int, wanted: Callable[[], bool]) -> int:
        read = 0
        for path in paths:
            read += await self._read_file(path, room - read, wanted)
        return read

    async def _read_file(self, path: Path, room: int, wanted: Callable[[], bool]) -> int:
        read = 0
        # What the router may not read, the engine may.
        with contextlib.suppress(OSError):
            while read < room and wanted():
                piece = await asyncio.to_thread(pages.read_ahead, path, read, room - read)
                read += piece
                if piece < pages.PIECE:
                    break
        return read


def _programs(model: Model, config: Config, leaving: Model | None) -> tuple[Path, ...]:
    """Files of the engine that have to be read. For a thread.

    If the model that leaves has the same engine, they are in use: so taken for present where the kernel does not tell.
    """
    in_use = leaving is not None and leaving.engine == model.engine
    return pages.absent(ENGINES[model.engine].programs(model, config), untold=not in_use)


def _files(model: Model) -> tuple[Path, ...]:
    """Files of the model that have to be read. For a thread."""
    return pages.absent(ENGINES[model.engine].cached(model))
