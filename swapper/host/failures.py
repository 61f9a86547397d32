"""Why a unit is not doing what was asked, in words: code, what happened, which command to run.

Pure. Results of services are listed in systemd.exec(5) under `$SERVICE_RESULT`, exit statuses that systemd itself gives
a process in its section "Process Exit Codes", errors of the manager in systemd's bus-common-errors.
"""

import shlex
import signal
from typing import Final

from swapper.core.model import Failure
from swapper.host.status import JobResult, UnitStatus

_RESULTS: Final = {
    "resources": "systemd had not what it takes to start it (resources)",
    "protocol": "its main process ended before it was ready (protocol)",
    "oom-kill": "it ran out of memory (oom-kill)",
    "start-limit-hit": "it was started too often in a short time (start-limit-hit)",
    "exec-condition": "its ExecCondition= said no (exec-condition)",
}

_SET_UP: Final = {
    200: "its working directory could not be entered (200/CHDIR)",
    203: "its program could not be executed (203/EXEC)",
    206: "its OOM score could not be set (206/OOM_ADJUST)",
    216: "its group is not there (216/GROUP)",
    217: "its user is not there (217/USER)",
    218: "its capabilities could not be set (218/CAPABILITIES)",
    219: "its control group could not be set up (219/CGROUP)",
    225: "its network namespace could not be set up (225/NETWORK)",
    226: "its file system namespace could not be set up (226/NAMESPACE)",
    228: "its system call filter could not be set up (228/SECCOMP)",
    233: "its runtime directory could not be set up (233/RUNTIME_DIRECTORY)",
    238: "its state directory could not be set up (238/STATE_DIRECTORY)",
    239: "its cache directory could not be set up (239/CACHE_DIRECTORY)",
    243: "its credentials could not be set up (243/CREDENTIALS)",
}

_JOBS: Final = {
    JobResult.CANCELED: "another request to start or stop it took this one's place",
    JobResult.TIMEOUT: "its turn did not come in time",
    JobResult.FAILED: "the start failed",
    JobResult.DEPENDENCY: "a unit that it needs failed",
    JobResult.ASSERT: "one of its Assert…= settings is not met",
    JobResult.UNSUPPORTED: "this system does not support that kind of unit",
    JobResult.COLLECTED: "systemd dropped the job",
    JobResult.ONCE: "it may run only once per boot",
    JobResult.FROZEN: "it is frozen",
    JobResult.CONCURRENCY: "its slice runs as many units as it may",
    JobResult.INVALID: "its state does not allow that",
    JobResult.SKIPPED: "there was nothing to be done",
    JobResult.DONE: "it ended at once",
}

_DENIED: Final = (
    "unit_refused",
    "systemd does not allow this user to {what} {unit}.",
    "The rule of swapper in /usr/share/polkit-1/rules.d allows it; see: journalctl -u polkit",
)
_REFUSALS: Final = {  # by the last word of the D-Bus error's name: code, message, hint
    "AccessDenied": _DENIED,
    "InteractiveAuthorizationRequired": _DENIED,
    "UnitMasked": ("model_disabled", "{unit} is masked: an administrator disabled it.", "systemctl unmask {name}"),
    "NoSuchUnit": ("unit_refused", "systemd knows no unit {unit}.", "systemctl daemon-reload; systemctl cat {name}"),
    "BadUnitSetting": ("unit_refused", "{unit} has a setting that is wrong: {text}", "systemd-analyze verify {name}"),
    "LoadFailed": ("unit_refused", "{unit} could not be loaded: {text}", "systemd-analyze verify {name}"),
}
_OTHER: Final = ("unit_refused", "systemd refused to {what} {unit}: {text}", "systemctl status {name}")

_GONE: Final = frozenset(
    {"ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "Timeout", "TimedOut", "NoServer", "ShuttingDown"}
)


def describe(status: UnitStatus) -> Failure:
    """Why the unit failed: from its result and how its main process ended."""
    return Failure("model_failed", f"{status.unit} failed: {_reason(status)}.", f"journalctl -u {_name(status.unit)}")


def unfinished(unit: str, result: JobResult) -> Failure:
    """Why a start that systemd accepted did not leave the unit running, where the unit itself did not fail."""
    message = f"{unit} was not started: {_JOBS[result]} ({result})."
    if result is JobResult.CANCELED:
        return Failure("model_stopped", message, "Send the request again.")
    return Failure("model_failed", message, f"systemctl status {_name(unit)}")


def refused(what: str, unit: str, error: str, text: str) -> Failure:
    """Why systemd did not take a request, or could not be reached.

    Args:
        what: What was asked, such as "start".
        unit: The unit that it was asked of; empty where it was about none.
        error: D-Bus error name; empty when the error is not the other side's, but one of the connection.
        text: What the other side says of it.
    """
    if gone(error):
        return unreachable(text)
    code, message, hint = _REFUSALS.get(error.rpartition(".")[2], _OTHER)
    words = {"what": what, "unit": unit or "its units", "name": _name(unit), "text": text}
    return Failure(code, message.format_map(words), hint.format_map(words).rstrip())


def gone(error: str) -> bool:
    """Whether a D-Bus error says that there is nobody to ask; the connection's own errors (no name) do."""
    return not error or error.rpartition(".")[2] in _GONE


def in_the_way(error: str) -> bool:
    """Whether a D-Bus error says that a job of somebody else's is under way which this one would have cancelled."""
    return error.rpartition(".")[2] == "TransactionIsDestructive"


def unreachable(text: str) -> Failure:
    """D-Bus, or systemd behind it, is not there."""
    message = f"systemd cannot be reached over D-Bus: {text}"
    return Failure("dbus_unavailable", message, "systemctl status dbus polkit", retry_after=5.0)


def _reason(status: UnitStatus) -> str:
    if reason := _RESULTS.get(status.result):
        return reason
    match status.result:
        case "watchdog":
            return f"it did not answer health checks{_seconds('for', status.watchdog_us)} (watchdog)"
        case "timeout" if status.was_ready:
            return "it did not stop in time (timeout)"
        case "timeout":
            return f"it was not ready{_seconds('within', status.start_timeout_us)} (timeout)"
        case "success":
            return "systemd does not say why"
        case _:
            return _end(status)


def _end(status: UnitStatus) -> str:
    match status.exit_code:  # si_code of waitid(2): CLD_EXITED, CLD_KILLED, CLD_DUMPED
        case 1 if status.exit_status in _SET_UP:
            return _SET_UP[status.exit_status]
        case 1:
            return f"the engine ended with exit status {status.exit_status}"
        case 2:
            return f"the engine was killed by {_signal(status.exit_status)}"
        case 3:
            return f"the engine crashed with {_signal(status.exit_status)} (core dumped)"
        case _:
            return f"a command of its start or stop failed ({status.result})"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _seconds(word: str, microseconds: int) -> str:
    return f" {word} {microseconds / 1e6:g} s" if microseconds else " in time"


def _name(unit: str) -> str:
    """A unit as a person types it in a shell."""
    return shlex.quote(unit.removesuffix(".service"))
