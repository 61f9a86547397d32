"""The files that define a unit, with their text: what `systemctl cat` prints."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOST = 1 << 20
"""Most bytes that are read of one file; unit files have a few thousand."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Where systemd has a unit from.

    Attributes:
        paths: The unit file, then the drop-ins, in the order in which they count; none for a unit that is nowhere.
        stale: Some of them have changed since systemd read them.
    """

    paths: tuple[Path, ...]
    stale: bool


@dataclass(frozen=True, slots=True)
class UnitFile:
    """One of them.

    Attributes:
        path: Where it is.
        text: What is in it; empty where it cannot be read, as of a unit that is masked.
        problem: Why it cannot be read; empty where it can.
    """

    path: Path
    text: str
    problem: str = ""


def read(paths: Iterable[Path]) -> tuple[UnitFile, ...]:
    """Read the files; one that cannot be read says so."""
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> UnitFile:
    try:
        with path.open("rb") as file:
            return UnitFile(path, file.read(MOST).decode(errors="replace"))
    except OSError as error:
        return UnitFile(path, "", error.strerror or str(error))
