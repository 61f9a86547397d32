"""What the router recorded becomes a workload. The samples have the fields of real entries, with times made by hand."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from swapper.core.model import ModelSpec
from swapper.router.requestlog import LIMIT, RequestLog
from swapper.router.wire.ports import Record
from swapper.simulate import journal
from swapper.simulate.workload import Ask, Model, WorkloadError

BOOT = 1_764_000_000.0


def entry(at: float, message: str, **fields: str) -> str:
    """A line of `journalctl -u swapper -o json`, with what journald adds."""
    return json.dumps({
        "__CURSOR": "s=1;i=2", "__REALTIME_TIMESTAMP": f"{(BOOT + at) * 1e6 + 900:.0f}",
        "_SOURCE_REALTIME_TIMESTAMP": f"{(BOOT + at) * 1e6:.0f}", "_SYSTEMD_UNIT": "swapper.service",
        "SYSLOG_IDENTIFIER": "swapper", "PRIORITY": "6", "MESSAGE": message, **fields,
    })  # fmt: skip


def state(at: float, model: str, old: str, new: str) -> str:
    return entry(at, f"{model}: {old} -> {new} (asked for)", MODEL=model, OLD_STATE=old, NEW_STATE=new,
                 LOGGER="swapper.router.service")  # fmt: skip


def request(at: float, model: str, total: float, queued: float | None, status: str = "200") -> str:
    """A request that was over then."""
    return entry(at, f"POST /v1/chat/completions {model}: {status} in {total / 1e3:.3f} s", MODEL=model, REQUEST_ID="r",
                 KEY="", STATUS=status, QUEUED_MS="" if queued is None else f"{queued:.1f}",
                 FIRST_BYTE_MS="", TOTAL_MS=f"{total:.1f}", LOGGER="swapper.router.requestlog")  # fmt: skip


def recorded() -> Iterator[str]:
    yield entry(0.0, "configuration read: 3 models")
    yield state(10.0, "a", "stopped", "starting")
    yield state(14.0, "a", "starting", "ready")
    yield request(16.0, "a", 6000.0, 4000.0)  # came at 10, had its lease at 14
    yield request(20.5, "a", 1500.0, 0.0)  # came at 19
    yield state(30.0, "a", "ready", "draining")
    yield state(31.0, "a", "draining", "stopping")
    yield state(31.5, "a", "stopping", "stopped")
    yield state(31.5, "b", "stopped", "starting")
    yield request(32.0, "b", 2000.0, None, "499")  # left while it waited
    yield state(37.5, "b", "starting", "ready")
    yield request(38.0, "b", 8000.0, 7500.0)  # came at 30
    yield state(40.0, "b", "ready", "stopping")
    yield state(41.0, "b", "stopping", "failed")
    yield request(42.0, "c", 100.0, 0.0)  # it ran all the time
    yield request(43.0, "", 1.0, None, "400")  # no model was named
    yield request(43.0, "strange", 1.0, None, "404")
    yield state(50.0, "a", "stopped", "starting")
    yield state(56.0, "a", "starting", "ready")
    yield entry(60.0, "12 more requests in the last second", SKIPPED="12", LOGGER="swapper.router.requestlog")
    yield entry(61.0, "-- not ours --", MODEL="a")
    yield json.dumps({"MESSAGE": [1, 2, 3], "MODEL": None, "__REALTIME_TIMESTAMP": "1"})


def test_requests_and_times() -> None:
    workload = journal.read(recorded(), "journal")
    assert workload.asks == (
        Ask(0.0, "a", 2.0), Ask(9.0, "a", 1.5), Ask(20.0, "b", 0.5), Ask(31.9, "c", 0.1),
    )  # fmt: skip
    assert workload.models == (
        Model(ModelSpec("a"), 5.0, 0.5, loads=(4.0, 6.0)),
        Model(ModelSpec("b"), 6.0, 0.5),  # it failed to stop: that says nothing
        Model(ModelSpec("c"), 6.0, 0.5),  # the median of all that were seen
    )


def test_what_systemds_own_clock_says_of_loads_and_stops() -> None:
    took = {("starting", "ready"): "3950.0", ("stopping", "stopped"): "440.0"}
    lines = [json.loads(line) for line in recorded()]
    lines = [line | {"TOOK_MS": took.get((line.get("OLD_STATE"), line.get("NEW_STATE")), "")} for line in lines]
    model = journal.read(map(json.dumps, lines), "journal").models[0]
    # 50 ms of the first load, 60 ms of the stop, and 2.05 s of the second load: the median.
    assert (model.loads, model.lag) == ((4.0, 6.0), 0.06)


def test_what_is_missing_is_said() -> None:
    assert journal.read(recorded(), "journal").notes == (
        "no load was seen of c: taken as 6 s",
        "no stop was seen of b, c: taken as 0.5 s",
        "2 requests never got a lease and are left out",
        "12 requests were counted only and are left out",
    )


def test_the_router_writes_what_is_read_here(caplog: pytest.LogCaptureFixture) -> None:
    """More requests than are written one by one in a second: each took 0.25 s, after 0.75 s of waiting."""

    async def over() -> None:
        log = RequestLog()
        for number in range(LIMIT + 7):
            log(Record(f"r{number}", "a", "POST", "/v1/chat/completions", 200, 0.75, 0.8, 1.0, 10, 20, ""))
        log._next_window()

    with caplog.at_level(logging.INFO, "swapper.router.requestlog"):
        asyncio.run(over())
    fields = [{name: str(value) for name, value in vars(record).items() if name.isupper()} for record in caplog.records]
    workload = journal.read([entry(5.0, "", **each) for each in fields], "journal")
    assert workload.asks == (Ask(0.0, "a", 0.25),) * LIMIT
    assert workload.notes[-1] == "7 requests were counted only and are left out"


def test_a_start_that_was_not_seen_whole_says_nothing() -> None:
    """The router was started while the model was starting, or another router's end is missing."""
    lines = [state(5.0, "a", "starting", "ready"), request(9.0, "a", 1000.0, 0.0)]
    assert journal.read(lines, "journal").models == (Model(ModelSpec("a"), 0.0, 0.0),)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "journal: no request with a lease was recorded"),
        ([state(1.0, "a", "stopped", "starting")], "journal: no request with a lease was recorded"),
        (["Nov 26 03:00:00 host swapper[1]: text"], "journal:1: this is not JSON"),
        (["", "[]"], "journal:2: this is not an entry of the journal"),
        ([request(9.0, "a", 1000.0, 0.0).replace('"1000.0"', '"x"')], "journal:1: TOTAL_MS is not a number: 'x'"),
        (['{"MODEL": "a", "TOTAL_MS": "3", "QUEUED_MS": "1"}'], "journal:1: __REALTIME_TIMESTAMP is not a number"),
    ],
)
def test_what_is_not_a_journal_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        journal.read(lines, "journal")
    assert str(caught.value).startswith(message)
    assert "journalctl -u swapper -o json" in caught.value.hint
