"""`swapperctl doctor`: looks for what goes wrong for people, and names the command that mends it.

A check is a function in one of this room's files that yields findings. It changes nothing; what it may not look at, for
want of root, it says.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from swapper.config import Config, ConfigErrors, load
from swapper.ctl import FAILED
from swapper.ctl import options as shared
from swapper.ctl.doctor import engines, gpus, host, models, people
from swapper.ctl.doctor.finding import Finding, Grade
from swapper.ctl.terminal import Style, plural

type Check = Callable[[Config], Iterator[Finding]]

CHECKS: Sequence[Check] = (
    host.units, host.port, host.polkit, host.clock, gpus.driver, gpus.memory, gpus.sandbox, engines.programs,
    models.files, models.overridden, models.failed, models.parking, people.keys, people.telegram,
)  # fmt: skip
"""All checks, in the order in which they are told."""

_COLOURS = {Grade.GOOD: "green", Grade.NOTE: "yellow", Grade.WRONG: "red", Grade.UNSEEN: "dim"}
_SIGNS = {Grade.GOOD: "✓", Grade.NOTE: "!", Grade.WRONG: "✗", Grade.UNSEEN: "?"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Looks at this host, and says what keeps models from working, with the command that mends it. Changes nothing. "
        "As root it sees more. Ends with status 1 if something is wrong."
    )
    shared.json(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    found = [*findings()]
    wrong = sum(finding.grade is Grade.WRONG for finding in found)
    if options.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
        return FAILED if wrong else 0
    style = Style()
    for finding in found:
        sign = style.paint(_SIGNS[finding.grade], _COLOURS[finding.grade])
        print(f"{sign} {finding.what}")
        if finding.mend:
            print(f"    {style.paint(finding.mend, 'cyan')}")
    notes = sum(finding.grade is Grade.NOTE for finding in found)
    more = "" if os.geteuid() == 0 else "; root sees more"
    print(f"{plural(wrong, 'thing')} wrong, {plural(notes, 'note')}{more}")
    return FAILED if wrong else 0


def findings() -> Iterator[Finding]:
    """What all checks find. One that fails itself is told as such, and the others go on."""
    try:
        config = load()
        yield Finding(Grade.GOOD, f"the configuration has no mistakes: {plural(len(config.models), 'model')}")
    except ConfigErrors as errors:
        config = Config()
        count = plural(len(errors.errors), "mistake")
        yield Finding(Grade.WRONG, f"the configuration has {count}; models are not looked at", "swapperctl check")
    for check in CHECKS:
        try:
            yield from check(config)
        except OSError as error:
            yield Finding(Grade.UNSEEN, f"{check.__module__.rpartition('.')[2]}.{check.__name__}: {error}")
