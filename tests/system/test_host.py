"""Units as real systemd runs them: in a booted machine, as root, PID 1 starts, stops and fails small units for us."""

import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from swapper.core.events import ActiveState
from swapper.core.model import Failure
from swapper.host import failures
from swapper.host.status import JobResult, UnitRefused, UnitStatus

if not Path("/run/systemd/system").is_dir() or os.geteuid() != 0:
    pytest.skip("needs root in a machine that systemd booted", allow_module_level=True)

from swapper.host.units import Units

UNITS = Path("/run/systemd/system")
PATIENCE = 30.0
"""Seconds after which an event that has not come will not come."""

READY = "systemd-notify --ready --status=Serving; exec sleep infinity"
ACTIVATING, ACTIVE = ActiveState.ACTIVATING, ActiveState.ACTIVE
DEACTIVATING, INACTIVE, FAILED = ActiveState.DEACTIVATING, ActiveState.INACTIVE, ActiveState.FAILED


def unit_name(name: str) -> str:
    return f"llama@test-host-{name}.service"


def write(name: str, command: str = READY, *, unit: str = "", service: str = "") -> str:
    """Put a unit in place; systemd has to be told by a daemon-reload."""
    (UNITS / unit_name(name)).write_text(
        f"[Unit]\nDescription=Test of host\nStartLimitIntervalSec=0\n{unit}\n"
        f"[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c '{command}'\n{service}\n"
    )
    return unit_name(name)


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module", autouse=True)
def units_in_place() -> Iterator[None]:
    for name in "abcd":
        write(name)
    write("fails", "echo no luck; exit 3")
    write("mute", "exec sleep infinity", service="TimeoutStartSec=1")
    write("hung", service="WatchdogSec=1")
    write("stubborn", f'trap "" TERM; {READY.replace("exec ", "")}', service="TimeoutStopSec=1")
    write("asserts", unit="AssertPathExists=/nonexistent")
    write("needy", unit=f"Requires={unit_name('fails')}\nAfter={unit_name('fails')}")
    write("broken", service="NoNewPrivileges=perhaps\nType=levitate\nExecStart=")
    write("gone", service="ExecStart=\nExecStart=/nonexistent")
    write("pinned", service='Environment=CUDA_VISIBLE_DEVICES=0,1 "TWO=a b=c"')
    (UNITS / unit_name("masked")).symlink_to("/dev/null")
    systemctl("daemon-reload")
    yield
    for path in UNITS.glob("llama@test-host-*"):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    systemctl("daemon-reload")


@pytest.fixture(autouse=True)
def units_at_rest(units_in_place: None) -> Iterator[None]:  # noqa: ARG001
    yield
    systemctl("stop", unit_name("*"))
    systemctl("reset-failed", unit_name("*"))


class Watch:
    """Units, and what was heard of them, in order."""

    def __init__(self) -> None:
        self.heard: list[UnitStatus] = []
        self.reloads = 0
        self._changed = asyncio.Event()
        self.units: Units

    def on_change(self, status: UnitStatus) -> None:
        self.heard.append(status)
        self._changed.set()

    def on_reload(self) -> None:
        self.reloads += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was heard fulfils a condition."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def states(self, unit: str) -> list[ActiveState]:
        """The states that a unit went through, each once."""
        states = [status.active for status in self.heard if status.unit == unit]
        return [state for before, state in zip([None, *states], states, strict=False) if state != before]

    def last(self, unit: str) -> UnitStatus:
        return next(status for status in reversed(self.heard) if status.unit == unit)


@asynccontextmanager
async def watching() -> AsyncGenerator[Watch]:
    watch = Watch()
    watch.units = await Units.connect(watch.on_change, watch.on_reload)
    try:
        yield watch
    finally:
        await watch.units.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}


def run[T](test: Coroutine[object, object, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(4 * PATIENCE):
            return await test

    return asyncio.run(limited())


async def command(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(*arguments)
    assert await process.wait() == 0


async def refusal(request: Coroutine[object, object, object]) -> Failure:
    with pytest.raises(UnitRefused) as refused:
        await request
    return refused.value.failure


def test_a_start_returns_when_the_unit_is_active_and_its_last_change_was_heard() -> None:
    async def test() -> None:
        unit = unit_name("a")
        async with watching() as watch:
            assert await watch.units.start(unit) is JobResult.DONE
            assert watch.states(unit) == [ACTIVATING, ACTIVE]
            await watch.until(lambda: watch.last(unit).status_text == "Serving")
            now = await watch.units.status(unit)
            assert now == (watch.last(unit).updated({"LoadState": "loaded"}))
            assert now.main_pid > 0
            assert len(now.invocation) == 32
            assert now in await watch.units.list()
            assert await watch.units.stop(unit) is JobResult.DONE
            assert watch.states(unit) == [ACTIVATING, ACTIVE, DEACTIVATING, INACTIVE]
            assert not any(status.running for status in await watch.units.list() if status.unit == unit)
            assert not (await watch.units.status(unit)).running

    run(test())


def test_what_the_bridge_adds_to_a_start(record_property: Callable[[str, object], None]) -> None:
    """From systemd's own time stamps: until the unit is on its way, and from ready to `start()` having returned."""

    async def test() -> None:
        unit = unit_name("a")
        before, after, stops = [], [], []
        async with watching() as watch:
            for _ in range(20):
                called = time.monotonic()
                await watch.units.start(unit)
                returned = time.monotonic()
                stamps = systemctl(
                    "show", unit, "-P", "InactiveExitTimestampMonotonic", "-P", "ActiveEnterTimestampMonotonic"
                )
                left, active = (int(stamp) / 1e6 for stamp in stamps.split())
                before.append(left - called)
                after.append(returned - active)
                called = time.monotonic()
                await watch.units.stop(unit)
                stops.append(time.monotonic() - called)
        figures = [f"{name} {statistics.median(times) * 1000:.1f} ms" for name, times in
                   (("call to activating", before), ("active to return", after), ("stop", stops))]  # fmt: skip
        record_property("latency", figures)
        print("\n" + ", ".join(figures))
        assert statistics.median(after) < 0.025

    run(test())


def test_of_many_starts_and_stops_every_change_is_heard_in_order() -> None:
    async def cycle(watch: Watch, unit: str, dice: random.Random) -> int:
        starts = 0
        for _ in range(25):
            if dice.random() < 0.5:
                starts += not await running(watch, unit)
                assert await watch.units.start(unit) is JobResult.DONE
                assert watch.last(unit).active is ACTIVE
            else:
                assert await watch.units.stop(unit) is JobResult.DONE
                assert watch.states(unit)[-1:] in ([], [INACTIVE])
        await watch.units.stop(unit)
        return starts

    async def running(watch: Watch, unit: str) -> bool:
        return (await watch.units.status(unit)).running

    async def test() -> None:
        names = [unit_name(name) for name in "abcd"]
        async with watching() as watch:
            starts = await asyncio.gather(*(cycle(watch, unit, random.Random(unit)) for unit in names))  # noqa: S311
            for unit, count in zip(names, starts, strict=True):
                assert count > 3
                assert watch.states(unit) == [ACTIVATING, ACTIVE, DEACTIVATING, INACTIVE] * count
                assert len({status.invocation for status in watch.heard if status.unit == unit}) == count

    run(test())


@pytest.mark.parametrize(
    ("name", "states", "message"),
    [
        ("fails", [ACTIVATING, FAILED], "the engine ended with exit status 3"),
        ("gone", [ACTIVATING, FAILED], "its program could not be executed (203/EXEC)"),
        ("mute", [ACTIVATING, DEACTIVATING, FAILED], "it was not ready within 1 s (timeout)"),
    ],
)
def test_a_failed_start_is_told_completely(name: str, states: list[ActiveState], message: str) -> None:
    async def test() -> None:
        unit = unit_name(name)
        async with watching() as watch:
            assert await watch.units.start(unit) is JobResult.FAILED
            heard = watch.states(unit)
            assert [state for state in heard if state is not DEACTIVATING] == [
                s for s in states if s is not DEACTIVATING
            ]
            assert failures.describe(watch.last(unit)).message == f"{unit} failed: {message}."

    run(test())


@pytest.mark.parametrize(
    ("name", "end", "message"),
    [
        ("a", ["systemctl", "kill", "--signal=KILL", unit_name("a")], "the engine was killed by SIGKILL"),
        ("hung", ["true"], "it did not answer health checks for 1 s (watchdog)"),
        ("stubborn", ["systemctl", "stop", unit_name("stubborn")], "it did not stop in time (timeout)"),
    ],
)
def test_a_unit_that_fails_later_is_told_completely(name: str, end: list[str], message: str) -> None:
    async def test() -> None:
        unit = unit_name(name)
        async with watching() as watch:
            assert await watch.units.start(unit) is JobResult.DONE
            await command(*end)
            await watch.until(lambda: watch.last(unit).active is FAILED)
            assert failures.describe(watch.last(unit)).message == f"{unit} failed: {message}."
            assert await watch.units.start(unit) is JobResult.DONE
            assert watch.states(unit).count(FAILED) == 1
            await watch.units.stop(unit)

    run(test())


def test_a_start_that_cannot_be_is_refused_with_a_reason() -> None:
    async def test() -> None:
        async with watching() as watch:
            masked = await refusal(watch.units.start(unit_name("masked")))
            assert masked.code == "model_disabled"
            assert masked.hint == "systemctl unmask llama@test-host-masked"
            assert (await watch.units.status(unit_name("masked"))).masked
            unknown = await refusal(watch.units.start("nobody-knows@this.service"))
            assert (unknown.code, unknown.message) == (
                "unit_refused",
                "systemd knows no unit nobody-knows@this.service.",
            )
            broken = await refusal(watch.units.start(unit_name("broken")))
            assert broken.code == "unit_refused"
            assert broken.hint == "systemd-analyze verify llama@test-host-broken"
            assert watch.heard == []

    run(test())


def test_a_start_that_systemd_gives_up_says_how() -> None:
    async def test() -> None:
        async with watching() as watch:
            assert await watch.units.start(unit_name("asserts")) is JobResult.ASSERT
            assert await watch.units.start(unit_name("needy")) is JobResult.DEPENDENCY
            assert watch.states(unit_name("needy")) == []

    run(test())


def test_another_user_may_look_but_not_touch() -> None:
    code = f"""
import asyncio, json
from swapper.host.units import UnitRefused, Units
async def main():
    units = await Units.connect(print, print)
    try:
        await units.start({unit_name("a")!r})
    except UnitRefused as refused:
        status = await units.status({unit_name("a")!r})
        print(json.dumps([refused.failure.code, refused.failure.message, status.load]))
asyncio.run(main())
"""
    completed = subprocess.run(
        [sys.executable, "-c", code],
        user="nobody", group="nogroup", extra_groups=[], cwd="/", stdout=subprocess.PIPE, check=True, timeout=PATIENCE,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    expected = ["unit_refused", f"systemd does not allow this user to start {unit_name('a')}.", "loaded"]
    assert json.loads(completed.stdout) == expected


def test_what_runs_already_is_listed_and_then_watched() -> None:
    unit = unit_name("b")
    systemctl("start", unit)

    async def test() -> None:
        async with watching() as watch:
            (listed,) = (status for status in await watch.units.list() if status.unit == unit)
            assert (listed.active, listed.status_text) == (ACTIVE, "Serving")
            assert watch.heard == []
            await command("systemctl", "restart", unit)
            await watch.until(lambda: watch.states(unit) == [DEACTIVATING, INACTIVE, ACTIVATING, ACTIVE])
            assert watch.last(unit).invocation not in {"", listed.invocation}
            await command("systemctl", "stop", unit)
            await watch.until(lambda: watch.last(unit).active is INACTIVE)

    run(test())


def test_those_who_wait_for_one_start_share_its_end() -> None:
    async def test() -> None:
        unit = unit_name("c")
        async with watching() as watch:
            one, two, three = (asyncio.create_task(watch.units.start(unit)) for _ in range(3))
            await watch.until(lambda: watch.states(unit) == [ACTIVATING])
            three.cancel()
            assert tuple(await asyncio.gather(one, two)) == (JobResult.DONE, JobResult.DONE)
            assert watch.states(unit) == [ACTIVATING, ACTIVE]
            await watch.units.stop(unit)

    run(test())


def test_a_stop_takes_the_place_of_a_start() -> None:
    async def test() -> None:
        unit = unit_name("mute")
        async with watching() as watch:
            starting = asyncio.create_task(watch.units.start(unit))
            await watch.until(lambda: watch.states(unit) == [ACTIVATING])
            assert await watch.units.stop(unit) is JobResult.DONE
            assert await starting is JobResult.CANCELED
            assert watch.last(unit).active is INACTIVE

    run(test())


def test_the_environment_is_read_as_systemd_sees_it_drop_ins_included() -> None:
    async def test() -> None:
        unit = unit_name("pinned")
        async with watching() as watch:
            assert await watch.units.environment(unit) == (("CUDA_VISIBLE_DEVICES", "0,1"), ("TWO", "a b=c"))
            folder = UNITS / f"{unit}.d"
            folder.mkdir()
            (folder / "override.conf").write_text("[Service]\nEnvironment=CUDA_VISIBLE_DEVICES=3\n")
            await command("systemctl", "daemon-reload")
            await watch.until(lambda: watch.reloads == 1)
            assert ("CUDA_VISIBLE_DEVICES", "3") in await watch.units.environment(unit)

    run(test())


@pytest.mark.parametrize("again", [["daemon-reload"], ["daemon-reexec"], ["restart", "dbus.service"]])
def test_nothing_is_lost_when_systemd_or_the_bus_comes_back(again: list[str]) -> None:
    async def test() -> None:
        names = [unit_name(name) for name in "abcd"]
        stays, starts, stops, is_killed = names
        async with watching() as watch:
            for unit in (stays, stops, is_killed):
                await watch.units.start(unit)
            coming_back = asyncio.create_task(command("systemctl", *again))
            os.kill(watch.last(is_killed).main_pid, signal.SIGKILL)
            results = tuple(await asyncio.gather(watch.units.start(starts), watch.units.stop(stops)))
            assert results == (JobResult.DONE, JobResult.DONE)
            await coming_back
            await watch.until(lambda: watch.reloads > 0 and watch.last(is_killed).active is FAILED)
            assert [watch.last(unit).active for unit in names] == [ACTIVE, ACTIVE, INACTIVE, FAILED]
            assert watch.states(stays) == [ACTIVATING, ACTIVE]
            await command("systemctl", "stop", stays, starts)
            await watch.until(lambda: {watch.last(unit).active for unit in (stays, starts)} == {INACTIVE})

    run(test())


def test_what_happens_while_the_bus_is_away_is_told_afterwards() -> None:
    async def test() -> None:
        stops, starts = unit_name("a"), unit_name("b")
        async with watching() as watch:
            await watch.units.start(stops)
            await command("systemctl", "stop", "dbus.socket", "dbus.service")
            try:
                asked = asyncio.create_task(watch.units.status(stops))
                await command("systemctl", "stop", stops)
                await command("systemctl", "start", starts)
            finally:
                await command("systemctl", "start", "dbus.socket", "dbus.service")
            assert not (await asked).running
            await watch.until(lambda: watch.last(stops).active is INACTIVE and watch.states(starts) == [ACTIVE])
            await watch.units.stop(starts)

    run(test())
