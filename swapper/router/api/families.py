"""The router's own metrics, as families of Prometheus' client library: names, labels and what they mean, in one place.

Names follow Prometheus' "Metric and label naming": base units, `_total` for what only grows.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from swapper import __version__
from swapper.core.model import State
from swapper.core.reasons import Cause
from swapper.host.gpus import Card
from swapper.router.measured import Use
from swapper.router.stats import BUCKETS, READY, Counts, Flow, Histogram, Times

_BOUNDS = (*map(str, BUCKETS), "+Inf")

_STOPS = (Cause.SWAP, Cause.IDLE, Cause.OPERATOR, Cause.CONFIGURATION, Cause.EXTERNAL, Cause.FAILURE)
_STARTS = (READY, Cause.FAILURE)


@dataclass(frozen=True, slots=True)
class ModelNow:
    """One model at this moment.

    Attributes:
        name: The configured name.
        state: What it is doing.
        leases: Requests that hold a lease.
        waiting: Requests that wait for one.
        shares: What it holds of which GPU, of 1.
        uses: What it declared, and has, of each of them.
    """

    name: str
    state: State
    leases: int
    waiting: int
    shares: Sequence[tuple[int, float]]
    uses: Sequence[Use] = ()


@dataclass(frozen=True, slots=True)
class Now:
    """What is not counted but so at this moment.

    Attributes:
        models: All models.
        claims: Models that wait to be started.
        connections: Clients that are connected.
        mistakes: In the configuration that was refused; 0 where none was.
        cards: GPUs, as they were seen last; none where they cannot be.
    """

    models: Sequence[ModelNow]
    claims: int
    connections: int
    mistakes: int
    cards: Sequence[Card] = ()


def own(counts: Counts, now: Now) -> Iterator[Metric]:
    """All families of the router.

    What is counted by model alone is there from the beginning, at zero: of a series that comes up with its first count
    Prometheus' `rate` and `increase` would not see that one.
    """
    yield _family("swapper_build_info", "1, with the version that runs.", ("version",), [((__version__,), 1)])
    yield from _states(now)
    yield from _memory(now)
    yield from _requests(counts)
    yield from _durations(_for_all(now, Times()) | dict(counts.times))
    yield from _models(counts, now)
    yield _family("swapper_spool_bytes", "What bodies of requests that are under way take on the disk.", (),
                  [((), _spooled())])  # fmt: skip
    yield from Process(registry=None).collect()


class Process(ProcessCollector):
    """The library's, which reads the time of boot in /proc/stat; the unit's `ProcSubset=pid` hides that."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _spooled() -> int:
    """Bytes of the files without a name that this process holds, which are bodies and nothing else (proc_pid_fd(5))."""
    total = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            target = str(descriptor.readlink())
            if target.startswith("/") and target.endswith(" (deleted)") and not target.startswith("/memfd:"):
                total += descriptor.stat().st_size
    return total


def _states(now: Now) -> Iterator[Metric]:
    models = now.models
    states = [((model.name, state), int(model.state is state)) for model in models for state in State]
    yield _family("swapper_model_state", "1 for the state that a model is in.", ("model", "state"), states)
    yield _family("swapper_model_leases", "Requests that hold a lease.", ("model",),
                  [((model.name,), model.leases) for model in models])  # fmt: skip
    yield _family("swapper_model_waiting", "Requests that wait for a lease.", ("model",),
                  [((model.name,), model.waiting) for model in models])  # fmt: skip
    yield _family("swapper_gpu_held_ratio", "Share of a GPU's memory that a resident model holds.", ("gpu", "model"),
                  [((str(gpu), model.name), share) for model in models for gpu, share in model.shares])  # fmt: skip
    yield _family("swapper_models_claiming", "Models that wait to be started.", (), [((), now.claims)])
    yield _family("swapper_connections", "Clients that are connected.", (), [((), now.connections)])
    yield _family("swapper_configuration_mistakes", "Mistakes for which the configuration was refused; 0: it was not.",
                  (), [((), now.mistakes)])  # fmt: skip


def _memory(now: Now) -> Iterator[Metric]:
    """What is not known has no sample: a zero would be a figure."""
    cards, uses = now.cards, [(model.name, use) for model in now.models for use in model.uses]
    yield _family("swapper_gpu_memory_bytes", "Memory that a GPU has.", ("gpu",),
                  [((str(card.index),), card.total) for card in cards if card.total is not None])  # fmt: skip
    yield _family("swapper_gpu_memory_used_bytes", "What of it is in use, by whomever.", ("gpu",),
                  [((str(card.index),), card.used) for card in cards if card.used is not None])  # fmt: skip
    yield _family("swapper_gpu_utilization_ratio", "Part of the moments before the last look in which a GPU computed.",
                  ("gpu",), [((str(card.index),), card.utilization / 100)
                             for card in cards if card.utilization is not None])  # fmt: skip
    yield _family("swapper_model_gpu_memory_bytes", "What a resident model's unit has in use of a GPU.",
                  ("gpu", "model"), [((str(use.gpu), name), use.measured)
                                     for name, use in uses if use.measured is not None])  # fmt: skip
    yield _family("swapper_model_gpu_memory_declared_bytes", "What it declared, where that is not all of the GPU.",
                  ("gpu", "model"), [((str(use.gpu), name), use.declared)
                                     for name, use in uses if use.declared is not None])  # fmt: skip


def _requests(counts: Counts) -> Iterator[Metric]:
    yield _counter("swapper_requests", "Requests that are over; status 499: the client left before any answer.",
                   ("model", "route", "status", "key"),
                   [((m, r, str(s), k), n) for (m, r, s, k), n in counts.requests.items()])  # fmt: skip
    yield _counter("swapper_requests_failed", "Requests that did not end well, by error code.", ("model", "code"),
                   counts.failed.items())  # fmt: skip
    yield _counter("swapper_tokens", "Tokens of prompts (in) and answers (out), as engines reported them.",
                   ("model", "key", "direction"), _both_ways(counts.tokens))  # fmt: skip
    yield _counter("swapper_transferred_bytes", "Bytes of requests' bodies (in) and of answers (out).",
                   ("model", "direction"),
                   _both_ways({(model,): flow for model, flow in counts.bytes.items()}))  # fmt: skip


def _durations(times: Mapping[str, Times]) -> Iterator[Metric]:
    yield _histogram("swapper_request_queue_seconds", "Waiting for a lease, less the load.",
                     {model: of.queue for model, of in times.items()})  # fmt: skip
    yield _histogram("swapper_request_load_seconds", "Waiting for a model that was starting; of those that met one.",
                     {model: of.load for model, of in times.items()})  # fmt: skip
    yield _histogram("swapper_request_first_byte_seconds", "From the whole request to the first byte of its answer.",
                     {model: of.first_byte for model, of in times.items()})  # fmt: skip
    yield _histogram("swapper_request_duration_seconds", "From the whole request to its end; with a lease only.",
                     {model: of.total for model, of in times.items()})  # fmt: skip


def _models(counts: Counts, now: Now) -> Iterator[Metric]:
    starts = {(model.name, result): 0 for model in now.models for result in _STARTS} | dict(counts.starts)
    stops = {(model.name, cause): 0 for model in now.models for cause in _STOPS} | dict(counts.stops)
    loads = _for_all(now, Histogram()) | dict(counts.loads)
    yield _counter("swapper_model_starts", "Starts of models that are over: ready, or the cause why they never were.",
                   ("model", "result"), starts.items())  # fmt: skip
    yield _counter("swapper_model_stops", "Times that a ready model was stopped; cause swap: for another model.",
                   ("model", "cause"), stops.items())  # fmt: skip
    yield _histogram("swapper_model_load_seconds", "From the order to start a model until it was ready.", loads)


def _family(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _counter(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _histogram(name: str, text: str, values: Mapping[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=("model",))
    for model, histogram in values.items():
        family.add_metric((model,), tuple(zip(_BOUNDS, histogram.cumulative(), strict=True)), histogram.sum)
    return family


def _for_all[T](now: Now, value: T) -> dict[str, T]:
    return {model.name: value for model in now.models}


def _both_ways[T: tuple[str, ...]](flows: Mapping[T, Flow]) -> Iterator[tuple[Sequence[str], float]]:
    for labels, flow in flows.items():
        yield (*labels, "in"), flow.into
        yield (*labels, "out"), flow.out
