"""What systemd says of a unit, in our words: pure, so that it is read and tested without a bus.

Names of properties and job results are those of org.freedesktop.systemd1(5).
"""

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from swapper.core.events import ActiveState
from swapper.core.model import Failure

UNIT_PATH: Final = "/org/freedesktop/systemd1/unit/"

_NEVER_US: Final = 2**64 - 1

_FIELDS: Final[Mapping[str, str]] = {
    "LoadState": "load",
    "ActiveState": "active",
    "SubState": "sub",
    "InvocationID": "invocation",
    "Result": "result",
    "StatusText": "status_text",
    "MainPID": "main_pid",
    "ExecMainCode": "exit_code",
    "ExecMainStatus": "exit_status",
    "InactiveExitTimestampMonotonic": "starting_since_us",
    "ActiveEnterTimestampMonotonic": "active_since_us",
    "ActiveExitTimestampMonotonic": "stopping_since_us",
    "InactiveEnterTimestampMonotonic": "inactive_since_us",
    "TimeoutStartUSec": "start_timeout_us",
    "WatchdogUSec": "watchdog_us",
}
UNIT_PROPERTIES: Final = tuple(_FIELDS)
"""The D-Bus properties that a `UnitStatus` is made of."""

_LOADING: Final = re.compile(r"loading .+, (\d{1,3}) % of \S+ [MG]B, \d+ s", re.DOTALL)
_SLOTS: Final = re.compile(r".+ \(.+, (\d+) slots?\)", re.DOTALL)
"""What the launcher's sidecar says of a model (`STATUS=`, in launch.py), as far as it is for more than people."""

_RUNNING: Final = frozenset(ActiveState) - {ActiveState.INACTIVE, ActiveState.FAILED}


class JobResult(enum.StrEnum):
    """How a job ended, as `JobRemoved` reports it (org.freedesktop.systemd1(5), "Signals")."""

    DONE = "done"
    CANCELED = "canceled"
    TIMEOUT = "timeout"
    FAILED = "failed"
    DEPENDENCY = "dependency"
    SKIPPED = "skipped"
    INVALID = "invalid"
    ASSERT = "assert"
    UNSUPPORTED = "unsupported"
    COLLECTED = "collected"
    ONCE = "once"
    FROZEN = "frozen"
    CONCURRENCY = "concurrency"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:  # noqa: ARG003 (whichever a later systemd invents)
        return cls("failed")


class UnitRefused(Exception):  # noqa: N818 (it names what happened, as the failure in it does)
    """Systemd, or the way to it, did not take what was asked. Carries the `Failure` to show."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.message} ({failure.code})")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """One unit at one moment. Times are microseconds, as systemd counts them.

    Attributes:
        unit: Full name, such as `llama@devstral.service`.
        load: `loaded`, `masked`, `not-found`, `bad-setting`, `error`; empty while only changes have been seen.
        active: systemd's `ActiveState`.
        sub: Finer state of the service, such as `auto-restart`; for people.
        invocation: Invocation id, 32 hexadecimal digits; another id is another process. Empty before the first start.
        result: `success`, or how the service failed.
        status_text: What the service last said of itself (`STATUS=`).
        main_pid: Main process, 0 when there is none.
        exit_code: How the main process ended: CLD_EXITED, CLD_KILLED, CLD_DUMPED of waitid(2); 0 when it did not.
        exit_status: Its exit status, or the signal that killed it.
        starting_since_us: When it was started last, CLOCK_MONOTONIC; 0 for never.
        active_since_us: When it became active last, CLOCK_MONOTONIC; 0 for never.
        stopping_since_us: When it was last active no longer, CLOCK_MONOTONIC; 0 for never.
        inactive_since_us: When it last came to rest, CLOCK_MONOTONIC; 0 for never.
        start_timeout_us: `TimeoutStartSec=`; 0 while unknown.
        watchdog_us: `WatchdogSec=`; 0 while unknown.
    """

    unit: str
    load: str = ""
    active: ActiveState = ActiveState.INACTIVE
    sub: str = "dead"
    invocation: str = ""
    result: str = "success"
    status_text: str = ""
    main_pid: int = 0
    exit_code: int = 0
    exit_status: int = 0
    starting_since_us: int = 0
    active_since_us: int = 0
    stopping_since_us: int = 0
    inactive_since_us: int = 0
    start_timeout_us: int = 0
    watchdog_us: int = 0

    @property
    def masked(self) -> bool:
        """Whether an administrator masked the unit: it cannot be started."""
        return self.load == "masked"

    @property
    def running(self) -> bool:
        """Whether the unit has, or may have, processes: neither inactive nor failed."""
        return self.active in _RUNNING

    @property
    def was_ready(self) -> bool:
        """Whether the last start got as far as active."""
        return self.active_since_us >= self.starting_since_us > 0

    @property
    def took(self) -> float | None:
        """Seconds that the start took of a unit that is active, or the stop of one at rest; None where nobody knows."""
        if self.active is ActiveState.ACTIVE and self.was_ready:
            return (self.active_since_us - self.starting_since_us) / 1e6
        ended = not self.running and self.inactive_since_us >= self.stopping_since_us >= self.active_since_us
        return (self.inactive_since_us - self.stopping_since_us) / 1e6 if ended and self.was_ready else None

    @property
    def progress(self) -> float | None:
        """Percentage of its model's files that an engine has read which is being started; None while it is unknown."""
        said = _LOADING.fullmatch(self.status_text) if self.active is ActiveState.ACTIVATING else None
        return float(said[1]) if said is not None else None

    @property
    def slots(self) -> int | None:
        """How many requests an engine that runs works on at once, if it says so."""
        said = _SLOTS.fullmatch(self.status_text) if self.running else None
        return int(said[1]) if said is not None else None

    def updated(self, properties: Mapping[str, Any]) -> "UnitStatus":
        """The same unit after these D-Bus properties were read; unknown ones are passed over."""
        fields = {_FIELDS[name]: value for name, value in properties.items() if name in _FIELDS}
        if "active" in fields:
            fields["active"] = ActiveState(fields["active"])
        if "invocation" in fields:
            fields["invocation"] = bytes(fields["invocation"]).hex()
        for limit in ("start_timeout_us", "watchdog_us"):
            if fields.get(limit) == _NEVER_US:
                fields[limit] = 0
        return replace(self, **fields)

    def news(self, before: "UnitStatus") -> bool:
        """Whether watchers want to hear of this change.

        A unit at rest has no news but its state: on its way to the next start systemd first clears the old result and
        gives it the new invocation id while it still calls it failed, which would read as a second failure.
        """
        if self.active is not before.active:
            return True
        return self.running and (self.invocation, self.status_text) != (before.invocation, before.status_text)


def object_path(unit: str) -> str:
    """D-Bus object path of a unit; reading there loads the unit if need be."""
    plain = re.compile(rb"[A-Za-z0-9]")
    escaped = "".join(
        chr(byte) if plain.match(bytes((byte,))) and not (position == 0 and chr(byte).isdigit()) else f"_{byte:02x}"
        for position, byte in enumerate(unit.encode())
    )
    return UNIT_PATH + (escaped or "_")


def unit_of(path: str) -> str:
    """Unit that a D-Bus object path belongs to, empty when it is no unit's: undoes systemd's `bus_label_escape()`."""
    if not path.startswith(UNIT_PATH) or path == UNIT_PATH + "_":
        return ""
    label = path.removeprefix(UNIT_PATH).encode()
    return re.sub(rb"_([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), label).decode(errors="replace")


def assignments(environment: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """`Environment` as systemd gives it, `KEY=value` each, as pairs."""
    return tuple((key, value) for key, _, value in (assignment.partition("=") for assignment in environment))
