"""The lines of a header, of requests and of responses: their grammar, and what they say of body and connection."""

import re

from swapper.locality import PASSED_ON

HEAD_LIMIT = 64 * 1024
"""Longest head in bytes, of a request and of a response."""

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
TEXT = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELD = re.compile(rb"(" + TOKEN + rb"):(" + TEXT + rb")")
_LENGTH = re.compile(rb"[0-9]{1,15}")

SECRET = frozenset({b"authorization", b"x-api-key", b"proxy-authorization", b"cookie"})
"""Not for engines, and not to be remembered either: browsers send the cookies of every service on this host."""

# Fields that mean one connection only (RFC 9110, 7.6.1), or that the router answers itself.
OURS = SECRET | {b"host", b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings",
                   b"expect", b"content-length", b"transfer-encoding", b"x-request-id"}  # fmt: skip
THEIRS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"upgrade",
                     b"content-length", b"transfer-encoding", b"x-request-id",
                     # llama-server lets pages of all origins read its answers; who may is for the router to say.
                     b"access-control-allow-origin", b"access-control-allow-credentials",
                     b"access-control-allow-methods", b"access-control-allow-headers",
                     b"access-control-expose-headers"})  # fmt: skip
_NOTED = OURS | THEIRS | PASSED_ON | {b"content-type", b"content-encoding", b"origin"}


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1 as it should.

    Attributes:
        code: The error code that says so to a client.
        message: What is wrong, one sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Framing:
    """What the fields of one head say about body and connection."""

    __slots__ = ("chunked", "close", "keep", "length", "named")

    def __init__(self) -> None:
        self.length: int | None = None
        self.chunked = False
        self.close = False
        self.keep = False
        self.named: frozenset[bytes] = frozenset()

    def take(self, name: bytes, value: bytes) -> None:
        """Take note of one field. Raises ProtocolError."""
        if name == b"content-length":
            if _LENGTH.fullmatch(value) is None:
                raise ProtocolError("invalid_request", "Content-Length is not a number.")
            if self.length is not None and self.length != int(value):
                raise ProtocolError("invalid_request", "Content-Length is given twice, with different values.")
            self.length = int(value)
        elif name == b"transfer-encoding":
            if self.chunked or value.lower() != b"chunked":
                raise ProtocolError("unknown_coding", "The only transfer coding understood is `chunked`, once.")
            self.chunked = True
        elif name == b"connection":
            options = frozenset(option.strip() for option in value.lower().split(b","))
            self.close |= b"close" in options
            self.keep |= b"keep-alive" in options
            self.named |= options - {b"close", b"keep-alive", b""}

    def check(self, version: int) -> None:
        """Whether all of it makes sense together. Raises ProtocolError."""
        if self.chunked and self.length is not None:
            raise ProtocolError("invalid_request", "Content-Length and Transfer-Encoding exclude each other.")
        if self.chunked and version == 0:
            raise ProtocolError("invalid_request", "HTTP/1.0 knows no Transfer-Encoding.")

    def forwarded(self, lines: list[bytes]) -> bytes:
        """The lines that go on, less those which the Connection field names."""
        if self.named:
            lines = [line for line in lines if line.partition(b":")[0].lower() not in self.named]
        return b"\r\n".join(lines) + b"\r\n" if lines else b""


def _field(line: bytes) -> tuple[bytes | None, bytes]:
    """One line of a header: its name in lower case, if it is one that is dealt with here, and its value."""
    match = _FIELD.fullmatch(line)
    if match is None:
        raise ProtocolError("invalid_request", "The header is malformed.")
    name = match[1].lower()
    return name if name in _NOTED else None, match[2].strip(b" \t")


SHORT = 256
"""Longest line that is remembered."""

_MOST = 1024
KNOWN: dict[bytes, tuple[bytes | None, bytes]] = {}
"""Lines that came before: whoever sends a head sends the same lines again with the next one. `new_field` adds to it."""


def new_field(line: bytes) -> tuple[bytes | None, bytes]:
    """A line that is not known; it will be, unless it is long or a secret."""
    found = _field(line)
    if len(line) < SHORT and found[0] not in SECRET:
        if len(KNOWN) >= _MOST:
            KNOWN.clear()
        KNOWN[line] = found
    return found
