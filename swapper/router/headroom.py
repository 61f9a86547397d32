"""Watches the host's memory while models are parked in it: when it runs short, the one parked longest is ended.

What counts is `MemAvailable` of proc_meminfo(5): what programs can have without swapping. Pressure stall information
would tell too late: it measures those who wait for memory already.
"""

import asyncio
import logging
from collections.abc import Callable

from swapper.core.actions import Announce
from swapper.core.events import Event, MemoryShort
from swapper.core.model import State
from swapper.core.scheduler import Scheduler

_LOG = logging.getLogger(__name__)

SHORT = 0.05
"""Part of the host's memory of which less is too little."""

PAUSE = 1.0
"""Seconds between two looks."""

SETTLES = 5.0
"""Seconds after which the memory of a model that was ended must have been given back, or the next one goes."""


EARLY = 2 << 30
"""Bytes that the process of an engine takes before it has a GPU: vLLM's modules, with torch and what they bring, and
some for the interpreters that look at its model."""


def roomy(available: int, total: int) -> bool:
    """Whether there is memory for an engine that starts early, without anybody who is parked having to go for it."""
    return available - EARLY > total * SHORT


class Headroom:
    """Looks only while somebody is parked."""

    def __init__(
        self,
        scheduler: Scheduler,
        dispatch: Callable[[Event], object],
        memory: Callable[[], tuple[int, int]],
    ) -> None:
        """Do not look yet.

        Args:
            scheduler: To be read only.
            dispatch: Where events go.
            memory: Says how many bytes can be had, and how many there are; zeros where that is not known.
        """
        self._scheduler = scheduler
        self._dispatch = dispatch
        self._memory = memory
        self._watch: asyncio.Task[None] | None = None

    def note(self, change: Announce) -> None:
        """A model's state has changed."""
        if change.new is State.PARKED and (self._watch is None or self._watch.done()):
            self._watch = asyncio.get_running_loop().create_task(self._look(), name="watch the memory")

    async def close(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look(self) -> None:
        while any(record.state is State.PARKED for record in self._scheduler.records()):
            available, total = await asyncio.to_thread(self._memory)
            short = available < total * SHORT
            if short:
                text = "%d MB of memory can be had, of %d: the model that is parked longest is ended"
                _LOG.warning(text, available // 10**6, total // 10**6)
                self._dispatch(MemoryShort())
            await asyncio.sleep(SETTLES if short else PAUSE)
