"""What tests of units look at: systemd, the journal, an engine's socket, processes."""

import contextlib
import os
import pwd
import select
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path


def systemctl(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *words], check=check, capture_output=True, text=True, timeout=120)


def show(unit: str, name: str) -> str:
    return systemctl("show", "--property", name, "--value", unit).stdout.strip()


def messages(unit: str) -> str:
    """What the journal has of the unit's latest start."""
    invocation = show(unit, "InvocationID")
    subprocess.run(["journalctl", "--sync"], check=True)
    found = subprocess.run(
        ["journalctl", "--output=cat", f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"INVOCATION_ID={invocation}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return found.stdout


def engine_socket(name: str) -> Path:
    return Path(f"/run/swapper/llama@{name}/http.sock")


def get(path: Path, target: str = "/health") -> bytes:
    """The status line of an answer on a unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n".encode())
        return connection.recv(4096).split(b"\r\n")[0]


def processes(unit: str) -> dict[int, str]:
    """The processes of a unit: id → name."""
    group = show(unit, "ControlGroup")
    found: dict[int, str] = {}
    if group:
        with contextlib.suppress(FileNotFoundError):  # it has just stopped
            for line in Path("/sys/fs/cgroup" + group, "cgroup.procs").read_text().split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                    found[int(line)] = Path("/proc", line, "comm").read_text().strip()
    return found


def ended(pid: int, seconds: float) -> bool:
    """Whether a process ends within that time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    gone = bool(poll.poll(seconds * 1000))
    os.close(handle)
    return gone


def as_user(name: str, work: Callable[[], object]) -> int:
    """Do something as another user: 0, or the number of the OSError that came of it."""
    child = os.fork()
    if child == 0:
        try:
            user = pwd.getpwnam(name)
            os.initgroups(name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            work()
        except OSError as error:
            os._exit(error.errno or 255)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
