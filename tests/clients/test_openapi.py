"""The router against its own description: schemathesis asks whatever it can think of, and holds answers to their word.

A 503 of `load` is no defect: it is how the router says that a model cannot be loaded just now, with a code and a reason
that are described like any other answer. All other answers of 500 and more are defects.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.rig import URL
from tests.job.house import ask, journal

FOLDER = os.environ.get("SWAPPER_TEST_CLIENTS_SCHEMATHESIS", "")
if not FOLDER:
    pytest.skip("it is not here: run tests/run --clients", allow_module_level=True)

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
SETTINGS = """
hooks = "schemathesis_hooks"
request-timeout = 60
max-stream-events = 1
continue-on-failure = true

[[operations]]
include-operation-id = "load"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""
INFERENCE = ("--exclude-tag=inference",)  # it is for engines to answer that


def schemathesis(folder: Path, *arguments: str) -> str:
    """What it has to say; fails where the router broke its word."""
    (folder / "schemathesis.toml").write_text(SETTINGS)
    environment = {**os.environ, "PYTHONPATH": f"{FOLDER}:{HOOKS.parent}"}
    command = ("python3", "-m", "schemathesis.cli", "run", f"{URL}/openapi.json", "--no-color", *arguments)
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=800,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_answers_are_as_described(tmp_path: Path) -> None:
    described = [
        operation
        for path in ask("GET", "/openapi.json").json["paths"].values()
        for operation in path.values() if "inference" not in operation["tags"]
    ]  # fmt: skip
    assert len(described) > 15
    said = schemathesis(tmp_path, *INFERENCE, "--max-examples=50")
    assert f"Tested: {len(described) - 1}\n" in said, "all but /openapi.json, which is where it begins"
    assert "Traceback" not in journal("swapper.service")
