"""Figures and how they are printed: a median, with the lowest and the highest in brackets."""

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Series:
    """The same quantity, measured several times."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Series":
        """From any figures, at least one."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """What is typical."""
        return statistics.median(self.values)

    def __sub__(self, other: "Series") -> "Series":
        """Pair by pair: what was measured next to each other."""
        return Series(tuple(mine - theirs for mine, theirs in zip(self.values, other.values, strict=True)))

    def __truediv__(self, other: "Series") -> "Series":
        """Pair by pair."""
        return Series(tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)))

    def text(self, scale: float = 1.0, digits: int = 1) -> str:
        """`median [lowest … highest]`, all times `scale`."""
        low, high = min(self.values) * scale, max(self.values) * scale
        return f"{self.median * scale:.{digits}f} [{low:.{digits}f} … {high:.{digits}f}]"


def heading(text: str) -> None:
    """A title, with how busy the machine is."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"\n{text}\n  ({os.cpu_count()} cores, load {load})", flush=True)


def table(rows: Iterable[Sequence[str]]) -> None:
    """Rows of words: the first column to the left, the others to the right."""
    lines = [tuple(row) for row in rows]
    widths = [max(len(line[column]) for line in lines if column < len(line)) for column in range(max(map(len, lines)))]
    for line in lines:
        first, *others = (word.ljust(width) if not at else word.rjust(width)
                          for at, (word, width) in enumerate(zip(line, widths, strict=False)))  # fmt: skip
        print("  " + "   ".join((first, *others)).rstrip(), flush=True)


def cpu_of(pid: int) -> float:
    """Processor time of all threads of a process so far, in seconds."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9
