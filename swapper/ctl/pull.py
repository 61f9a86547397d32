"""`swapperctl pull hf:org/repo`: has systemd start the unit that fetches a model, and tells how far it is.

The pull is not ours: it goes on when this command ends, by Ctrl-C or with its terminal, and the same command follows it
again. So this only reads what the unit says of itself (`swapper.pull.told`).
"""

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time

from swapper.config import ConfigErrors, load
from swapper.ctl import FAILED, WRONG, Failure, add
from swapper.ctl import options as shared
from swapper.ctl.terminal import Style, size, span
from swapper.engines import ENGINES
from swapper.pull import WRONG as MISTAKEN
from swapper.pull import PullError, told
from swapper.pull.source import Source, parse
from swapper.pull.told import Report, Stage

EVERY = 0.25
"""Seconds between two looks."""

ENDING = 25.0
"""Seconds that a stop may take: more than the unit's `TimeoutStopSec=`."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Fetches a model from a hub into models_dir: of a repository with GGUF files one quantisation, with all of its "
        "parts and its projector; of any other the whole folder, for vLLM. swapper-pull@.service does it: Ctrl-C "
        "leaves it running, and the same command follows it again, or goes on where it was. For root."
    )
    parser.add_argument("source", metavar="hf:ORG/REPO[:WHAT]", help="WHAT is a file in it, or a quantisation: Q4_K_M")
    parser.add_argument("--add", action="store_true", help="configure the model then, as swapperctl add does")
    parser.add_argument("--no-wait", action="store_true", help="start it, and leave it alone")
    shared.json(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    try:
        source = parse(options.source)
    except PullError as error:
        raise Failure(str(error), error.hint, WRONG) from error
    if options.no_wait and options.add:
        raise Failure("--add is for when it is there", "leave out --no-wait", WRONG)
    if options.no_wait:
        _started(source, wait=False).wait()
        _say_left(source, as_json=options.json)
        return 0
    report = _pulled(source)
    name = _configured(report)
    if not options.json:
        print(f"{report.source}: {size(report.total)} in {report.path}")
    if options.add and not name:
        return _add(report, as_json=options.json)
    if options.json:
        print(json.dumps({**dataclasses.asdict(report), "unit": source.unit, "path": str(report.path)}, indent=2))
    else:
        print(f"swapperctl chat {name} 'Hello!'" if name else f"swapperctl add {report.path}")
    return 0


def _pulled(source: Source) -> Report:
    """Start it, follow it, and return what it says in the end."""
    before = told.read(source.instance)
    starting = _started(source, wait=True)
    try:
        _follow(source, starting)
    except KeyboardInterrupt:
        starting.terminate()  # it only waits
        starting.wait()
        _clear()
        print(f"It goes on without you: systemctl status '{source.unit}'\nTo end it: systemctl stop '{source.unit}'",
              file=sys.stderr)  # fmt: skip
        raise
    said = starting.stderr.read().strip() if starting.stderr is not None else ""
    report = _ended(source)
    if starting.returncode == 0 and report is not None and report.stage is Stage.DONE:
        return report
    if report is None or report == before or report.stage is not Stage.FAILED:
        root = os.geteuid() == 0
        hint = f"journalctl -u '{source.unit}' -n 20" if root else "this is for root: sudo swapperctl pull …"
        raise Failure(said or f"{source.unit} did not start", hint)
    status = WRONG if report.code in MISTAKEN else FAILED
    raise Failure(report.message, report.hint, status, report.details)


def _ended(source: Source) -> Report | None:
    """What it says in the end. Where somebody stops it, systemd lets go of whoever waits before that is said."""
    end = time.monotonic() + ENDING
    while (report := told.read(source.instance)) is not None and report.stage is Stage.RUNNING:
        if time.monotonic() > end:
            break
        time.sleep(EVERY)
    return report


def _started(source: Source, *, wait: bool) -> subprocess.Popen[str]:
    """Have systemd start the unit. One that runs already is joined: there is no second one of the same name."""
    words = ["systemctl", "start", *([] if wait else ["--no-block"]), source.unit]
    return subprocess.Popen(words, stderr=subprocess.PIPE if wait else None, text=True)


def _follow(source: Source, starting: subprocess.Popen[str]) -> None:
    """Say how far it is until it has ended."""
    style = Style(sys.stderr)
    if not style.terminal:
        starting.wait()
        return
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            starting.wait(EVERY)
            break
        report = told.read(source.instance)
        if report is not None and report.stage is Stage.RUNNING:
            print(f"\r\x1b[K{_line(report, style)}", end="", file=sys.stderr, flush=True)
    _clear()


def _line(report: Report, style: Style) -> str:
    if not report.total:
        return report.text
    words = [style.bar(report.percent / 100), f"{report.percent:.0f} %", f"of {size(report.total)}"]
    if report.rate:
        words.append(f"{size(report.rate)}/s")
    if report.left is not None and time.time() - report.at < 10:
        words.append(f"{span(report.left)} left")
    return "  ".join([*words, *([report.text] if report.text else [])])


def _clear() -> None:
    if Style(sys.stderr).terminal:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _say_left(source: Source, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"source": str(source), "unit": source.unit}))
    else:
        print(f"systemctl status '{source.unit}'")


def _add(report: Report, *, as_json: bool) -> int:
    """Have it configured."""
    parser = argparse.ArgumentParser()
    add.arguments(parser)
    return add.run(parser.parse_args([str(report.path), *(["--json"] if as_json else [])]))


def _configured(report: Report) -> str:
    """The model that is configured with these files; empty where there is none."""
    with contextlib.suppress(ConfigErrors):
        for model in load().models:
            if report.path in ENGINES[model.engine].roots(model):
                return model.name
    return ""
