"""The way of somebody new, from a machine that has never heard of Swapper to a model's answer; no file is edited."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.archive import SOURCES, run
from tests.lab.gguf import write_model

SAYS = "Hello! This is a model that somebody new has added."
MODEL = Path("/srv/models/newcomer-Q4_K_M.gguf")
SANE = 60.0
"""Seconds that our part of it may take at most; usual are two."""

WHOLE = 800.0
"""Seconds that all of it may take at most. Most of it is apt's, which unpacks packages of Debian's at the
machine's pace: half a minute, or two and a half where the machine is busy, and an administrator is at home in five."""


@dataclass
class Way:
    """What was typed, what that printed, and how long it took.

    Attributes:
        steps: Command, seconds and output of each.
    """

    steps: list[tuple[str, float, str]] = field(default_factory=list)

    def type(self, *argv: str) -> str:
        """Carry out a command, as root and without a terminal."""
        begun = time.monotonic()
        printed = run(*argv, env={"DEBIAN_FRONTEND": "noninteractive"})
        self.steps.append((" ".join(argv), time.monotonic() - begun, printed))
        return printed

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(seconds for _, seconds, _ in self.steps)

    @property
    def ours(self) -> float:
        """What is not apt's of it."""
        return sum(seconds for command, seconds, _ in self.steps if not command.startswith("apt-get "))

    def told(self, where: str) -> str:
        """The times, for whoever reads the log of a run."""
        lines = [f"  {seconds:6.1f} s  {command}" for command, seconds, _ in self.steps]
        return "\n".join((f"\nFrom nothing to an answer on {where}:", *lines, f"  {self.seconds:6.1f} s  in all"))


def walk(url: str, before: Sequence[Sequence[str]] = ()) -> Way:
    """Go it.

    Args:
        url: Where the repository is.
        before: Commands that come first, such as those which bring an engine.
    """
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    write_model(MODEL, SAYS)
    way = Way()
    for argv in before:
        way.type(*argv)
    way.type("curl", "--fail", "--silent", "--output", f"{SOURCES}/swapper.sources", f"{url}/swapper.sources")
    way.type("apt-get", "update")
    way.type("apt-get", "install", "--yes", "swapper")
    way.type("swapperctl", "add", str(MODEL))
    way.type("swapperctl", "chat", "newcomer", "Hello!")
    return way
