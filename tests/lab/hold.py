"""Holds the main thread of a process and no other: a real engine that answers its health check, and no request.

llama-server works on all requests in its main thread and answers `/health` in others. It does not hang so on command,
and a signal would stop all threads; ptrace(2) stops one (PTRACE_SEIZE, PTRACE_INTERRUPT), and lets it go on when
whoever holds it ends.

    python3 tests/lab/hold.py PID      # prints "held", and holds it until either process ends
"""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SEIZE, INTERRUPT = 0x4206, 0x4207
ALL = 0x40000000  # __WALL of waitpid(2): threads too


def hold(pid: int) -> None:
    """Hold the thread until it is gone."""
    for request in (SEIZE, INTERRUPT):
        if ctypes.CDLL(None, use_errno=True).ptrace(request, pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace request {request:#x}")
    os.waitpid(pid, ALL)
    print("held", flush=True)
    # A death is told to whoever holds it first, and to systemd only when that has heard it.
    while not os.WIFEXITED(status := os.waitpid(pid, ALL)[1]) and not os.WIFSIGNALED(status):
        pass


@contextlib.contextmanager
def held(pid: int) -> Iterator[None]:
    """Hold the main thread of a process for as long as that."""
    with subprocess.Popen([sys.executable, Path(__file__), str(pid)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield
        finally:
            holder.kill()


if __name__ == "__main__":
    hold(int(sys.argv[1]))
