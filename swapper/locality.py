"""Whether a request comes from this machine, and calls it by a name that only this machine can have.

A browser on this machine reaches a port of it for every page that it shows; with a name of its own that changes its
address (DNS rebinding) a page even looks like a part of the port. What it cannot change is the name in Host.

A proxy on this machine comes from this machine too, with what it was asked by others. Most say so.
"""

import re
import socket
from collections.abc import Container

PASSED_ON = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})
"""Fields by which a proxy tells for whom it asks (RFC 7239, and what was usual before it). A request with one of them
is not taken for this machine's own. That anybody can write one does no harm: it only takes trust away."""

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
