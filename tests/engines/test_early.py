"""A start that is asked to wait at the gate, told apart from systemd; with real engines see tests/vllm/test_early.py.

The engine is a Python script of ours that says what it finds, since no real one imports in no time.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swapper.router.gates import Gates
from tests.engines.test_launcher import LAUNCHER, Manager

EARLY = LAUNCHER.with_name("early.py")
SCRIPT = """\
import json, sys
if __name__ == "__main__":
    main = sys.modules["__main__"]
    found = {"argv": sys.argv, "path": sys.path[0], "file": main.__file__, "spec": str(main.__spec__)}
    print(json.dumps(found | {"warm": "heavy" in sys.modules}), flush=True)
    import multiprocessing
    child = multiprocessing.get_context("spawn").Process(target=print, args=("spawned",))
    child.start()
    child.join()
    sys.exit(7)
print("as", __name__, flush=True)
"""

type Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    (tmp_path / "gates").mkdir()
    return Gates(tmp_path / "gates")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An engine, with a package beside it that is imported early."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/heavy.py").write_text("print('imported', flush=True)\n")
    script = tmp_path / "bin/engine"
    script.write_text(f"#!{sys.executable}\n{SCRIPT}")
    script.chmod(0o755)
    return script


@pytest.fixture
def start(tmp_path: Path, manager: Manager, script: Path) -> Iterator[Start]:
    """Start the launcher as a run of a unit; it is killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def launch(*argv: str, invocation: str = "1f", imports: str = "heavy") -> subprocess.Popen[str]:
        environment = os.environ | {"NOTIFY_SOCKET": str(manager.path), "INVOCATION_ID": invocation}
        options = ["--socket", str(tmp_path / "s"), "--health", "/health", "--gate", str(tmp_path / "gates/vllm@x")]
        options += ["--imports", imports, "--seconds", "60", "--name", "x", "--"]
        command = [sys.executable, "-IS", str(LAUNCHER), *options, *(argv or (str(script), "serve"))]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True))  # fmt: skip
        return started[-1]

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def hears_that_it_waits(manager: Manager) -> None:
    assert manager.hear() == ["STATUS=loading x"]
    status, extension = manager.hear()
    assert re.fullmatch(r"STATUS=x waits for its GPU, \d+ s", status)
    assert extension == "EXTEND_TIMEOUT_USEC=15000000"


def hears_that_it_loads(manager: Manager) -> None:
    while (said := manager.hear())[0].startswith("STATUS=x waits for its GPU, "):  # every five seconds
        pass
    assert said == ["STATUS=loading x", "EXTEND_TIMEOUT_USEC=60000000"]


def test_it_imports_at_once_and_goes_on_when_the_gate_opens(start: Start, manager: Manager, gates: Gates) -> None:
    assert gates.close("vllm@x.service")
    process = start()
    hears_that_it_waits(manager)
    assert line(process) == "imported"
    assert process.poll() is None
    assert gates.open("vllm@x.service")
    assert json.loads(line(process))["warm"]
    hears_that_it_loads(manager)


def test_the_engine_finds_what_it_finds_without_a_gate(start: Start, gates: Gates) -> None:
    def found(process: subprocess.Popen[str]) -> list[object]:
        said = process.communicate(timeout=60)[0].replace("imported\n", "").splitlines()
        return [process.returncode, {**json.loads(said[0]), "warm": None}, *said[1:]]

    straight = found(start())
    assert straight[2:] == ["as __mp_main__", "spawned"]
    gates.close("vllm@x.service")
    process = start()
    gates.open("vllm@x.service")
    assert found(process) == straight
    assert straight[0] == 7


def test_a_start_for_which_nothing_is_there_goes_straight_through(start: Start, manager: Manager) -> None:
    process = start()
    assert not json.loads(line(process))["warm"]
    assert manager.hear() == ["STATUS=loading x"]


def test_so_does_one_that_is_not_whom_it_was_closed_for(start: Start, gates: Gates) -> None:
    gates.close("vllm@x.service")
    assert gates.belongs("vllm@x.service", "1f")
    assert not gates.belongs("vllm@x.service", "2f")
    assert not json.loads(line(start(invocation="2f")))["warm"]


def test_so_does_one_after_it_was_opened(start: Start, gates: Gates) -> None:
    gates.close("vllm@x.service")
    gates.open("vllm@x.service")
    assert not json.loads(line(start()))["warm"]


def test_it_waits_on_for_whom_it_was_closed(start: Start, manager: Manager, gates: Gates) -> None:
    gates.close("vllm@x.service")
    process = start()
    hears_that_it_waits(manager)
    assert gates.belongs("vllm@x.service", "1f")
    assert gates.belongs("vllm@x.service", "1f")
    assert line(process) == "imported"
    gates.open("vllm@x.service")
    assert json.loads(line(process))["warm"]


def test_it_ends_when_the_gate_is_gone(start: Start, manager: Manager, gates: Gates) -> None:
    gates.close("vllm@x.service")
    process = start()
    hears_that_it_waits(manager)
    gates.forget("vllm@x.service")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 75
    assert "<3>the router that asked for an early start is gone" in said
    assert "argv" not in said


def test_it_can_be_ended_there(start: Start, manager: Manager, gates: Gates) -> None:
    gates.close("vllm@x.service")
    process = start()
    hears_that_it_waits(manager)
    assert line(process) == "imported"
    process.terminate()
    assert process.wait(timeout=60) == -15


def test_what_this_version_does_not_have_is_passed_over(start: Start, gates: Gates) -> None:
    gates.close("vllm@x.service")
    process = start(imports="nowhere,nowhere.either,heavy,heavy.part,heavy")
    assert line(process) == "imported"
    assert process.poll() is None


@pytest.mark.parametrize("broken", ["import missing_library\n", "raise ImportError('libtorch.so')\n", "1 / 0\n"])
def test_what_cannot_be_imported_ends_the_start(start: Start, gates: Gates, script: Path, broken: str) -> None:
    script.with_name("heavy.py").write_text(broken)
    gates.close("vllm@x.service")
    process = start()
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "Traceback" in said


@pytest.mark.parametrize("long", [False, True])
def test_the_interpreter_is_the_one_that_the_script_names(
    start: Start, gates: Gates, script: Path, tmp_path: Path, *, long: bool
) -> None:
    (python := tmp_path / ("folder with a blank" if long else "folder")).mkdir()
    (python := python / "python3").symlink_to(sys.executable)
    first = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''" if long else f"#!{python} -u"
    script.write_text(f"{first}\nimport sys\nprint(sys.executable)\n")
    gates.close("vllm@x.service")
    process = start()
    assert line(process) == "imported"
    gates.open("vllm@x.service")
    assert line(process) == str(python)


def test_another_program_waits_without_importing(start: Start, manager: Manager, gates: Gates) -> None:
    gates.close("vllm@x.service")
    process = start("/bin/sh", "-c", "echo $0 here", "name")
    hears_that_it_waits(manager)
    assert process.poll() is None
    gates.open("vllm@x.service")
    assert process.communicate(timeout=60)[0] == "name here\n"


def test_one_that_is_not_installed_is_told_of_at_once(start: Start, gates: Gates) -> None:
    gates.close("vllm@x.service")
    said = start("no-such-engine").communicate(timeout=60)[0]
    assert "no-such-engine is not installed" in said


def test_where_there_is_no_folder_there_are_no_gates(tmp_path: Path) -> None:
    gates = Gates(tmp_path / "nowhere")
    assert not gates.close("vllm@x.service")
    assert not gates.open("vllm@x.service")
    assert not gates.belongs("vllm@x.service", "1f")
    gates.forget("vllm@x.service")
