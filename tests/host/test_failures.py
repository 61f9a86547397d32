"""Failures say what happened and which command to run."""

from dataclasses import replace

import pytest

from swapper.core.events import ActiveState
from swapper.host.failures import describe, gone, refused, unfinished
from swapper.host.status import JobResult, UnitStatus

UNIT = "llama@devstral.service"
FAILED = UnitStatus(UNIT, active=ActiveState.FAILED, result="exit-code", starting_since_us=10, active_since_us=5)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (replace(FAILED, exit_code=1, exit_status=1), "the engine ended with exit status 1"),
        (replace(FAILED, exit_code=1, exit_status=203), "its program could not be executed (203/EXEC)"),
        (replace(FAILED, exit_code=0), "a command of its start or stop failed (exit-code)"),
        (replace(FAILED, result="signal", exit_code=2, exit_status=9), "the engine was killed by SIGKILL"),
        (replace(FAILED, result="signal", exit_code=2, exit_status=99), "the engine was killed by signal 99"),
        (
            replace(FAILED, result="core-dump", exit_code=3, exit_status=11),
            "the engine crashed with SIGSEGV (core dumped)",
        ),
        (
            replace(FAILED, result="watchdog", watchdog_us=8_000_000),
            "it did not answer health checks for 8 s (watchdog)",
        ),
        (replace(FAILED, result="watchdog"), "it did not answer health checks in time (watchdog)"),
        (replace(FAILED, result="timeout", start_timeout_us=600_000_000), "it was not ready within 600 s (timeout)"),
        (replace(FAILED, result="timeout", active_since_us=11), "it did not stop in time (timeout)"),
        (replace(FAILED, result="oom-kill"), "it ran out of memory (oom-kill)"),
        (
            replace(FAILED, result="start-limit-hit"),
            "it was started too often in a short time (start-limit-hit)",
        ),
        (replace(FAILED, result="success"), "systemd does not say why"),
    ],
)
def test_a_failed_unit_is_described(status: UnitStatus, reason: str) -> None:
    failure = describe(status)
    assert failure.code == "model_failed"
    assert failure.message == f"{UNIT} failed: {reason}."
    assert failure.hint == "journalctl -u llama@devstral"


def test_a_hint_can_be_pasted_into_a_shell() -> None:
    assert describe(replace(FAILED, unit=r"llama@a\x2fb.service")).hint == r"journalctl -u 'llama@a\x2fb'"


@pytest.mark.parametrize("result", JobResult)
def test_every_job_result_has_words(result: JobResult) -> None:
    failure = unfinished(UNIT, result)
    assert failure.message.startswith(f"{UNIT} was not started: ")
    assert failure.message.endswith(f" ({result}).")
    assert failure.hint


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        ("org.freedesktop.systemd1.UnitMasked", "model_disabled", "systemctl unmask llama@devstral"),
        ("org.freedesktop.systemd1.NoSuchUnit", "unit_refused", "systemctl cat llama@devstral"),
        ("org.freedesktop.systemd1.BadUnitSetting", "unit_refused", "systemd-analyze verify llama@devstral"),
        ("org.freedesktop.DBus.Error.AccessDenied", "unit_refused", "journalctl -u polkit"),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "unit_refused", "journalctl -u polkit"),
        ("org.freedesktop.systemd1.TransactionIsDestructive", "unit_refused", "systemctl status llama@devstral"),
        ("org.freedesktop.DBus.Error.ServiceUnknown", "dbus_unavailable", "systemctl status dbus polkit"),
        ("org.freedesktop.DBus.Error.NoReply", "dbus_unavailable", "systemctl status dbus polkit"),
        ("", "dbus_unavailable", "systemctl status dbus polkit"),
    ],
)
def test_a_refusal_has_a_code_and_a_command(error: str, code: str, hint: str) -> None:
    failure = refused("start", UNIT, error, "what {systemd} says.")
    assert failure.code == code
    assert failure.hint.endswith(hint)
    assert failure.message
    assert UNIT in failure.message or code == "dbus_unavailable"
    assert gone(error) == (code == "dbus_unavailable")
