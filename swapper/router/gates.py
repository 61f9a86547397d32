"""The gates at which engines wait that were started early: a file for each (`swapper.early` says what it means).

They are in a directory that outlasts a crash of the router, and goes when it is stopped for good. So each step is one
change of the file system: a router that is killed between two of them finds what engines see, and takes it over.
"""

import contextlib
from pathlib import Path

OPEN = ".open"
_READABLE = 0o640
"""For the engines: the router's umask would leave the file to itself."""


class Gates:
    """Gates by the name of the unit."""

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet.

        Args:
            folder: Where they are; where it does not exist, there are none.
        """
        self._folder = folder

    def close(self, unit: str) -> bool:
        """Have whoever starts in this unit now wait; False where that cannot be."""
        gate = self._gate(unit)
        self.forget(unit)
        return self._write(gate, "")

    def belongs(self, unit: str, invocation: str) -> bool:
        """Whether this run of the unit waits there. The first one that is seen is whom it was closed for."""
        gate = self._gate(unit)
        try:
            whose = gate.read_text()
        except OSError:
            return False
        if not whose and invocation:
            return self._write(gate, invocation)
        return whose == invocation

    def open(self, unit: str) -> bool:
        """Let go on who waits, or will; False where nobody was to wait."""
        gate = self._gate(unit)
        try:
            gate.rename(gate.with_name(gate.name + OPEN))
        except OSError:
            return False
        return True

    def forget(self, unit: str) -> None:
        """Nobody waits, or will."""
        gate = self._gate(unit)
        for file in (gate, gate.with_name(gate.name + OPEN)):
            with contextlib.suppress(OSError):
                file.unlink()

    def keep(self, units: frozenset[str]) -> None:
        """Forget those of all other units."""
        with contextlib.suppress(OSError):
            for file in self._folder.iterdir():
                if f"{file.name.removesuffix(OPEN)}.service" not in units:
                    file.unlink(missing_ok=True)

    def _gate(self, unit: str) -> Path:
        return self._folder / unit.removesuffix(".service")

    def _write(self, gate: Path, text: str) -> bool:
        fresh = gate.with_name(f".{gate.name}.new")
        try:
            fresh.write_text(text)
            fresh.chmod(_READABLE)
            fresh.rename(gate)
        except OSError:
            return False
        return True
