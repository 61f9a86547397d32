"""What changes, for those who watch: the last changes kept, new ones handed to every subscriber.

A subscriber that does not keep up is dropped rather than waited for; it may come back and start from the present.
When something happened is told by the host's clock, which people read and somebody may set; how long something took is
measured by one that nobody sets.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from swapper.core.actions import Announce
from swapper.core.model import State

_KEPT = 4000  # some changes a second, for an hour, of models that swap without pause
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


@dataclass(frozen=True, slots=True)
class Progress:
    """A model that is being loaded got on, or one whose files are being pulled.

    Attributes:
        at: Seconds since the epoch.
        model: The model's name.
        percent: How much of its files the engine has read, or is there.
    """

    at: float
    model: str
    percent: float


class Feed:
    """Changes of models' states, how far loading and pulling is, and how long a load took."""

    def __init__(
        self, now: Callable[[], float] = time.time, measure: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing.

        Args:
            now: The host's clock: seconds since the epoch.
            measure: A clock that never goes back, in seconds.
        """
        self.changes: deque[Change] = deque(maxlen=_KEPT)
        self._now = now
        self._measure = measure
        self._number = 0
        self._since: dict[str, float] = {}
        self._entered: dict[str, float] = {}
        self._loads: dict[str, float] = {}
        self._percents: dict[str, float] = {}
        self._subscribers: set[asyncio.Queue[Change]] = set()
        self._watchers: set[asyncio.Queue[Change | Progress]] = set()

    def note(self, announced: Announce) -> None:
        """Take note of a change that happens now."""
        now, measured = self._now(), self._measure()
        entered = self._entered.get(announced.model)
        lasted = None if entered is None else measured - entered
        self._since[announced.model], self._entered[announced.model] = now, measured
        self._number += 1
        why = announced.reason.whole
        change = Change(self._number, now, announced.model, announced.old, announced.new, why, lasted)
        if change.old is State.STARTING and change.new is State.READY and lasted is not None:
            self._loads[change.model] = lasted
        self.changes.append(change)
        self._percents.pop(change.model, None)
        _tell(self._subscribers, change)
        _tell(self._watchers, change)

    def progress(self, model: str, percent: float | None) -> None:
        """Take note of how much of a model has been read now, or pulled; None where that is not known any more."""
        if percent is None:
            self._percents.pop(model, None)
        elif self._percents.get(model) != percent:
            self._percents[model] = percent
            _tell(self._watchers, Progress(self._now(), model, percent))

    def percent(self, model: str) -> float | None:
        """How much of a model has been read that is being loaded, or pulled that is incomplete; None elsewhere."""
        return self._percents.get(model)

    def since(self, model: str) -> float | None:
        """Since when a model is in its state, in seconds since the epoch; None while it has been all along."""
        return self._since.get(model)

    def load_seconds(self, model: str) -> float | None:
        """How long the last load of a model took; None before the first."""
        return self._loads.get(model)

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[Change]]:
        """Changes from now on, until the feed closes or the subscriber has fallen too far behind."""
        with _subscribed(self._subscribers) as changes:
            yield changes

    @contextlib.contextmanager
    def watch(self) -> Iterator[AsyncIterator[Change | Progress]]:
        """As `subscribe()`, and how far loading and pulling is."""
        with _subscribed(self._watchers) as news:
            yield news

    def close(self) -> None:
        """End all subscriptions."""
        _end(self._subscribers)
        _end(self._watchers)


def _end[T](queues: set[asyncio.Queue[T]]) -> None:
    for queue in queues:
        queue.shutdown()
    queues.clear()


def _tell[T](queues: set[asyncio.Queue[T]], news: T) -> None:
    for queue in tuple(queues):
        try:
            queue.put_nowait(news)
        except asyncio.QueueFull:
            queues.discard(queue)
            queue.shutdown(immediate=True)


@contextlib.contextmanager
def _subscribed[T](queues: set[asyncio.Queue[T]]) -> Iterator[AsyncIterator[T]]:
    queue: asyncio.Queue[T] = asyncio.Queue(_BACKLOG)
    queues.add(queue)
    try:
        yield _drain(queue)
    finally:
        queues.discard(queue)


async def _drain[T](queue: asyncio.Queue[T]) -> AsyncIterator[T]:
    while True:
        try:
            yield await queue.get()
        except asyncio.QueueShutDown:
            return
