"""A hub, and one pull at it, in a process of its own as in the unit: the library reads its settings once."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from swapper.pull import told
from swapper.pull.place import keys
from swapper.pull.source import parse
from swapper.pull.told import Report
from tests.lab import hub as lab

PATIENCE = 60.0

SCRIPT = """
import signal
import sys
from pathlib import Path
from swapper.pull import PullError, parts
from swapper.pull.__main__ import stopped
from swapper.pull.fetch import Fetch
from swapper.pull.places import Places
from swapper.pull.source import parse
from swapper.pull.teller import Teller
models, folder, source, piece, patience = sys.argv[1:]
parts.PIECE = int(piece)
teller = Teller(parse(source), Path(folder))
signal.signal(signal.SIGTERM, stopped)
try:
    Fetch(Places(Path(models), parse(source)), teller, float(patience)).run()
except PullError as error:
    teller.failed(error)
    sys.exit(1)
teller.done()
"""
"""The step of the unit, with pieces and patience that suit a test."""


@dataclass
class Desk:
    """Where pulls are made."""

    hub: lab.Hub
    models: Path
    folder: Path
    piece: int = 1 << 20
    patience: float = 20.0

    def begin(self, source: str) -> subprocess.Popen[bytes]:
        """Start one."""
        argv = [str(self.models), str(self.folder), source, str(self.piece), str(self.patience)]
        environment = {
            **os.environ, "HF_ENDPOINT": self.hub.url, "HF_HOME": "/nonexistent",
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": os.pathsep.join(sys.path),
        }  # fmt: skip
        return subprocess.Popen([sys.executable, "-c", SCRIPT, *argv], env=environment, stderr=subprocess.PIPE)

    def pull(self, source: str) -> Report:
        """Make one; what it says in the end."""
        running = self.begin(source)
        _, said = running.communicate(timeout=120)
        report = self.report(source)
        assert (running.returncode == 0) == (report.stage is told.Stage.DONE), said.decode()
        return report

    def part(self, source: str, name: str) -> Path:
        """Where a file of it is while it comes, and once it is whole."""
        return self.models / ".pull" / "parts" / keys(self.report(source))[name]

    def report(self, source: str) -> Report:
        """What it says of itself; an empty one before it has said anything."""
        return told.read(parse(source).instance, self.folder) or Report(source, "")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A hub, a folder of models that root has prepared, and one for reports."""
    if importlib.util.find_spec("huggingface_hub") is None:
        pytest.skip("huggingface_hub is not installed (Debian 14: python3-huggingface-hub)")
    (tmp_path / "models" / ".pull" / "parts").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    with lab.serve() as hub:
        yield Desk(hub, tmp_path / "models", tmp_path / "run")


def until(condition: Callable[[], bool]) -> None:
    """Wait for something of which no event tells."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)
