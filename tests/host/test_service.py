"""What systemd and a service say to each other: sockets, notifications, log lines. Each in a process of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]


def run(code: str, **environment: str) -> str:
    """Run Python code in a process of its own, whose standard output is returned."""
    completed = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", str(SOURCE)), **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout
    return completed.stdout


ACTIVATED = """
import os, socket
listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
for number, each in enumerate(listening):
    os.dup2(each.fileno(), 3 + 20 + number)
    os.dup2(3 + 20 + number, 3 + number) if each.fileno() != 3 + number else None
ports = [each.getsockname()[1] for each in listening]
os.dup2(os.open("/etc/passwd", os.O_RDONLY), 5)
os.environ |= {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "http:http:users", "LISTEN_PID": str(os.getpid() + OFFSET)}
from swapper.host.activation import handed
adopted, files, kept = handed(KEEP)
print([each.getsockname()[1] for each in adopted] == ports, [each.getblocking() for each in adopted],
      [os.get_inheritable(each.fileno()) for each in adopted], [name for name in os.environ if "LISTEN" in name],
      *files, {name: os.pread(file, 4, 0) for name, file in kept.items()}, handed() == ((), frozenset(), {}))
"""


def test_sockets_of_systemd_are_adopted_once() -> None:
    adopted = ACTIVATED.replace("OFFSET", "0")
    assert run(adopted.replace("KEEP", "")) == "True [False, False] [False, False] [] users {} True\n"
    kept = "{'users': b'root'}"
    assert run(adopted.replace("KEEP", "['users']")) == f"True [False, False] [False, False] [] {kept} True\n"


def test_sockets_for_another_process_are_left_alone() -> None:
    assert run(ACTIVATED.replace("OFFSET", "1").replace("KEEP", "")) == "False [] [] [] {} True\n"


type Listen = Callable[[], str]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[str, Listen]]:
    """A notification socket like systemd's: its path, and what came in last."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield str(tmp_path / "notify"), lambda: listening.recv(4096).decode()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("ready('Serving «devstral»,\\n2 models')", "READY=1\nSTATUS=Serving «devstral», 2 models"),
        ("ready()", "READY=1"),
        ("stopping()", "STOPPING=1"),
        ("status('Idle')", "STATUS=Idle"),
        ("watchdog()", "WATCHDOG=1"),
    ],
)
def test_systemd_is_told(call: str, message: str, systemd: tuple[str, Listen]) -> None:
    path, received = systemd
    run(f"from swapper.host import notify; notify.{call}", NOTIFY_SOCKET=path)
    assert received() == message


def test_a_reload_carries_its_time(systemd: tuple[str, Listen]) -> None:
    path, received = systemd
    now = float(
        run(
            "from swapper.host import notify; import time; notify.reloading(); print(time.monotonic())",
            NOTIFY_SOCKET=path,
        )
    )
    first, second = received().split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert 0 <= now - int(second.partition("=")[2]) / 1e6 < 10


def test_nobody_is_told_where_nobody_asks() -> None:
    assert run("from swapper.host import notify; notify.ready('x'); print(notify.watchdog_interval())") == "None\n"


def test_signs_of_life_come_at_half_the_time_allowed() -> None:
    ask = "from swapper.host import notify; print(notify.watchdog_interval())"
    assert run(ask, WATCHDOG_USEC="10000000") == "5.0\n"
    assert run(ask, WATCHDOG_USEC="10000000", WATCHDOG_PID="1") == "None\n"


def test_without_a_journal_lines_go_to_standard_error_with_their_priority() -> None:
    code = """
import logging, sys
sys.modules["systemd"] = None  # as on a machine without python3-systemd
from swapper.host import journal
journal.send("up", MODEL="devstral", REQUEST_ID=None)
journal.install()
logging.getLogger("swapper").warning("two\\nlines", extra={"REQUEST_ID": "r1"})
logging.getLogger("swapper").debug("not wanted")
"""
    first, second, third = run(code).splitlines()
    assert first == "<6>up MODEL=devstral"
    assert second == "<4>two"
    assert third.startswith("<4>lines ")
    assert third.endswith("REQUEST_ID=r1")
