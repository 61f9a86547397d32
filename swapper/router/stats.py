"""What became of requests and of models, counted since the router's start.

Counting is part of every request, so it is a look-up and some additions, and no library: that one comes in when
somebody asks (`router.api.metrics`). What clients make up never becomes a label: a model that nobody configured is "".
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from swapper.core.actions import Announce
from swapper.core.model import State
from swapper.core.reasons import cause_of
from swapper.router.wire.ports import Record

BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
"""Upper bounds of durations, in seconds: from what the router itself takes to what a large model takes to load."""

READY = "ready"
"""The result of a start that came to its end; any other result is the cause that ended it."""

_SERVES = frozenset({State.READY, State.DRAINING})


@dataclass(slots=True)
class Histogram:
    """Durations, by size.

    Attributes:
        counts: How many there were of each size: up to each bound of `BUCKETS` and above the one before, and above all.
        sum: All together, in seconds.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> Sequence[int]:
        """How many there were up to each bound, and, last, in all."""
        return tuple(accumulate(self.counts))

    def copy(self) -> "Histogram":
        """As it is now."""
        return Histogram(self.counts.copy(), self.sum)


@dataclass(slots=True)
class Flow:
    """What went in and out."""

    into: int = 0
    out: int = 0


@dataclass(slots=True)
class Times:
    """How long requests for one model took: those that got a lease, for refusals would flatter the figures.

    So would clients that poll (GET), and a WebSocket lasts as long as its client likes: neither is in here.

    Attributes:
        queue: Waiting for a lease, less the time in which the model was starting.
        load: The time in which the model was starting; of those that met a model that was.
        first_byte: From the whole request to the first byte of the engine's answer.
        total: From the whole request to the end of the answer.
    """

    queue: Histogram = field(default_factory=Histogram)
    load: Histogram = field(default_factory=Histogram)
    first_byte: Histogram = field(default_factory=Histogram)
    total: Histogram = field(default_factory=Histogram)

    def copy(self) -> "Times":
        """As they are now."""
        return Times(self.queue.copy(), self.load.copy(), self.first_byte.copy(), self.total.copy())


@dataclass(frozen=True, slots=True)
class Counts:
    """All that has been counted, at one moment.

    Attributes:
        requests: By model, route, status, and name of the key.
        failed: By model and code, requests that did not end well.
        tokens: By model and name of the key, as engines reported them.
        bytes: By model: of requests' bodies, and of answers with their heads.
        times: By model.
        starts: By model and result: `READY`, or the cause of the end.
        stops: By model and cause.
        loads: By model, how long starts took that came to their end.
    """

    requests: Mapping[tuple[str, str, int, str], int]
    failed: Mapping[tuple[str, str], int]
    tokens: Mapping[tuple[str, str], Flow]
    bytes: Mapping[str, Flow]
    times: Mapping[str, Times]
    starts: Mapping[tuple[str, str], int]
    stops: Mapping[tuple[str, str], int]
    loads: Mapping[str, Histogram]


class _Series:
    """Requests that have model, route, status and key in common, and where their figures go."""

    __slots__ = ("bytes", "count", "model", "times", "tokens")

    def __init__(self, model: str, times: Times | None, tokens: Flow, transferred: Flow) -> None:
        self.count = 0
        self.model = model
        self.times = times
        self.tokens = tokens
        self.bytes = transferred


class Stats:
    """Counts."""

    def __init__(self, known: Callable[[str], bool], now: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing.

        Args:
            known: Whether there is a model of this name.
            now: A clock, in seconds.
        """
        self._known = known
        self._now = now
        self._series: dict[tuple[str, str, int, str], _Series] = {}
        self._failed: Counter[tuple[str, str]] = Counter()
        self._tokens: dict[tuple[str, str], Flow] = {}
        self._bytes: dict[str, Flow] = {}
        self._times: dict[str, Times] = {}
        self._starts: Counter[tuple[str, str]] = Counter()
        self._stops: Counter[tuple[str, str]] = Counter()
        self._loads: dict[str, Histogram] = {}
        self._begun: dict[str, float] = {}

    def note(self, record: Record) -> None:
        """A request is over."""
        series = self._series.get((record.model, record.route, record.status, record.key)) or self._series_of(record)
        series.count += 1
        series.bytes.into += record.received
        series.bytes.out += record.sent
        if record.reason:
            self._failed[series.model, record.reason] += 1
        if record.tokens_in is not None:
            series.tokens.into += record.tokens_in
        if record.tokens_out is not None:
            series.tokens.out += record.tokens_out
        if record.queued is not None and record.method == "POST" and series.times is not None:
            self._note_times(record, record.queued, series.times)

    @staticmethod
    def _note_times(record: Record, queued: float, times: Times) -> None:
        loading = record.loading
        if loading:
            times.load.observe(loading)
            queued = max(0.0, queued - loading)
        times.queue.observe(queued)
        if record.first is not None:
            times.first_byte.observe(record.first)
        times.total.observe(record.total)

    def _series_of(self, record: Record) -> _Series:
        """The series of a request whose name of a model may be anything."""
        model = record.model if self._known(record.model) else ""
        key = (model, record.route, record.status, record.key)
        series = self._series.get(key)
        if series is None:
            times = self._times.setdefault(model, Times()) if model else None
            tokens = self._tokens.setdefault((model, record.key), Flow()) if model else Flow()
            series = self._series[key] = _Series(model, times, tokens, self._bytes.setdefault(model, Flow()))
        return series

    def changed(self, change: Announce) -> None:
        """A model's state has changed."""
        model, old, new = change.model, change.old, change.new
        if old in _SERVES and new not in _SERVES:
            self._stops[model, cause_of(change.reason)] += 1
        elif old is State.STARTING:
            self._start_over(change)
        if new is State.STARTING:
            self._begun[model] = self._now()

    def _start_over(self, change: Announce) -> None:
        begun = self._begun.pop(change.model, None)
        if change.new is not State.READY:
            self._starts[change.model, cause_of(change.reason)] += 1
            return
        self._starts[change.model, READY] += 1
        if begun is not None:
            self._loads.setdefault(change.model, Histogram()).observe(self._now() - begun)

    def counts(self) -> Counts:
        """What has been counted so far: a copy, which may be read in another thread."""
        return Counts(
            requests={key: series.count for key, series in self._series.items()},
            failed=dict(self._failed),
            tokens={key: Flow(flow.into, flow.out) for key, flow in self._tokens.items()},
            bytes={model: Flow(flow.into, flow.out) for model, flow in self._bytes.items()},
            times={model: times.copy() for model, times in self._times.items()},
            starts=dict(self._starts),
            stops=dict(self._stops),
            loads={model: histogram.copy() for model, histogram in self._loads.items()},
        )
