"""Small units for a real systemd, as files in /run."""

import subprocess
from pathlib import Path

UNITS = Path("/run/systemd/system")
GATE = Path("/run/swapper-test-host-gate")
"""A pipe: a unit whose start or end waits for it goes on once somebody writes to it."""
READY = "systemd-notify --ready --status=Serving; exec sleep infinity"


def unit_name(name: str) -> str:
    return f"llama@test-host-{name}.service"


def write(name: str, command: str = READY, *, unit: str = "", service: str = "") -> str:
    """Put a unit in place; systemd has to be told by a daemon-reload."""
    (UNITS / unit_name(name)).write_text(
        f"[Unit]\nDescription=Test of host\nStartLimitIntervalSec=0\n{unit}\n"
        f"[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c '{command}'\n{service}\n"
    )
    return unit_name(name)


def write_target(name: str, text: str) -> str:
    """Put a profile's target in place, without what the shipped template would add."""
    unit = f"swapper-profile@test-host-{name}.target"
    (UNITS / unit).write_text(f"[Unit]\nDescription=Test of host\n{text}\n")
    return unit


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout
