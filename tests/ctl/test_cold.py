"""What a command has to import before it can say a word. Times would depend on the machine; this does not."""

import json
import subprocess
import sys

import pytest

from tests.test_house import SOURCE

LOOK = """
import sys, json
sys.path.insert(0, sys.argv.pop(1))
from swapper.ctl.__main__ import main
status = main()
print(json.dumps([status, sorted(sys.modules)]))
"""
ARGPARSE = """
import sys, json, argparse
argparse.ArgumentParser().add_argument("x")
print(json.dumps([0, sorted(sys.modules)]))
"""
"""What no command can do without."""

NOBODY = "http://127.0.0.1:9"
"""No router is there (the port of `discard`, RFC 863). All that a command needs is imported before that is found."""

DEAR = frozenset({
    "aiohttp", "asyncio", "concurrent", "dataclasses", "email", "gi", "http.client", "importlib.metadata", "inspect",
    "logging", "prometheus_client", "pydbus", "ssl", "subprocess", "systemd", "telegram", "unittest", "yaml",
})  # fmt: skip
"""Each takes longer than all of ours together, or brings what does."""


def imported(*words: str) -> frozenset[str]:
    """Modules that the interpreter has at the end of a command, which found no router."""
    status, modules = _ended(LOOK, str(SOURCE), *words, "--url", NOBODY)
    assert status == 3
    return modules


def _ended(code: str, *words: str) -> tuple[int, frozenset[str]]:
    """The exit status of a command, and the interpreter's modules."""
    argv = [sys.executable, "-I", "-B", "-c", code, *words]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    status, modules = json.loads(done.stdout.splitlines()[-1])
    return status, frozenset(modules)


@pytest.mark.parametrize("command", ["status", "models"])
def test_who_only_looks_imports_little(command: str) -> None:
    modules = imported(command)
    assert not (modules - _ended(ARGPARSE)[1]) & DEAR
    ours = {name.removeprefix("swapper.") for name in modules if name.startswith("swapper.")}
    shared = {"ctl", "ctl.__main__", "ctl.asking", "ctl.once", "ctl.options", "ctl.terminal"}
    assert ours - shared <= {"ctl.status", f"ctl.{command}"}


def test_the_limit_notices() -> None:
    """What is held here would be found: a command that reads the configuration is not like that."""
    file = str(SOURCE / "config" / "swapper.yaml")
    assert _ended(LOOK, str(SOURCE), "check", file)[1] & DEAR >= {"dataclasses", "yaml"}
