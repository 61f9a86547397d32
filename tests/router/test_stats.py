"""What is counted of requests and models, and how it is shown: real records, scheduler, and library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swapper.core.actions import Announce
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, RequestOver, UnitChanged, UnloadAsked
from swapper.core.model import Demand, Failure, Gpu, ModelSpec, State
from swapper.core.reasons import Cause
from swapper.core.scheduler import Scheduler
from swapper.router.api import families
from swapper.router.api.metrics import encode
from swapper.router.stats import BUCKETS, READY, Counts, Stats
from swapper.router.wire.body import SpoolFile
from swapper.router.wire.ports import Record
from tests.core.playbook import NO_TURNS
from tests.lab.exposition import Scraped, read_openmetrics, read_text

SOURCE = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[2]))
CHAT = "/v1/chat/completions"
GOOD = Record(
    id="1", model="a", method="POST", path=CHAT, status=200, queued=0.5, first=0.75, total=2.0, received=100, sent=900,
    reason="", route=CHAT, key="alice", loading=0.0, tokens_in=5, tokens_out=7,
)  # fmt: skip
REFUSED = GOOD._replace(status=429, queued=None, first=None, total=0.0, reason="queue_full", loading=None,
                  tokens_in=None, tokens_out=None)  # fmt: skip
NOTHING = families.Now((), 0, 0, 0)


def counted(*records: Record) -> Counts:
    stats = Stats({"a", "b"}.__contains__)
    for record in records:
        stats.note(record)
    return stats.counts()


class Stage:
    """Two models that want the same GPU, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.scheduler = Scheduler()
        self.stats = Stats({"a", "b"}.__contains__, lambda: self.now)
        self.feed(ConfigApplied(tuple(ModelSpec(name, (Demand(0),)) for name in "ab"), (Gpu(0),), NO_TURNS))

    def feed(self, event: Event, at: float | None = None) -> None:
        self.now = self.now if at is None else at
        for action in self.scheduler.handle(event, self.now):
            if isinstance(action, Announce):
                self.stats.changed(action)

    def unit(self, model: str, *states: ActiveState, at: float | None = None, failure: Failure | None = None) -> None:
        for state in states:
            self.feed(UnitChanged(model, state, f"{model}1", failure), at)


def test_requests_are_counted_by_model_route_status_and_key() -> None:
    counts = counted(GOOD, GOOD, GOOD._replace(key="bob"), GOOD._replace(model="b"), REFUSED)
    assert counts.requests == {
        ("a", CHAT, 200, "alice"): 2,
        ("a", CHAT, 200, "bob"): 1,
        ("b", CHAT, 200, "alice"): 1,
        ("a", CHAT, 429, "alice"): 1,
    }
    assert counts.failed == {("a", "queue_full"): 1}
    assert (counts.bytes["a"].into, counts.bytes["a"].out) == (400, 3600)


def test_clients_cannot_make_labels_up() -> None:
    unknown = REFUSED._replace(status=404, reason="model_not_found")
    counts = counted(*(unknown._replace(model=f"made-up-{number}" if number else "") for number in range(101)))
    assert counts.requests == {("", CHAT, 404, "alice"): 101}
    assert counts.failed == {("", "model_not_found"): 101}
    assert (counts.times, counts.tokens) == ({}, {})


def test_tokens_are_counted_where_the_engine_reported_them() -> None:
    counts = counted(GOOD, GOOD, GOOD._replace(tokens_in=None, tokens_out=3), GOOD._replace(key="bob"))
    flows = {key: (flow.into, flow.out) for key, flow in counts.tokens.items()}
    assert flows == {("a", "alice"): (10, 17), ("a", "bob"): (5, 7)}


def test_the_load_is_no_part_of_the_queue() -> None:
    times = counted(GOOD._replace(queued=5.0, loading=3.0, first=5.5, total=6.0), GOOD).times["a"]
    assert (times.queue.sum, sum(times.queue.counts)) == (2.5, 2)
    assert (times.load.sum, sum(times.load.counts)) == (3.0, 1)
    assert (times.first_byte.sum, times.total.sum) == (6.25, 8.0)


def test_a_refusal_does_not_flatter_the_times() -> None:
    times = counted(GOOD, *[REFUSED] * 10).times["a"]
    assert [sum(each.counts) for each in (times.queue, times.first_byte, times.total)] == [1, 1, 1]


def test_who_polls_does_not_flatter_the_times() -> None:
    counts = counted(GOOD, *[GOOD._replace(method="GET", route="/props", queued=0.0, total=0.001)] * 10)
    assert counts.requests["a", "/props", 200, "alice"] == 10
    assert sum(counts.times["a"].total.counts) == 1


@pytest.mark.parametrize("seconds", [0.0, *BUCKETS, 0.3, 601.0])
def test_a_duration_is_in_all_buckets_from_its_size_on(seconds: float) -> None:
    text, _ = encode(counted(GOOD._replace(total=seconds)), NOTHING, (), "")
    found = Scraped.read(text.decode())
    buckets = {
        float(labels["le"]): value for labels, value in found.named("swapper_request_duration_seconds_bucket")
    }
    assert buckets == {bound: int(seconds <= bound) for bound in (*BUCKETS, float("inf"))}
    assert found.value("swapper_request_duration_seconds_sum", model="a") == seconds
    assert found.value("swapper_request_duration_seconds_count", model="a") == 1


def test_what_was_counted_stays_as_it_was_looked_at() -> None:
    stats = Stats({"a"}.__contains__)
    stats.note(GOOD)
    before = stats.counts()
    stats.note(GOOD)
    assert before.requests == {("a", CHAT, 200, "alice"): 1}
    assert sum(before.times["a"].total.counts) == 1
    assert before.tokens["a", "alice"].out == 7


def test_a_swap_is_a_stop_a_start_and_a_load() -> None:
    stage = Stage()
    stage.feed(RequestArrived(1, "a"))
    stage.unit("a", ActiveState.ACTIVATING, ActiveState.ACTIVE, at=4.0)
    stage.feed(RequestOver(1))
    stage.feed(RequestArrived(2, "b"), at=10.0)
    stage.unit("a", ActiveState.DEACTIVATING, ActiveState.INACTIVE, at=11.0)
    stage.unit("b", ActiveState.ACTIVATING, ActiveState.ACTIVE, at=13.0)
    counts = stage.stats.counts()
    assert counts.stops == {("a", Cause.SWAP): 1}
    assert counts.starts == {("a", READY): 1, ("b", READY): 1}
    assert {model: load.sum for model, load in counts.loads.items()} == {"a": 4.0, "b": 2.0}


def test_a_model_that_was_not_stopped_after_all_did_not_stop() -> None:
    stage = Stage()
    stage.feed(RequestArrived(1, "a"))
    stage.unit("a", ActiveState.ACTIVATING, ActiveState.ACTIVE)
    stage.feed(RequestArrived(2, "b"))
    assert stage.scheduler.record("a").state is State.DRAINING  # type: ignore[union-attr]
    stage.feed(RequestOver(2))
    assert stage.scheduler.record("a").state is State.READY  # type: ignore[union-attr]
    assert stage.stats.counts().stops == {}


def test_stops_by_an_operator_by_somebody_else_and_by_a_crash_are_told_apart() -> None:
    stage = Stage()
    crash = Failure("model_failed", "The unit of a failed: it was killed by SIGKILL.")
    for number in range(3):
        stage.feed(RequestArrived(number, "a"), at=number * 100.0)
        stage.unit("a", ActiveState.ACTIVATING, ActiveState.ACTIVE)
        stage.feed(RequestOver(number))
        match number:
            case 0:
                stage.feed(UnloadAsked("a"))
                stage.unit("a", ActiveState.DEACTIVATING, ActiveState.INACTIVE)
            case 1:
                stage.unit("a", ActiveState.DEACTIVATING, ActiveState.INACTIVE)
            case _:
                stage.unit("a", ActiveState.FAILED, failure=crash)
    counts = stage.stats.counts()
    assert counts.stops == {("a", Cause.OPERATOR): 1, ("a", Cause.EXTERNAL): 1, ("a", Cause.FAILURE): 1}
    assert counts.starts == {("a", READY): 3}


def test_a_start_that_fails_has_a_cause_and_no_duration() -> None:
    stage = Stage()
    stage.feed(RequestArrived(1, "a"))
    failure = Failure("model_failed", "The unit of a failed: it ended with status 1.")
    stage.unit("a", ActiveState.ACTIVATING)
    stage.unit("a", ActiveState.FAILED, failure=failure)
    counts = stage.stats.counts()
    assert (counts.starts, counts.stops, counts.loads) == ({("a", Cause.FAILURE): 1}, {}, {})


def test_a_model_that_is_adopted_was_not_started() -> None:
    stage = Stage()
    stage.unit("a", ActiveState.ACTIVE)
    counts = stage.stats.counts()
    assert (counts.starts, counts.loads) == ({}, {})


def test_both_formats_are_what_their_parsers_read() -> None:
    stage = Stage()
    stage.feed(RequestArrived(1, "a"))
    stage.unit("a", ActiveState.ACTIVATING, ActiveState.ACTIVE, at=4.0)
    stage.stats.note(GOOD._replace(key='quote " backslash \\ line\n'))
    now = families.Now((families.ModelNow("a", State.READY, 1, 2, [(0, 0.3)]),), 1, 5, 0)
    counts = stage.stats.counts()
    text, content_type = encode(counts, now, (), "")
    assert content_type.startswith("text/plain; version=0.0.4")
    plain = [(sample.name, sample.labels) for family in read_text(text.decode()) for sample in family.samples]
    found = Scraped.read(text.decode())
    text, content_type = encode(counts, now, (), "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert content_type.startswith("application/openmetrics-text")
    assert plain == [(s.name, s.labels) for family in read_openmetrics(text.decode()) for s in family.samples]
    labels = {"model": "a", "route": CHAT, "status": "200", "key": 'quote " backslash \\ line\n'}
    assert found.value("swapper_requests_total", **labels) == 1
    assert found.value("swapper_gpu_held_ratio", model="a", gpu="0") == 0.3
    assert found.value("swapper_model_state", model="a", state="ready") == 1
    assert found.value("swapper_model_state", model="a", state="stopped") == 0
    assert found.value("swapper_model_leases", model="a") == 1
    assert found.value("swapper_model_waiting", model="a") == 2
    assert found.value("process_resident_memory_bytes") > 1e6


def test_bodies_on_the_disk_are_seen(tmp_path: Path) -> None:
    def spooled() -> float:
        return Scraped.read(encode(counted(), NOTHING, (), "")[0].decode()).value("swapper_spool_bytes")

    assert spooled() == 0
    file = SpoolFile(tmp_path)
    file.raw.write(b"x" * 100_000)
    assert spooled() == 100_000
    file.close()
    assert spooled() == 0


def test_counting_needs_no_library() -> None:
    modules = "swapper.router.stats, swapper.router.late, swapper.router.wire.front"
    heavy = "{'prometheus_client', 'aiohttp'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", f"import sys, {modules}; print({heavy})"], cwd=SOURCE, check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout == "set()\n"
