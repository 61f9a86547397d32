"""Types and style: mypy and ruff have nothing to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[1]))


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-m", "mypy", "--cache-dir", "/tmp/swapper-mypy"),
        ("ruff", "check", "--no-cache"),
    ],
    ids=["mypy", "ruff"],
)
def test_has_nothing_to_say(command: tuple[str, ...]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
