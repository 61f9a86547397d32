"""One request, and its answer whole: for commands that shall be there at once.

http.client can do more, and its import takes longer than all else that `swapperctl status` needs. This is HTTP/1.0, in
which an answer is one piece, and the connection ends with it (RFC 1945; RFC 9112, 6.3).
"""

import socket
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult

_PORTS = {"http": 80, "https": 443}


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: Of HTTP.
        body: All of it.
    """

    status: int
    body: bytes


def ask(
    url: SplitResult, method: str, target: str, headers: Mapping[str, str], body: bytes | None, patience: float
) -> Answer:
    """Ask, and wait for as long as the answer takes.

    Args:
        url: Whom: scheme, host and port.
        method: Of HTTP.
        target: Path and query.
        headers: Further fields.
        body: What is sent along.
        patience: Seconds for the connection.

    Raises:
        OSError: There is no connection, no answer, or not all of it.
    """
    fields = {"Host": url.netloc.rpartition("@")[2], **headers}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = (f"{method} {target} HTTP/1.0", *(f"{name}: {value}" for name, value in fields.items()), "", "")
    with _connected(url, patience) as connection:
        connection.settimeout(None)
        connection.sendall("\r\n".join(lines).encode() + (body or b""))
        return _read(b"".join(iter(lambda: connection.recv(1 << 16), b"")))


def _connected(url: SplitResult, patience: float) -> socket.socket:
    host = url.hostname or ""
    connection = socket.create_connection((host, url.port or _PORTS[url.scheme]), patience)
    if url.scheme == "http":
        return connection
    import ssl  # noqa: PLC0415 - for routers elsewhere

    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def _read(data: bytes) -> Answer:
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    version, status, *_ = *first.split(b" ", 2), b""
    if not end or not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise ConnectionError("what came is no answer")
    told = [line for line in lines if line.lower().startswith(b"content-length:")]
    if told and len(body) < int(told[0].partition(b":")[2]):
        raise ConnectionError("the answer broke off")
    return Answer(int(status), body)
