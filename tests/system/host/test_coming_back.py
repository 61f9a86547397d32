"""Systemd and the bus go away and come back; nothing is lost."""

import asyncio
import os
import signal

import pytest

from swapper.host.status import JobResult
from tests.system.host.units import unit_name
from tests.system.host.watch import ACTIVATING, ACTIVE, FAILED, INACTIVE, Units, command, refusal, run, watching


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


def test_who_waits_too_long_for_the_bus_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swapper.host.units._PATIENCE", 0.2)
    monkeypatch.setattr("swapper.host.units._RETRY", 0.1)

    async def test() -> None:
        unit = unit_name("slow")
        async with watching() as watch:
            waiting = asyncio.create_task(refusal(watch.units.start(unit)))
            await watch.until(lambda: watch.states(unit) == [ACTIVATING])
            await command("systemctl", "stop", "dbus.socket", "dbus.service")
            try:
                asked = await refusal(watch.units.status(unit))
                assert {asked.code, (await waiting).code} == {"dbus_unavailable"}
                assert asked.hint == "systemctl status dbus polkit"
                await command("systemctl", "kill", "--signal=KILL", unit)
            finally:
                await command("systemctl", "start", "dbus.socket", "dbus.service")
            await watch.until(lambda: watch.last(unit).active is FAILED)

    run(test())


def test_without_a_bus_there_is_no_connection() -> None:
    async def test() -> None:
        failure = await refusal(Units.connect(lambda _: None, lambda: None))
        assert failure.code == "dbus_unavailable"

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
        run(test())
