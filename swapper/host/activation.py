"""What systemd holds and hands over, open: sockets and files. sd_listen_fds(3)."""

import os
import socket
import stat
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

_FIRST: Final = 3  # SD_LISTEN_FDS_START


class Handed(NamedTuple):
    """What systemd handed over.

    Attributes:
        sockets: Those that listen; empty when this process was started otherwise.
        files: Names of files (`OpenFile=`). That they exist is all that is asked of most: they are closed again.
        kept: Descriptors of those that were to be kept open, by name; these are not among `files`.
    """

    sockets: tuple[socket.socket, ...] = ()
    files: frozenset[str] = frozenset()
    kept: Mapping[str, int] = {}


def handed(keep: Collection[str] = ()) -> Handed:
    """What systemd handed to this process, with the files of these names open.

    The sockets are systemd's: closing ours leaves its own open, so that connections wait in the backlog while nobody
    runs. Hence never `shutdown()` them, which would end the listening for all. Call once: the environment forgets them,
    so that no child takes them for its own.
    """
    process = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    os.environ.pop("LISTEN_PIDFDID", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return Handed()
    sockets, files, kept = [], set(), {}
    for number in range(int(count)):
        descriptor = _FIRST + number
        os.set_inheritable(descriptor, False)
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            adopted = socket.socket(fileno=descriptor)
            adopted.setblocking(False)
            sockets.append(adopted)
        elif number < len(names) and names[number] in keep:
            kept[names[number]] = descriptor
        else:
            os.close(descriptor)
            files.update(names[number : number + 1])
    return Handed(tuple(sockets), frozenset(files), kept)
