"""What systemd and the journal know of when something happened; all on one clock, CLOCK_MONOTONIC in seconds."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.job import house

STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
"""Message ids of systemd's journal entries on units (sd-messages.h)."""

_STAMPS = {
    "forked": "ExecMainStartTimestampMonotonic",
    "handed_over": "ExecMainHandoffTimestampMonotonic",
    "began": "InactiveExitTimestampMonotonic",
    "active": "ActiveEnterTimestampMonotonic",
}


@dataclass(frozen=True, slots=True)
class UnitTimes:
    """A unit's last start.

    Attributes:
        began: It left "inactive".
        forked: Its main process was forked.
        handed_over: That process had been set up (namespaces, filters, user) and executed the command.
        active: It was ready.
        cpu: Processor time of all its processes so far, as its cgroup counts it.
    """

    began: float
    forked: float
    handed_over: float
    active: float
    cpu: float


def unit_times(unit: str) -> UnitTimes:
    """Read them from systemd."""
    wanted = [*_STAMPS.values(), "CPUUsageNSec"]
    lines = house.run("systemctl", "show", "--property", ",".join(wanted), unit).split()
    found = dict(line.split("=", 1) for line in lines)
    stamps = {name: int(found[key]) / 1e6 for name, key in _STAMPS.items()}
    return UnitTimes(**stamps, cpu=int(found["CPUUsageNSec"]) / 1e9)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal, and when it was sent (by what streams its output: received)."""

    at: float
    fields: Mapping[str, str]

    def __getitem__(self, field: str) -> str:
        return self.fields.get(field, "")


def journal(since: float) -> list[Entry]:
    """The journal from some moment on."""
    house.run("journalctl", "--sync")
    lines = house.run("journalctl", "--boot", "--output=json", "--all").splitlines()
    return [entry for entry in _entries(lines) if entry.at >= since]


def _entries(lines: list[str]) -> Iterator[Entry]:
    realtime = time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()
    for line in lines:
        fields: dict[str, str] = json.loads(line)
        source = fields.get("_SOURCE_REALTIME_TIMESTAMP")
        at = int(source) / 1e6 - realtime if source else int(fields["__MONOTONIC_TIMESTAMP"]) / 1e6
        yield Entry(at, fields)
