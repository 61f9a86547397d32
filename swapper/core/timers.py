"""Deadlines of models in a heap: the next one costs nothing to look at, however many there are."""

import heapq
from collections.abc import Iterator


class Timers:
    """Times and the models they concern. Stale entries are the caller's to recognise."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []

    def add(self, when: float, model: str) -> None:
        """Remember a time."""
        heapq.heappush(self._heap, (when, model))

    def first(self) -> float | None:
        """The earliest time."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[tuple[float, str]]:
        """Take out the times that have come."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)
