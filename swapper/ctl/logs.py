"""`swapperctl logs MODEL`: the journal of its unit, by journalctl, or by the router for those who may not read that."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from swapper.config import ConfigErrors, load
from swapper.ctl import Failure
from swapper.ctl import options as shared
from swapper.ctl.asking import Host

JOURNAL = Path("/var/log/journal"), Path("/run/log/journal")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Shows what a model's engine says. `journalctl -u UNIT` has more ways to look at the same."
    parser.add_argument("model", help="a name or an alias")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="the last N lines (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print journalctl's JSON, for programs")
    shared.router(parser, figures=False)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    unit = None if options.url else _unit(options.model)
    if unit is not None and _may_read():
        words = ["journalctl", f"--unit={unit}", f"--lines={options.lines}", *(["--follow"] if options.follow else [])]
        words += ["--output=json"] if options.json else ["--output=short-iso", "--no-hostname"]
        sys.stdout.flush()
        return subprocess.run(words, check=False).returncode
    if options.json:
        raise Failure("this user may not read the journal", "adduser USER systemd-journal")
    host = Host(options.url)
    follow = "&follow=1" if options.follow else ""
    with host.lines(host.model(options.model, f"/log?lines={options.lines}{follow}")) as lines:
        for line in lines:
            print(line, flush=True)
    return 0


def _unit(name: str) -> str | None:
    """The unit of a model, by the configuration: so that it works when the router does not."""
    try:
        model = load().resolve(name)
    except ConfigErrors:
        return None
    return None if model is None else model.unit


def _may_read() -> bool:
    return any(os.access(folder, os.R_OK | os.X_OK) and any(map(_open, folder.glob("*"))) for folder in JOURNAL)


def _open(folder: Path) -> bool:
    return os.access(folder / "system.journal", os.R_OK)
