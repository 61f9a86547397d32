"""What changes, for those who watch: the last changes kept, new ones handed to every subscriber.

A subscriber that does not keep up is dropped rather than waited for; it may come back and start from the present.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from swapper.core.actions import Announce
from swapper.core.model import State

_KEPT = 200
_BACKLOG = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """A model went from one state to another.

    Attributes:
        number: Counts from 1, without gaps.
        at: Seconds since the epoch.
        model: The model's name.
        old: The state before.
        new: The state now.
        reason: Why.
        lasted: Seconds that the old state lasted; None where it is not known.
    """

    number: int
    at: float
    model: str
    old: State
    new: State
    reason: str
    lasted: float | None


class Feed:
    """Changes of models' states, and how long loading took."""

    def __init__(self) -> None:
        self.changes: deque[Change] = deque(maxlen=_KEPT)
        self._number = 0
        self._since: dict[str, float] = {}
        self._loads: dict[str, float] = {}
        self._subscribers: set[asyncio.Queue[Change]] = set()

    def note(self, announced: Announce) -> None:
        """Take note of a change that happens now."""
        now = time.time()
        since = self._since.get(announced.model)
        lasted = None if since is None else now - since
        self._since[announced.model] = now
        self._number += 1
        change = Change(self._number, now, announced.model, announced.old, announced.new, announced.reason, lasted)
        if change.old is State.STARTING and change.new is State.READY and lasted is not None:
            self._loads[change.model] = lasted
        self.changes.append(change)
        for queue in tuple(self._subscribers):
            try:
                queue.put_nowait(change)
            except asyncio.QueueFull:
                self._subscribers.discard(queue)
                queue.shutdown(immediate=True)

    def since(self, model: str) -> float | None:
        """Since when a model is in its state, in seconds since the epoch; None while it has been all along."""
        return self._since.get(model)

    def load_seconds(self, model: str) -> float | None:
        """How long the last load of a model took; None before the first."""
        return self._loads.get(model)

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[Change]]:
        """Changes from now on, until the feed closes or the subscriber has fallen too far behind."""
        queue: asyncio.Queue[Change] = asyncio.Queue(_BACKLOG)
        self._subscribers.add(queue)
        try:
            yield _drain(queue)
        finally:
            self._subscribers.discard(queue)

    def close(self) -> None:
        """End all subscriptions."""
        for queue in self._subscribers:
            queue.shutdown()
        self._subscribers.clear()


async def _drain(queue: asyncio.Queue[Change]) -> AsyncIterator[Change]:
    while True:
        try:
            yield await queue.get()
        except asyncio.QueueShutDown:
            return
