"""What is printed for people: colours where there is a terminal, columns, bars, and numbers as people say them.

Colours are the terminal's own eight (ECMA-48, 8.3.117), so that they fit its background; `NO_COLOR` turns them off
(no-color.org).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}

STATES = {
    "ready": "green", "starting": "yellow", "draining": "yellow", "stopping": "yellow", "parked": "blue",
    "failed": "red", "incomplete": "red", "stopped": "dim", "disabled": "dim",
}  # fmt: skip
"""A colour for each state of a model."""

BLOCKS = " ▏▎▍▌▋▊▉"


class Style:
    """Colours, or none."""

    def __init__(self, file: IO[str] | None = None) -> None:
        """Find out whether there is somebody who sees them."""
        stream = sys.stdout if file is None else file
        self.terminal = stream.isatty()
        self._on = self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: str) -> str:
        """A text in a colour."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self._on and text else text

    def state(self, state: str) -> str:
        """A state in its colour."""
        return self.paint(state, STATES.get(state, "bold"))

    def bar(self, share: float, width: int = 24) -> str:
        """How much of something is taken."""
        eighths = round(max(0.0, min(1.0, share)) * width * 8)
        full, rest = divmod(eighths, 8)
        filled = "█" * full + (BLOCKS[rest] if rest else "")
        colour = "red" if share > 0.95 else "yellow" if share > 0.8 else "green"
        return f"▕{self.paint(filled, colour)}{' ' * (width - len(filled))}▏"


def columns(rows: Iterable[Sequence[tuple[str, str]]]) -> list[str]:
    """Lines of a table.

    Args:
        rows: Cells, each as it is measured and as it is printed.
    """
    table = [list(row) for row in rows]
    most = max(map(len, table), default=0)
    widths = [max(len(row[place][0]) for row in table if place < len(row)) for place in range(most)]
    lines = []
    for row in table:
        cells = [shown + " " * (width - len(plain)) for (plain, shown), width in zip(row, widths, strict=False)]
        lines.append("  ".join(cells).rstrip())
    return lines


def plain(*texts: str) -> list[tuple[str, str]]:
    """Cells without colour."""
    return [(text, text) for text in texts]


def size(count: float | None) -> str:
    """Bytes."""
    if count is None:
        return "?"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit in {"B", "KiB"} else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def span(seconds: float) -> str:
    """A time that has passed, in its two largest parts."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, length, below, smaller in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if whole < length * (60 if unit == "min" else 24) or unit == "d":
            rest = whole % length // smaller
            return f"{whole // length} {unit} {rest} {below}" if rest else f"{whole // length} {unit}"
    raise AssertionError


def plural(count: int, thing: str) -> str:
    """Such as "1 request", "2 requests"."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
