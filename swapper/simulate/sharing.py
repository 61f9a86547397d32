"""What an engine makes of several requests at once: with each of them it is slower than with one alone.

All that it works on get on equally fast (processor sharing; Kleinrock, Queueing Systems II, section 4.4). So one clock
will do: it shows how much work somebody has had done who was there all the time, and a request is over when it shows
what it showed at its lease and the request's own work. Work is told in seconds, of an engine that does nothing else.
"""

import heapq
from collections.abc import Sequence


class Sharing:
    """The requests that one engine works on.

    Attributes:
        changes: How often somebody came or went: what was foretold before is no longer so.
    """

    __slots__ = ("_at", "_clock", "_ends", "_here", "_speeds", "changes")

    def __init__(self, speeds: Sequence[float]) -> None:
        """Work on nothing yet.

        Args:
            speeds: How fast each request gets on beside one alone, where there is one, where there are two, and so on;
                the last one is that of all larger numbers too.
        """
        self.changes = 0
        self._speeds = tuple(speeds)
        self._clock = self._at = 0.0
        self._here: dict[int, float] = {}
        self._ends: list[tuple[float, int]] = []

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self._here)

    def begin(self, request: int, work: float, now: float) -> None:
        """One more, with so many seconds of work."""
        self._pass(now)
        self._here[request] = self._clock + work
        heapq.heappush(self._ends, (self._clock + work, request))

    def end(self, request: int, now: float) -> float:
        """One less, done or not; returns how many seconds of its work are left, less than nothing if it took longer."""
        self._pass(now)
        return self._here.pop(request) - self._clock

    def next(self) -> tuple[float, int] | None:
        """When who will be done, if nobody comes or goes before; None where there is nobody."""
        while self._ends and self._here.get(self._ends[0][1]) != self._ends[0][0]:
            heapq.heappop(self._ends)
        if not self._ends:
            return None
        end, request = self._ends[0]
        return self._at + max(0.0, end - self._clock) / self._speed, request

    @property
    def _speed(self) -> float:
        return self._speeds[min(len(self._here), len(self._speeds)) - 1]

    def _pass(self, now: float) -> None:
        self.changes += 1
        if self._here:
            self._clock += (now - self._at) * self._speed
        self._at = now
