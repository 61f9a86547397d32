"""Looks at the GPUs for everybody: when something has changed there, and when somebody wants to know, but seldom.

A look costs a process and some of the driver's time. So those who ask within a few seconds share one, nobody waits for
it longer than an answer may take, and where there is nothing to see, nobody looks again for a while.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from swapper.core.actions import Announce
from swapper.core.model import State
from swapper.host.gpus import Reading, Unreadable

_LOG = logging.getLogger(__name__)

FRESH = 3.0
"""Seconds for which what was seen is good, and the least between two looks."""

PATIENCE = 1.0
"""Seconds that whoever asks waits for a look; it goes on meanwhile, and the next one has it."""

PAUSE = 60.0
"""Seconds without a look after one that showed nothing: a driver may have been installed by then."""


class Gpus:
    """The last look, and the next."""

    def __init__(
        self, read: Callable[[], Awaitable[Reading | None]], seen: Callable[[Reading | None, float], None]
    ) -> None:
        """Know nothing yet.

        Args:
            read: Looks; raises Unreadable.
            seen: Told what each look showed, None for nothing, and when it began.
        """
        self._read = read
        self._seen = seen
        self._loop = asyncio.get_running_loop()
        self._look: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._next = self._loop.time()
        self._complaint = ""

    async def look(self) -> None:
        """Have what was seen be fresh, if that takes no longer than somebody who asks should wait."""
        if self._look is None and self._loop.time() >= self._next:
            self._begin()
        if self._look is not None:
            await asyncio.wait({self._look}, timeout=PATIENCE)

    def note(self, change: Announce) -> None:
        """A model's state has changed; look at what came of it, once what goes on has ended."""
        loaded = change.new is State.READY and change.old is not State.DRAINING
        if (loaded or (change.old.resident and not change.new.resident)) and self._again is None:
            when = max(self._loop.time() + FRESH / 10, self._next)
            self._again = self._loop.call_at(when, self._changed)

    async def close(self) -> None:
        """Look no more."""
        if self._again is not None:
            self._again.cancel()
        if self._look is not None:
            self._look.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._look

    def _changed(self) -> None:
        self._again = None
        if self._look is None:
            self._begin()
        else:  # what is under way may have looked before the change
            self._again = self._loop.call_at(self._loop.time() + FRESH, self._changed)

    def _begin(self) -> None:
        self._look = self._loop.create_task(self._see(), name="look at the GPUs")
        self._look.add_done_callback(self._ended)

    async def _see(self) -> None:
        began, reading, complaint = self._loop.time(), None, ""
        try:
            reading = await self._read()
        except Unreadable as unreadable:
            complaint = str(unreadable)
        if complaint and complaint != self._complaint:
            _LOG.warning("what the GPUs have in use is not known: %s", complaint)
        self._complaint = complaint
        self._next = self._loop.time() + (PAUSE if reading is None else FRESH)
        self._seen(reading, began)

    def _ended(self, look: asyncio.Task[None]) -> None:
        self._look = None
        if not look.cancelled() and (exc := look.exception()) is not None:
            _LOG.error("%s failed", look.get_name(), exc_info=exc)
