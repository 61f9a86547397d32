"""The launcher and its sidecar, told apart from systemd: a socket of ours hears what the manager would.

The engine is a double: a server on a unix socket that answers as told by a file, since no real one loads or hangs on
command. With real engines under real systemd, see tests/system/test_units.py.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swapper.core.events import ActiveState
from swapper.host.status import UnitStatus

LAUNCHER = Path(__file__).parents[2] / "swapper" / "launch.py"
if not LAUNCHER.exists():
    LAUNCHER = Path("/usr/share/swapper/swapper/launch.py")

ENGINE = """\
import contextlib, os, socket, sys
for weights in sys.argv[3:]:
    file = os.open(weights, os.O_RDONLY)
    while os.lseek(file, 0, os.SEEK_CUR) < os.fstat(file).st_size // 2:
        os.read(file, 1_000_000)
with socket.socket(socket.AF_UNIX) as server:
    server.bind(sys.argv[1])
    server.listen(64)
    while True:
        connection, _ = server.accept()
        path = connection.recv(4096).split()[1].decode()
        with connection, open(sys.argv[2] + path) as file, contextlib.suppress(BrokenPipeError):
            connection.sendall(file.read().encode())
"""

PATIENCE = 60.0
"""Seconds after which a message that has not come will not come."""

WATCHDOG = 3.0
"""Seconds, of which an engine that is well has less than half for each answer: also where others use the processors."""

type Launcher = Callable[..., subprocess.Popen[bytes]]
type Answers = Callable[..., None]


class Manager:
    """The service manager's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE)

    def hear(self) -> list[str]:
        """The lines of the next message."""
        return self._socket.recv(4096).decode().splitlines()

    def hears_nothing(self, seconds: float) -> bool:
        """Whether no message comes for so long."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        else:
            return False
        finally:
            self._socket.settimeout(PATIENCE)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    """Set what the engine answers at a path."""
    (tmp_path / "answers").mkdir()

    def answer(path: str, status: str, end: str = "\r\n\r\n") -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(f"HTTP/1.1 {status}{end}" if status else "")
        fresh.replace(tmp_path / "answers" / path)

    answer("health", "503 Service Unavailable")
    answer("ready", "")
    return answer


@pytest.fixture
def launch(tmp_path: Path, manager: Manager, answers: Answers) -> Iterator[Launcher]:
    """Start the launcher with the double; it is killed in the end."""
    del answers
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str, watchdog: float | None = None, weights: str = "") -> subprocess.Popen[bytes]:
        environment = os.environ | {"NOTIFY_SOCKET": str(manager.path)}
        if watchdog is not None:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        command = [
            sys.executable,
            "-IS",
            str(LAUNCHER),
            "--socket",
            str(tmp_path / "s"),
            "--health",
            "/health",
            *options,
        ]
        engine = [sys.executable, "-c", ENGINE, str(tmp_path / "s"), str(tmp_path / "answers")]
        engine += [weights] if weights else []
        started.append(subprocess.Popen([*command, "--name", "x", "--", *engine], env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_ready_is_said_when_health_is_good(
    launch: Launcher, manager: Manager, answers: Answers
) -> None:
    launch()
    assert manager.hear() == ["STATUS=loading x"]
    assert manager.hears_nothing(0.3)
    answers("health", "200 OK")
    ready, watchdog, status = manager.hear()
    assert (ready, watchdog) == ("READY=1", "WATCHDOG=1")
    assert status.startswith("STATUS=x ready after ")


def test_ready_waits_for_the_engines_loop(
    launch: Launcher, manager: Manager, answers: Answers
) -> None:
    answers("health", "200 OK")
    launch("--ready", "/ready")
    assert manager.hear() == ["STATUS=loading x"]
    assert manager.hears_nothing(0.3)
    answers("ready", "501 Not Implemented")
    assert manager.hear()[0] == "READY=1"


def test_the_watchdog_is_fed_while_health_is_good_and_only_then(
    launch: Launcher, manager: Manager, answers: Answers
) -> None:
    answers("health", "200 OK")
    engine = launch(watchdog=WATCHDOG)
    assert manager.hear() == ["STATUS=loading x"]
    assert manager.hear()[0] == "READY=1"
    assert manager.hear() == ["WATCHDOG=1"]
    engine.send_signal(signal.SIGSTOP)
    while (message := manager.hear()) == ["WATCHDOG=1"]:  # said before
        pass
    messages = [message, manager.hear()]
    engine.send_signal(signal.SIGCONT)
    assert all(len(message) == 1 for message in messages)
    assert all(message[0].startswith("STATUS=x has not answered its health check for ") for message in messages)
    while (message := manager.hear())[0] != "WATCHDOG=1":
        assert message[0].startswith("STATUS=x has not answered")
    assert message == ["WATCHDOG=1", f"STATUS=x ready ({Path(sys.executable).name})"]


def test_half_a_model_is_half_read(
    launch: Launcher, manager: Manager, answers: Answers, tmp_path: Path
) -> None:
    with (tmp_path / "weights").open("wb") as weights:
        weights.truncate(1_200_000_000)
    launch("--weights", weights.name, weights=weights.name)
    said = manager.hear()
    while (reached := read(said).progress) != 50:  # an engine that starts slowly has read nothing at first
        assert reached is None or reached < 50
        said = manager.hear()
    assert said[0].startswith("STATUS=loading x, 50 % of 1.2 GB, ")
    answers("health", "200 OK")
    ready = read(manager.hear())
    assert (ready.progress, ready.slots) == (None, None)


def test_what_nobody_reads_has_no_percentage(launch: Launcher, manager: Manager) -> None:
    launch("--weights", "/nonexistent", "--weights", str(LAUNCHER))
    assert manager.hear() == ["STATUS=loading x"]
    assert manager.hears_nothing(1)


@pytest.mark.parametrize(("count", "slots"), [(1, "1 slot"), (4, "4 slots")])
def test_slots_are_counted_and_remembered(
    launch: Launcher, manager: Manager, answers: Answers, count: int, slots: str
) -> None:
    slot = '{"id":0,"is_processing":false,"prompt":"\\"is_processing\\":"}'
    answers("ready", f"200 OK\r\n\r\n[{','.join([slot] * count)}]", end="")
    answers("health", "200 OK")
    engine = launch("--ready", "/ready", watchdog=WATCHDOG)
    assert manager.hear() == ["STATUS=loading x"]
    said = manager.hear()
    assert said[-1].endswith(f" s ({Path(sys.executable).name}, {slots})")
    assert read(said).slots == count
    engine.send_signal(signal.SIGSTOP)
    while (said := manager.hear()) == ["WATCHDOG=1"]:
        pass
    assert read(said).slots == count
    engine.send_signal(signal.SIGCONT)
    while (said := manager.hear())[0] != "WATCHDOG=1":
        pass
    assert read(said).slots == count


@pytest.mark.parametrize("answer", ["501 Not Implemented", '200 OK\r\n\r\n[{"is_processing":false},{"is_pro', "200 OK"])
def test_slots_that_are_not_told_are_left_out(
    launch: Launcher, manager: Manager, answers: Answers, answer: str
) -> None:
    answers("ready", answer, end="")
    answers("health", "200 OK")
    launch("--ready", "/ready")
    assert manager.hear() == ["STATUS=loading x"]
    said = manager.hear()
    assert said[-1].endswith(f" s ({Path(sys.executable).name})")
    assert read(said).slots is None


def read(said: list[str]) -> UnitStatus:
    """What the router reads in a message."""
    state = ActiveState.ACTIVATING if said[0].startswith("STATUS=loading") else ActiveState.ACTIVE
    return UnitStatus("llama@x.service", active=state, status_text=said[-1].removeprefix("STATUS="))


def test_an_engine_that_ends_before_it_is_ready_is_never_ready(launch: Launcher, manager: Manager) -> None:
    engine = launch()
    assert manager.hear() == ["STATUS=loading x"]
    engine.kill()
    engine.wait()
    assert manager.hears_nothing(0.3)


def test_an_engine_that_is_not_installed(manager: Manager, tmp_path: Path) -> None:
    order = ["--socket", str(tmp_path / "s"), "--health", "/health", "--name", "x", "--", "no-such-engine"]
    environment = os.environ | {"NOTIFY_SOCKET": str(manager.path), "SWAPPER_INSTALL_HINT": "apt install it"}
    failed = subprocess.run(
        [sys.executable, "-IS", str(LAUNCHER), *order], env=environment, capture_output=True, text=True, check=False
    )
    assert (failed.returncode, failed.stderr) == (203, "<3>no-such-engine is not installed: apt install it\n")
    assert manager.hear() == ["STATUS=loading x"]
    assert manager.hear() == ["STATUS=no-such-engine is not installed: apt install it"]


@pytest.mark.parametrize(("needed", "status"), [("no-such-program", 203), ("/no/such", 203), ("sh", 0), ("/bin/sh", 0)])
def test_a_program_that_the_engine_starts_itself(manager: Manager, tmp_path: Path, needed: str, status: int) -> None:
    order = ["--socket", str(tmp_path / "s"), "--health", "/health", "--needs", "sh", "--needs", needed, "--name", "x"]
    environment = os.environ | {"NOTIFY_SOCKET": str(manager.path), "SWAPPER_INSTALL_HINT": "apt install it"}
    ended = subprocess.run(
        [sys.executable, "-IS", str(LAUNCHER), *order, "--", "true"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    refused = f"{needed} is not installed: apt install it"
    assert (ended.returncode, ended.stderr) == (status, f"<3>{refused}\n" if status else "")
    assert manager.hear() == [f"STATUS={refused}" if status else "STATUS=loading x"]


def test_the_engine_gets_nothing_of_systemds(launch: Launcher) -> None:
    engine = launch(watchdog=60)
    names = {line.partition(b"=")[0] for line in environment_of(engine).split(b"\0")}
    assert not names & {b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID"}


def environment_of(engine: subprocess.Popen[bytes]) -> bytes:
    """The environment of the engine, once it has taken the launcher's place."""
    process = Path("/proc", str(engine.pid))
    # In the middle of an exec(2) there is no command line at all: of the launcher's, too.
    while not (words := (process / "cmdline").read_bytes()) or b"launch.py" in words:
        os.sched_yield()
    return (process / "environ").read_bytes()
