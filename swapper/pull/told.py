"""What a pull says of itself: a small file for each, in a folder of their own below /run.

Whoever pulls writes it, anew each time and moved there whole; the router and `swapperctl` read it, and write nothing.
It stays after the end, so that whoever comes later sees what became of it, until the machine goes down.
"""

import contextlib
import dataclasses
import enum
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/run/swapper-pull")

_KIND = ".json"


class Stage(enum.StrEnum):
    """How far it is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a pull.

    Attributes:
        source: What is pulled.
        invocation: systemd's id of this run.
        stage: How far it is.
        text: What is being done, for people; empty once it is over.
        target: The folder that the files go to; empty until that is known, as are the following.
        files: Their names below it.
        parts: For each of them, how it is called until then.
        model: What `swapperctl add` wants to be told.
        total: Bytes of all.
        done: How many of those are there.
        rate: Bytes a second, lately.
        code: Why it failed, for programs; empty while it has not.
        message: The same for people.
        hint: What to do about it.
        details: Further lines.
        at: When this was written, in seconds since the epoch.
    """

    source: str
    invocation: str
    stage: Stage = Stage.RUNNING
    text: str = ""
    target: str = ""
    files: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    model: str = ""
    total: int = 0
    done: int = 0
    rate: float = 0.0
    code: str = ""
    message: str = ""
    hint: str = ""
    details: tuple[str, ...] = ()
    at: float = 0.0

    @property
    def percent(self) -> float:
        """How much of it is there."""
        return 100.0 * self.done / self.total if self.total else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at this rate; None where that is not known."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    @property
    def path(self) -> Path:
        """The model: a file, or the folder."""
        return Path(self.target, self.model)

    @property
    def paths(self) -> frozenset[Path]:
        """Everything that will be there: the model, and each of its files."""
        return frozenset({self.path, *(Path(self.target, name) for name in self.files)})


def write(instance: str, report: Report, folder: Path | None = None) -> None:
    """Say it. Readers see the old report or the new one; a name that somebody put there leads nowhere."""
    folder = folder or FOLDER
    fresh = folder / f".{instance}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    with fresh.open("x", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(dataclasses.replace(report, at=time.time())), file)
        os.fchmod(file.fileno(), 0o644)
    fresh.replace(folder / f"{instance}{_KIND}")


def read(instance: str, folder: Path | None = None) -> Report | None:
    """What a pull said last; None where there was none since the machine came up."""
    return _read((folder or FOLDER) / f"{instance}{_KIND}")


def reports(folder: Path | None = None) -> Sequence[Report]:
    """All of them."""
    try:
        names = sorted((folder or FOLDER).glob(f"*{_KIND}"))
    except OSError:
        return ()
    return tuple(report for name in names if not name.name.startswith(".") and (report := _read(name)) is not None)


def pulling(paths: Iterable[Path], all_reports: Iterable[Report]) -> Report | None:
    """The pull that one of these files is coming by, if there is one that runs."""
    wanted = frozenset(paths)
    return next((each for each in all_reports if each.stage is Stage.RUNNING and wanted & each.paths), None)


def _read(file: Path) -> Report | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(file.read_bytes())
        lists = {name: tuple(found[name]) for name in ("files", "parts", "details")}
        return Report(**{**found, **lists, "stage": Stage(found["stage"])})
    return None
