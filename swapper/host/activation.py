"""Sockets that systemd holds and hands over: sd_listen_fds(3)."""

import os
import socket
from typing import Final

_FIRST: Final = 3  # SD_LISTEN_FDS_START


def listen_sockets() -> list[socket.socket]:
    """The listening sockets that systemd handed to this process; empty when it was started otherwise.

    They are systemd's: closing ours leaves its own open, so that connections wait in the backlog while nobody runs.
    Hence never `shutdown()` them, which would end the listening for all. Call once: the environment forgets them, so
    that no child takes them for its own.
    """
    process = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    os.environ.pop("LISTEN_PIDFDID", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(descriptor, False)
        adopted = socket.socket(fileno=descriptor)
        adopted.setblocking(False)
        sockets.append(adopted)
    return sockets
