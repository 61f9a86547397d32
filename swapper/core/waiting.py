"""The line of requests that wait for one model, in the order in which they get their leases.

Who is more important stands as if it had come `BOOST` seconds earlier for each step of priority. So nobody is overtaken
by those who come more than that after it, and among equals the order is that of arrival. A row for each priority keeps
every operation independent of how many wait: within a row the order is that of arrival.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

BOOST = 30.0
"""Seconds of waiting that one step of priority is worth."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A request without a lease.

    Attributes:
        since: Its arrival.
        loading: How long its model had been starting by then, in all its life.
        priority: Steps above (or, negative, below) what is normal.
    """

    since: float
    loading: float
    priority: int = 0

    @property
    def urgency(self) -> float:
        """When it would have come if it were of normal priority; the smallest is served first."""
        return self.since - self.priority * BOOST


class Waiting:
    """Requests that wait."""

    __slots__ = ("_rows", "_waits")

    def __init__(self) -> None:
        self._waits: dict[int, Wait] = {}
        self._rows: dict[int, dict[int, Wait]] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def __contains__(self, request: object) -> bool:
        return request in self._waits

    def __iter__(self) -> Iterator[int]:
        """The first is served first."""
        if len(self._rows) <= 1:
            return iter(self._waits)
        return iter(sorted(self._waits, key=lambda request: self._waits[request].urgency))

    def __getitem__(self, request: int) -> Wait:
        return self._waits[request]

    def add(self, request: int, wait: Wait) -> None:
        """Stand behind those who came before, and before those of less priority."""
        self._waits[request] = wait
        self._rows.setdefault(wait.priority, {})[request] = wait

    def take(self, request: int) -> Wait:
        """Leave the line.

        Raises:
            KeyError: It is not in it.
        """
        wait = self._waits.pop(request)
        row = self._rows[wait.priority]
        del row[request]
        if not row:
            del self._rows[wait.priority]
        return wait

    def clear(self) -> None:
        """All leave."""
        self._waits.clear()
        self._rows.clear()

    def first(self, may: Callable[[Wait], bool] | None = None) -> int | None:
        """Who is served next.

        Args:
            may: Whether it is anybody's turn; of those of one priority, those who came first are asked first, and who
                may not lets nobody pass who came later.
        """
        best: tuple[float, int] | None = None
        for row in self._rows.values():
            request, wait = next(iter(row.items()))
            if (may is None or may(wait)) and (best is None or wait.urgency < best[0]):
                best = wait.urgency, request
        return None if best is None else best[1]

    @property
    def urgency(self) -> float | None:
        """That of who is served next."""
        return min((next(iter(row.values())).urgency for row in self._rows.values()), default=None)

    @property
    def oldest(self) -> float | None:
        """The earliest arrival."""
        return min((next(iter(row.values())).since for row in self._rows.values()), default=None)

    def tired(self, limit: float, now: float) -> list[int]:
        """Those who have waited for so many seconds, in the order of their arrival within each priority."""
        found: list[int] = []
        for row in self._rows.values():
            for request, wait in row.items():
                # As `Record.patience` adds it up: the difference may round to another side.
                if wait.since + limit > now:
                    break
                found.append(request)
        return found
