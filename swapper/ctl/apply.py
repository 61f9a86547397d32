"""`swapperctl apply`: check, tell what changes, and have systemd and the router take it."""

import argparse
import subprocess
import sys

from swapper.ctl import Failure
from swapper.ctl.diff import differences, lines
from swapper.ctl.terminal import Style

ROUTER = "swapper.service"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Checks the configuration, says what changes, and has it taken: `systemctl reload swapper`, or where the "
        "router does not run `systemctl daemon-reload`. A mistake changes nothing. For root."
    )


def run(_: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    found = differences()
    for line in lines(found, Style()):
        print(line)
    take()
    return 0


def take() -> None:
    """Have the configuration taken.

    Raises:
        Failure: systemd refuses that.
    """
    sys.stdout.flush()
    running = subprocess.run(["systemctl", "--quiet", "is-active", ROUTER], check=False).returncode == 0
    words = ["systemctl", "reload", ROUTER] if running else ["systemctl", "daemon-reload"]
    if subprocess.run(words, check=False).returncode != 0:
        raise Failure(f"{' '.join(words)} failed", f"as root; or: journalctl -u {ROUTER} -n 20")
