"""vLLM (its stand-in) is started while another model still answers, and waits for its GPU at the gate."""

import contextlib
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import Answer, ask, chat, configure, connect, journal, question, rest_of, run, show, state, until
from tests.vllm.rig import (
    ASR,
    MISSION,
    PROGRAM,
    SAID,
    VL,
    active,
    held,
    processes,
    started_with,
    talking,
    unit,
    with_env,
)

GATE = Path(f"/run/swapper-gates/vllm@{ASR}")
DROPIN = Path("/run/systemd/system/swapper.service.d/test-early.conf")
LONG = 100_000
"""Words of an answer that is ended by its client."""

IMPORTS = with_env(ASR, {"STANDIN_IMPORT_SECONDS": "1"})


@pytest.fixture(autouse=True)
def _clean(standin_and_devstral: None) -> Iterator[None]:  # noqa: ARG001
    house.reset()
    run("journalctl", "--rotate")
    run("journalctl", "--vacuum-time=1s")
    configure(IMPORTS)
    yield
    house.reset()


class Asking(threading.Thread):
    """Somebody who asks for the model that starts early, and waits for the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self.answer = chat(ASR)

    def told(self) -> Answer:
        """The answer."""
        self.join(house.PATIENCE)
        assert self.answer is not None
        return self.answer


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """Somebody who asks so, and goes away without the answer."""
    with contextlib.closing(connect()) as connection:
        body = json.dumps(question(ASR))
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        yield


def waits() -> bool:
    return "waits for its GPU" in show(unit(ASR), "StatusText")


def said() -> str:
    """What the present run of its unit has said."""
    run("journalctl", "--sync")
    return run("journalctl", "--output=cat", f"_SYSTEMD_INVOCATION_ID={show(unit(ASR), 'InvocationID')}")


def comes_to_gate() -> None:
    until(waits, "it is started, and waits")
    until(lambda: "imported" in said(), "it imports meanwhile")
    assert show(unit(ASR), "ActiveState") == "activating"
    assert state(ASR) == "starting"
    assert state(VL) == "draining"
    assert "takes its GPU" not in said()


def stamp(model: str, what: str) -> int:
    """When a unit last became what it is, in microseconds of the machine's clock."""
    return int(show(unit(model), f"{what}TimestampMonotonic"))


def moment(model: str, line: str) -> int:
    """When an engine had said something, or systemd of it, in microseconds of the same clock.

    A busy journal has it a little later than it was said. Of what systemd says it knows how much later ("Trusted
    Journal Fields" in systemd.journal-fields(7)), of what an engine says it does not.
    """
    run("journalctl", "--sync")
    lines = run("journalctl", "--unit", unit(model), "--boot", "--output=json", "--grep", line).splitlines()
    entry = json.loads(lines[-1])
    taken = int(entry["__REALTIME_TIMESTAMP"])
    late = taken - int(entry.get("_SOURCE_REALTIME_TIMESTAMP", taken))
    return int(entry["__MONOTONIC_TIMESTAMP"]) - late


def test_it_imports_while_the_other_one_answers_and_takes_its_gpu_when_that_is_gone() -> None:
    assert chat("vision").status == 200
    with held(VL) as go_on, talking("vision", 1500) as response:
        asking = Asking()
        comes_to_gate()
        time.sleep(2)  # which are none of the load
        go_on()
        data, whole = rest_of(response)
    assert whole
    assert data.count(b" loop") >= 1490
    assert asking.told().content == SAID
    # systemd forgets a unit that has stopped, and when that was.
    gone, came, now = moment(VL, "^Stopped "), stamp(ASR, "ActiveEnter"), time.monotonic() * 1e6
    assert moment(ASR, "^imported") < gone < moment(ASR, "^takes its GPU")
    assert active() == [unit(ASR)]
    ready = re.search(r"ready after ([\d.]+) s", show(unit(ASR), "StatusText"))
    assert ready is not None
    assert float(ready[1]) < (came - gone) / 1e6 + 0.1, "from the gate on"
    assert ask("GET", f"/api/models/{ASR}").json["load_seconds"] < (now - gone) / 1e6 + 0.1
    assert sorted(processes(unit(ASR)).values()) == ["VLLM::EngineCor", "swapper-sidecar", "vllm"]
    assert list(GATE.parent.iterdir()) == []


def test_nothing_is_different_for_the_engine() -> None:
    """Its command line, and what it finds in its environment, are those of a start without a gate."""
    run("systemctl", "start", unit(ASR))
    straight = chat(ASR).content, _told()
    run("systemctl", "stop", unit(ASR))
    with talking("vision", LONG):
        asking = Asking()
        comes_to_gate()
    assert (asking.told().content, _told()) == straight


def _told() -> tuple[list[str], dict[str, str]]:
    argv, env = started_with(ASR)
    changing = {"INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "MANAGERPID", "MEMORY_PRESSURE_WATCH"}
    return argv, {name: value for name, value in env.items() if name not in changing}


def test_it_is_stopped_when_nobody_waits_for_it_any_more() -> None:
    with talking("vision", LONG):
        with leaving():
            comes_to_gate()
        until(lambda: show(unit(ASR), "ActiveState") == "inactive", "it goes")
        until(lambda: (state(VL), state(ASR)) == ("ready", "stopped"), "the other one stays")
        assert show(unit(ASR), "Result") == "success"
        assert "takes its GPU" not in journal(unit(ASR))
    assert list(GATE.parent.iterdir()) == []
    assert chat(ASR).content == SAID


def test_who_unloads_it_at_the_gate_has_it_gone() -> None:
    with talking("vision", LONG):
        asking = Asking()
        comes_to_gate()
        began = time.monotonic()
        assert ask("POST", f"/api/models/{ASR}/unload").json["state"] == "stopped"
        assert time.monotonic() - began < 12, "it was not systemd's patience that ended"
        assert show(unit(ASR), "ActiveState") == "inactive"
        assert asking.told().error["code"] == "model_unloaded"


def test_a_stop_by_hand_at_the_gate_is_heard_of() -> None:
    with talking("vision", LONG):
        asking = Asking()
        comes_to_gate()
        run("systemctl", "stop", unit(ASR))
        assert asking.told().error["code"] == "model_stopped"
        assert state(ASR) == "stopped"
        until(lambda: state(VL) == "ready", "the other one stays")
    assert chat(ASR).content == SAID


def test_what_cannot_be_imported_is_a_failed_start_and_the_other_one_stays() -> None:
    configure(with_env(ASR, {"STANDIN_IMPORT": "fail"}))
    with talking("vision", LONG):
        answer = chat(ASR)
        assert answer.error["code"] == "model_failed"
        assert "libtorch_cpu.so: cannot open shared object file" in answer.error["message"]
        assert state(ASR) == "failed"
        until(lambda: state(VL) == "ready", "the other one stays")


@pytest.mark.parametrize("router", ["runs", "is stopped"])
def test_a_start_by_hand_goes_straight_through(router: str) -> None:
    if router == "runs":
        assert chat("devstral").status == 200
    else:
        run("systemctl", "stop", "swapper.service")
    run("systemctl", "start", unit(ASR))
    assert show(unit(ASR), "ActiveState") == "active"
    assert "takes its GPU" in journal(unit(ASR))


def test_so_does_one_in_place_of_one_at_the_gate() -> None:
    with talking("vision", LONG):
        asking = Asking()
        comes_to_gate()
        run("systemctl", "restart", unit(ASR))
        assert show(unit(ASR), "ActiveState") == "active"
        assert asking.told().status in {200, 503}
        until(lambda: state(ASR) == "ready", "it is taken over")


def test_a_router_that_is_killed_finds_it_at_the_gate_and_nobody_waits_for_it() -> None:
    with talking("vision", LONG):
        with leaving():
            comes_to_gate()
            run("systemctl", "kill", "--signal=KILL", "swapper.service")
            until(lambda: show(unit(ASR), "ActiveState") == "inactive", "nobody waits, so it goes")
        until(lambda: (state(VL), state(ASR)) == ("ready", "stopped"), "as systemd says")
    assert show(unit(ASR), "Result") == "success"
    assert show(unit(VL), "ActiveState") == "active"
    assert "takes its GPU" not in journal(unit(ASR))
    assert chat(ASR).content == SAID


def test_a_router_that_is_stopped_stops_it() -> None:
    with talking("vision", LONG), leaving():
        comes_to_gate()
        run("systemctl", "stop", "swapper.socket", "swapper.service")
        assert show(unit(ASR), "ActiveState") == "inactive"
    assert show(unit(VL), "ActiveState") == "active"
    assert "takes its GPU" not in journal(unit(ASR))


def test_a_router_that_never_comes_back_leaves_nobody_at_the_gate() -> None:
    DROPIN.parent.mkdir(parents=True, exist_ok=True)
    DROPIN.write_text("[Service]\nRestart=no\n")
    try:
        run("systemctl", "daemon-reload")
        with talking("vision", LONG), leaving():
            comes_to_gate()
            run("systemctl", "kill", "--signal=KILL", "swapper.service")
            until(lambda: show(unit(ASR), "ActiveState") == "failed", "it ends")
    finally:
        DROPIN.unlink()
        run("systemctl", "daemon-reload")
    assert show(unit(VL), "ActiveState") == "active"
    assert "start the model again" in journal(unit(ASR))
    assert "takes its GPU" not in journal(unit(ASR))
    assert chat(ASR).content == SAID


def test_time_at_the_gate_is_no_time_of_the_start() -> None:
    configure(IMPORTS.replace(f"{ASR}:\n    {{", f"{ASR}:\n    {{load_timeout: 10s, "))
    with talking("vision", LONG):
        asking = Asking()
        comes_to_gate()
        time.sleep(12)
        assert waits()
    assert asking.told().content == SAID


def test_a_frozen_engine_that_came_through_the_gate_is_not_waited_for_longer_than_others() -> None:
    frozen = with_env(ASR, {"STANDIN_LOAD_SECONDS": "1000"})
    configure(frozen.replace(f"{ASR}:\n    {{", f"{ASR}:\n    {{load_timeout: 10s, "))
    with talking("vision", LONG):
        asking = Asking()
        until(waits, "it comes to the gate")
        time.sleep(12)
    began = time.monotonic()
    assert asking.told().error["code"] in {"model_failed", "model_load_timeout"}
    assert time.monotonic() - began < 30


def test_it_can_be_left() -> None:
    configure("router: {early_start: false}\n" + IMPORTS)
    assert chat("vision").status == 200
    with held(VL) as go_on, talking("vision", 1000) as response:
        asking = Asking()
        until(lambda: state(VL) == "draining", "the other one drains")
        time.sleep(1)
        assert show(unit(ASR), "ActiveState") == "inactive"
        go_on()
        assert rest_of(response)[1]
    assert asking.told().content == SAID
    assert "waits for its GPU" not in journal("swapper")


def test_a_program_that_is_no_python_script_waits_too() -> None:
    wrapper = PROGRAM.with_name("vllm-wrapped")
    wrapper.write_text(f'#!/bin/sh\nexec {PROGRAM} "$@"\n')
    wrapper.chmod(0o755)
    configure(f"engines: {{vllm: {{path: {wrapper}}}}}\n" + MISSION)
    with talking("vision", LONG):
        asking = Asking()
        until(waits, "it waits")
        assert "takes its GPU" not in journal(unit(ASR))
    assert asking.told().content == SAID
    wrapper.unlink()


def test_an_engine_that_dies_at_the_gate_is_told_of() -> None:
    with talking("vision", LONG):
        asking = Asking()
        comes_to_gate()
        run("systemctl", "kill", f"--signal={signal.SIGKILL.value}", unit(ASR))
        assert asking.told().error["code"] == "model_failed"
        until(lambda: state(VL) == "ready", "the other one stays")
