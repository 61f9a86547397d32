"""Tells how far a pull is: systemd, for `systemctl status`; the file that others read; and, rarely, the journal."""

import collections
import dataclasses
import os
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from swapper.host import notify
from swapper.pull import PullError, told
from swapper.pull.choose import Choice
from swapper.pull.parts import Part
from swapper.pull.source import Source
from swapper.pull.told import Report, Stage

OFTEN = 0.5
"""Seconds between two reports."""

WINDOW = 10.0
"""Seconds that a rate is made of."""


class Teller:
    """Has one pull's report.

    Attributes:
        folder: Where reports are.
        instance: What the pull is called there.
        report: The last one.
    """

    def __init__(self, source: Source, folder: Path = told.FOLDER) -> None:
        """Begin one."""
        self.folder = folder
        self.instance = source.instance
        self.report = Report(str(source), os.environ.get("INVOCATION_ID", ""))
        self._resting = 0
        self._written = float("-inf")
        self._seen: collections.deque[tuple[float, int]] = collections.deque()
        self._troubles: set[str] = set()

    def say(self, text: str) -> None:
        """What is done now."""
        self._change(text=text)
        self._tell()

    def trouble(self, text: str) -> None:
        """What went wrong and is tried again: each kind of it once in the journal."""
        if text not in self._troubles:
            self._troubles.add(text)
            print(f"tried again: {text}", file=sys.stderr)

    def knows(self, target: Path, choice: Choice, missing: Collection[str], parts: Sequence[str]) -> None:
        """What will be there, which of the repository's files are to come, and as what parts."""
        self._resting = choice.size - sum(file.size for file in choice.files.values() if file.name in missing)
        self._change(target=str(target), files=tuple(choice.files), parts=tuple(parts), model=choice.model,
                     total=choice.size, done=self._resting)  # fmt: skip
        self._tell()

    def far(self, parts: Sequence[Part]) -> None:
        """Bytes have come."""
        now = time.monotonic()
        if now - self._written < OFTEN:
            return
        done = self._resting + sum(part.done for part in parts)
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        (then, before), (until, after) = self._seen[0], self._seen[-1]
        rate = max(0.0, (after - before) / (until - then)) if until > then else 0.0
        measured = [part.file.name for part in parts if part.settling.locked()]
        self._change(done=done, rate=rate, text=f"measuring {measured[0]}" if measured else "")
        self._tell()

    def failed(self, error: PullError) -> None:
        """It has ended without success."""
        self._change(stage=Stage.FAILED, code=error.code, message=str(error), hint=error.hint, details=error.details,
                     rate=0.0, text="")  # fmt: skip
        notify.status(f"Failed: {error}")
        self._write()

    def done(self) -> None:
        """It has ended as it should."""
        self._change(stage=Stage.DONE, done=self.report.total, rate=0.0, text="")
        self._write()

    def _change(self, **fields: object) -> None:
        self.report = dataclasses.replace(self.report, **fields)  # type: ignore[arg-type]

    def _tell(self) -> None:
        notify.status(line(self.report))
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        told.write(self.instance, self.report, self.folder)


def line(report: Report) -> str:
    """How far it is, for people."""
    if not report.total:
        return report.text or "beginning"
    far = f"{report.percent:.0f} % of {gib(report.total)}"
    rate = f", {report.rate / (1 << 20):.1f} MiB/s" if report.rate else ""
    left = f", {minutes(report.left)} left" if report.left is not None and report.done < report.total else ""
    text = f"; {report.text}" if report.text else ""
    return f"{far}{rate}{left}{text}"


def gib(count: int) -> str:
    """Bytes, as people say them."""
    return f"{count / (1 << 30):.2f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"


def minutes(seconds: float) -> str:
    """A time to come."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
