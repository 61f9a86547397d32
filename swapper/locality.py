"""Whether a request comes from this machine, and calls it by a name that only this machine can have.

A browser on this machine reaches a port of it for every page that it shows; with a name of its own that changes its
address (DNS rebinding) a page even looks like a part of the port. What it cannot change is the name in Host.
"""

import re
import socket
from collections.abc import Container

_HOST = re.compile(rb"(?:([0-9A-Za-z_.-]+)|\[([0-9A-Fa-f:.]+)\])(?::[0-9]{0,5})?")


def is_local(sockname: object) -> bool:
    """Whether what comes in on a socket is from this machine.

    Args:
        sockname: What `getsockname()` says: a path or name for a unix socket, else address, port and more.
    """
    if isinstance(sockname, str | bytes):
        return True
    host = sockname[0] if isinstance(sockname, tuple) and sockname else None
    if not isinstance(host, str):
        return False  # of other families, such as a virtual machine's
    address = host.removeprefix("::ffff:")
    return address == "::1" or (address.startswith("127.") and _is_address(socket.AF_INET, address.encode()))


def is_ours(host: bytes, names: Container[bytes] = ()) -> bool:
    """Whether a page under this name can only be one of the port's own: an address, localhost, or a name of its own.

    Args:
        host: The field Host.
        names: By which the port may be called, in lower case.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name, six = match.groups()
    if six is not None:
        return _is_address(socket.AF_INET6, six)
    name = name.lower().removesuffix(b".")
    known = name == b"localhost" or name.endswith(b".localhost") or name in names
    return known or _is_address(socket.AF_INET, name)


def is_own_page(origin: bytes, host: bytes) -> bool:
    """Whether a page of this origin (RFC 6454) is one of the port's own, as Host calls it."""
    own = host.lower()
    return bool(own) and origin.lower() in (b"http://" + own, b"https://" + own)


def _is_address(family: socket.AddressFamily, text: bytes) -> bool:
    try:
        socket.inet_pton(family, text.decode())
    except (OSError, UnicodeDecodeError):
        return False
    return True
