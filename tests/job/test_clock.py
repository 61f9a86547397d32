"""The host's clock is set by a day while requests wait and run: waits, time limits and times that are told stay right.

A container may not set the clock (systemd-nspawn keeps CAP_SYS_TIME to itself), and CLOCK_REALTIME has no namespace. So
libfaketime sets it for one service alone, the router or journald, by a file that it reads again every second; clocks
that nobody can set (CLOCK_MONOTONIC) stay what they are, as they do then. It makes every look at a clock slow.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.job.house import BASIC, ask, chat, configure, main_pid, run, sentence, state, until, watching, write_gguf
from tests.job.mishaps import Question, agree, detail, nothing_is_left, override
from tests.lab.hold import held

DAY = 86_400
CLOCK = Path("/run/swapper-test-clock")

FORTH_AND_BACK = pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])


@contextlib.contextmanager
def clock_of(service: str) -> Iterator[Callable[[int], None]]:
    """Restart a service under a clock; what is given sets that, so many seconds from the real time."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    variables = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": CLOCK,
        "FAKETIME_CACHE_DURATION": 1,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        "FAKETIME_DISABLE_SHM": 1,
        "NO_FAKE_STAT": 1,
    }

    def set_clock(seconds: int) -> None:
        CLOCK.with_suffix(".new").write_text(f"{seconds:+d}\n")
        CLOCK.with_suffix(".new").replace(CLOCK)

    set_clock(0)
    try:
        with override(service, "\n".join(f"Environment={name}={value}" for name, value in variables.items())):
            run("systemctl", "restart", f"{service}.service")
            yield set_clock
    finally:
        run("systemctl", "reset-failed", f"{service}.service")  # it is else not started that often
        run("systemctl", "restart", f"{service}.service")
        CLOCK.unlink()


def off() -> float:
    """How far the router's clock is from the real one, in seconds, as it says itself."""
    said = parsedate_to_datetime(ask("GET", "/health").headers["Date"])
    return said.timestamp() - time.time()


def set_by(seconds: float) -> bool:
    """Whether the router's clock is that far from the real one."""
    return abs(off() - seconds) < 3600


def journald_set_by(seconds: float) -> bool:
    """Whether journald's is, for what it writes from now on."""
    run("systemd-cat", "--identifier=test-clock", "echo", "what time is it?")
    run("journalctl", "--sync")
    (entry,) = run("journalctl", "--identifier=test-clock", "--lines=1", "--output=json").splitlines()
    return abs(int(json.loads(entry)["__REALTIME_TIMESTAMP"]) / 1e6 - time.time() - seconds) < 3600


@FORTH_AND_BACK
def test_requests_wait_and_run_on(jump: int) -> None:
    configure(BASIC.replace("model: beta.gguf,", "model: beta.gguf, queue: 1, concurrency: 1, queue_timeout: 1h,"))
    with clock_of("swapper") as set_clock:
        chat("alpha")
        # No stream runs meanwhile: under libfaketime it would take all that the processor has.
        with held(main_pid("llama@alpha")):
            running = Question("alpha")
            until(lambda: detail("alpha", "leases") == 1, "one is under way")
            waiting = [Question("beta"), Question("beta")]
            until(lambda: detail("beta", "waiting") == 2, "two wait")
            set_clock(jump)
            until(lambda: set_by(jump), "the clock is set")
            refused = chat("beta")
            assert (refused.status, refused.error["code"]) == (429, "queue_full")
            assert 1 <= int(refused.headers.get("Retry-After", "1")) < 600
            assert not any(question.over for question in (running, *waiting))
        assert running.answer.content == sentence("alpha")
        assert [question.answer.content for question in waiting] == [sentence("beta")] * 2
        changes = ask("GET", "/api/models").json["changes"]
        assert all(change["lasted"] is None or 0 <= change["lasted"] < 600 for change in changes), changes
        assert 0 < float(str(detail("beta", "load_seconds"))) < 600
        agree()
        nothing_is_left()


@FORTH_AND_BACK
def test_an_idle_model_has_its_time_and_no_more(jump: int) -> None:
    configure("models:\n  alpha: {engine: llama, model: alpha.gguf, context: 2048, ttl: 20s}\n")
    with clock_of("swapper") as set_clock:
        assert chat("alpha").content == sentence("alpha")
        with watching("alpha", "stopped") as stopped:
            set_clock(jump)
            until(lambda: set_by(jump), "the clock is set")
            assert state("alpha") == "ready"
            stopped()
        changes = ask("GET", "/api/models").json["changes"]
        (served,) = (change["lasted"] for change in changes if change["old"] == "ready")
        assert 20 <= served < 68


def test_models_are_swapped_whatever_the_clock_says() -> None:
    with clock_of("swapper") as set_clock:
        for jump in (DAY, -DAY):
            set_clock(jump)
            until(lambda: set_by(jump), "the clock is set")  # noqa: B023
            for model in ("alpha", "beta"):
                assert chat(model).content == sentence(model)
        agree()


def test_errors_quote_the_engines_last_words() -> None:
    """Though what journald wrote before is a day younger than what it writes now.

    Back only: a journald under libfaketime ends itself where the clock goes forward by that much.
    """
    path = write_gguf("alpha")
    whole = path.read_bytes()
    with clock_of("systemd-journald") as set_clock:
        assert chat("alpha").content == sentence("alpha")
        path.write_bytes(whole[: len(whole) // 2])
        try:
            ask("POST", "/api/models/alpha/unload")
            set_clock(-DAY)
            until(lambda: journald_set_by(-DAY), "the clock is set")
            answer = chat("alpha")
            assert (answer.status, answer.error["code"]) == (503, "model_failed")
            assert any("alpha.gguf" in line for line in answer.error["journal"]), answer.error
        finally:
            path.write_bytes(whole)
