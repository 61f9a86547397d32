"""The last hour, for people: which requests there were last, and when models served some.

Every request ends here, so it is an append and a comparison. All of it is bounded, and none of it outlasts the router:
what should, is in the journal. Whether a change of state was a load or a swap, `feed` has.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from swapper.router.wire.ports import Live, Record

__all__ = ["HOUR", "History", "Live", "Past", "Record", "Served"]

HOUR = 3600.0
"""Seconds that are remembered."""

KEPT = 100
"""Requests that are remembered."""

PAUSE = 5.0
"""Seconds between requests that are too few to be seen in a picture of an hour: so a model has 720 spans at most."""


class Past(NamedTuple):
    """A request that is over.

    Attributes:
        at: When it ended, in seconds since the epoch.
        record: What became of it.
    """

    at: float
    record: Record


@dataclass(slots=True)
class Served:
    """A time in which a model served requests, with no long pause.

    Attributes:
        begin: When the first of them had its lease, in seconds since the epoch.
        end: When the last of them ended.
        requests: How many there were.
    """

    begin: float
    end: float
    requests: int = 1


class History:
    """What is remembered of requests."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Begin with nothing.

        Args:
            now: The host's clock: seconds since the epoch.
        """
        self.requests: deque[Past] = deque(maxlen=KEPT)
        self._now = now
        self._served: dict[str, deque[Served]] = {}

    def note(self, record: Record) -> None:
        """A request is over."""
        now = self._now()
        if record.route:  # else it was refused on its way to nobody in particular
            self.requests.append(Past(now, record))
        # Those that only look are no use of a model; a WebSocket, which is a GET too, is.
        if record.queued is not None and (record.method == "POST" or record.status == 101):
            self._serve(record.model, now - record.total + record.queued, now)

    def served(self) -> Sequence[tuple[str, Sequence[Served]]]:
        """When models served requests that are over, within the last hour; those that did not are left out."""
        horizon = self._now() - HOUR
        for spans in self._served.values():
            _forget(spans, horizon)
        self._served = {model: spans for model, spans in self._served.items() if spans}
        return [(model, tuple(spans)) for model, spans in self._served.items()]

    def _serve(self, model: str, begin: float, end: float) -> None:
        spans = self._served.get(model)
        if spans is None:
            spans = self._served[model] = deque()
        last = spans[-1] if spans else None
        if last is not None and last.begin <= begin <= last.end + PAUSE:
            last.requests += 1
            last.end = max(last.end, end)  # somebody may have set the clock back
            return
        requests = 1
        # They come in the order of their ends, so only the last spans can touch this one.
        while spans and begin <= spans[-1].end + PAUSE:
            before = spans.pop()
            begin, requests = min(begin, before.begin), requests + before.requests
            end = max(end, before.end)
        spans.append(Served(begin, end, requests))
        _forget(spans, end - HOUR)


def _forget(spans: deque[Served], horizon: float) -> None:
    while spans and spans[0].end < horizon:
        spans.popleft()
