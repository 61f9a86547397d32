"""What a check finds, and how checks look at the host."""

import enum
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SECONDS = 30.0
"""How long a command may take that a check runs."""


class Grade(enum.StrEnum):
    """How bad it is."""

    GOOD = "good"
    NOTE = "note"
    WRONG = "wrong"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found.

    Attributes:
        grade: How bad it is.
        what: A sentence.
        mend: A command, or what else to do; empty where there is nothing to do.
    """

    grade: Grade
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said.

    Attributes:
        status: Its exit status; 127 where there is no such command, 124 where it took too long.
        text: Both of its streams.
    """

    status: int
    text: str


def said(*argv: str) -> Said:
    """Run a command."""
    try:
        done = subprocess.run(
            argv, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=SECONDS,
        )  # fmt: skip
    except FileNotFoundError:
        return Said(127, f"there is no {argv[0]}")
    except subprocess.TimeoutExpired:
        return Said(124, f"{argv[0]} took too long")
    return Said(done.returncode, done.stdout.strip())


def shown(unit: str, *properties: str) -> Mapping[str, str]:
    """Properties of a unit, as systemd has them."""
    return each([unit], *properties)[unit]


def each(units: Sequence[str], *properties: str) -> Mapping[str, Mapping[str, str]]:
    """Properties of units, by one question for all; a paragraph of the answer is a unit's."""
    if not units:
        return {}
    text = said("systemctl", "show", *units, *(f"--property={name}" for name in properties)).text
    parts = [dict(line.split("=", 1) for line in part.splitlines() if "=" in line) for part in text.split("\n\n")]
    return dict(zip(units, [*parts, *({} for _ in units)], strict=False))
