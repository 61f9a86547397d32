"""Units that fail, and starts that are refused, say why."""

import json
import os
import subprocess
import sys

import pytest

from swapper.core.events import ActiveState
from swapper.host import failures
from swapper.host.status import JobResult
from tests.system.host.units import unit_name
from tests.system.host.watch import ACTIVATING, DEACTIVATING, FAILED, PATIENCE, command, refusal, run, watching


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
        ("hung", ["true"], "it did not answer health checks for 5 s (watchdog)"),
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
