"""HTTP/1.1 heads, strictly, and without I/O: bytes in, facts out.

Rules of this file, all from RFC 9110 and RFC 9112:
  * A line of a head matches its grammar or the message is refused: no bare LF, no obs-fold, no space before a colon.
  * A body is framed in exactly one way. Content-Length beside Transfer-Encoding, two lengths that differ, or a transfer
    coding other than `chunked` are refused, because two readers could see two different messages (request smuggling).
  * What is forwarded keeps the sender's lines as they were, less those that mean this connection only.

The two heads are named tuples, not dataclasses: one of each is made per request, and a frozen dataclass of this size
costs 2 µs against 0.5 µs.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from swapper.locality import PASSED_ON
from swapper.router.wire.fields import (
    HEAD_LIMIT,
    KNOWN,
    OURS,
    SECRET,
    SHORT,
    TEXT,
    THEIRS,
    TOKEN,
    Framing,
    ProtocolError,
    new_field,
)

__all__ = ["HEAD_LIMIT", "ProtocolError", "RequestHead", "ResponseHead", "parse_request", "parse_response"]

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (/[!\"$-~]*+) HTTP/1\.([01])")
_OTHER_VERSION = re.compile(TOKEN + rb" \S+ HTTP/([0-9])\.[0-9]")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]((?: " + TEXT + rb")?))")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestHead(NamedTuple):
    """A request up to its body.

    Attributes:
        method: As sent.
        target: Path and query, as sent.
        version: Minor version: 0 or 1.
        fields: The lines to forward, each with its CRLF.
        length: Content-Length, None without.
        chunked: The body is sent in chunks.
        close: The client wants this connection closed after the answer.
        expects: The client waits for `100 Continue`.
        content_type: As sent, empty without.
        encoding: Content-Encoding in lower case, empty without.
        request_id: The client's own id where it is a sane one, else None.
        host: As sent, empty without.
        origin: As sent, empty without.
        authorization: As sent, empty without; never to be logged or passed on.
        api_key: `x-api-key` as sent, empty without; never to be logged or passed on.
        upgrade: The protocol that the client wants instead, in lower case; empty without.
        passed_on: A proxy says that it asks for somebody else.
    """

    method: bytes
    target: bytes
    version: int
    fields: bytes
    length: int | None
    chunked: bool
    close: bool
    expects: bool
    content_type: bytes
    encoding: bytes
    request_id: bytes | None
    host: bytes = b""
    origin: bytes = b""
    authorization: bytes = b""
    api_key: bytes = b""
    upgrade: bytes = b""
    passed_on: bool = False

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.target!r}>"


class ResponseHead(NamedTuple):
    """A response up to its body.

    Attributes:
        status: 100 to 999.
        line: Status and reason as they stand in the status line, such as `200 OK`.
        fields: The lines to forward, each with its CRLF; Content-Length among them, Transfer-Encoding not.
        length: Bytes of body that follow; None when the end is told otherwise.
        chunked: The body is sent in chunks. With neither length nor chunks it ends with the connection.
        close: The server will close the connection.
        events: The body is a stream of server-sent events.
    """

    status: int
    line: bytes
    fields: bytes
    length: int | None
    chunked: bool
    close: bool
    events: bool

    @property
    def told_length(self) -> int | None:
        """The length of the body, if the client is told of it too."""
        told = self.length is not None and self.fields.endswith(b"Content-Length: %d\r\n" % self.length)
        return self.length if told else None

    def with_length(self, length: int) -> "ResponseHead":
        """The same, of another length; of one that has a body of a known length."""
        if length == self.length:
            return self
        fields = self.fields.rpartition(b"Content-Length: ")[0] + b"Content-Length: %d\r\n" % length
        return self._replace(fields=fields, length=length)


def _request_line(line: bytes) -> tuple[bytes, bytes, int]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is not None:
        return match[1], match[2], 1 if match[3] == b"1" else 0
    other = _OTHER_VERSION.fullmatch(line)
    if other is not None and other[1] != b"1":
        raise ProtocolError("unknown_version", "This server speaks HTTP/1.1.")
    if other is not None and not line.partition(b" ")[2].startswith(b"/"):
        raise ProtocolError("invalid_request", "The request target must be a path.")
    raise ProtocolError("invalid_request", "The request line is malformed.")


_short_request_line = lru_cache(256)(_request_line)


class _Asked(Framing):
    """What the fields of a request say beside that."""

    __slots__ = ("expects", "host", "hosts", "request_id", "secrets", "upgrade")

    def __init__(self) -> None:
        super().__init__()
        self.expects = False
        self.host = b""
        self.hosts = 0
        self.request_id: bytes | None = None
        self.secrets: dict[bytes, bytes] | None = None
        self.upgrade = b""

    def take(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self.hosts += 1
            self.host = value
        elif name in SECRET:
            self.secrets = self.secrets or {}
            if self.secrets.setdefault(name, value) != value:
                raise ProtocolError("invalid_request", "The request carries two different keys.")
        elif name == b"upgrade":
            self.upgrade = value.lower()
        elif name == b"x-request-id":
            self.request_id = value if _REQUEST_ID.fullmatch(value) else None
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise ProtocolError("unknown_expectation", "The only expectation understood is `100-continue`.")
            self.expects = True
        else:
            super().take(name, value)

    def check(self, version: int) -> None:
        super().check(version)
        if self.hosts > 1 or (self.hosts == 0 and version == 1):
            raise ProtocolError("invalid_request", "HTTP/1.1 wants exactly one Host field.")
        if version == 0:
            self.expects, self.close = False, True
        if version == 0 or b"upgrade" not in self.named:
            self.upgrade = b""


_NO_SECRETS: dict[bytes, bytes] = {}


def parse_request(head: bytes) -> RequestHead:
    """Parse a request head, up to and with the empty line that ends it.

    Raises:
        ProtocolError: It is not one, or asks for what this server does not do.
    """
    first, *lines = head[:-4].split(b"\r\n")
    method, target, version = _short_request_line(first) if len(first) < SHORT else _request_line(first)
    asked = _Asked()
    content_type = encoding = origin = b""
    typed = passed_on = False
    forwarded = []
    for line in lines:
        name, value = KNOWN.get(line) or new_field(line)
        if name is not None and name in OURS:
            asked.take(name, value)
            continue
        forwarded.append(line)
        if name == b"content-type":
            if typed:
                raise ProtocolError("invalid_request", "Content-Type is given twice.")
            content_type, typed = value, True
        elif name == b"content-encoding":
            encoding = encoding + b", " + value.lower() if encoding else value.lower()
        elif name == b"origin":
            origin = b"null" if origin else value  # two of them are nobody's
        elif name in PASSED_ON:
            passed_on = True
    asked.check(version)
    secrets = asked.secrets or _NO_SECRETS
    return RequestHead(method, target, version, asked.forwarded(forwarded), asked.length, asked.chunked, asked.close,
                       asked.expects, content_type, encoding, asked.request_id, asked.host, origin,
                       secrets.get(b"authorization", b""), secrets.get(b"x-api-key", b""), asked.upgrade,
                       passed_on)  # fmt: skip


def _status_line(line: bytes) -> tuple[int, int, bytes]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise ProtocolError("engine_broke_off", "the status line is malformed.")
    return 1 if match[1] == b"1" else 0, int(match[2][:3]), match[2]


_short_status_line = lru_cache(256)(_status_line)


def parse_response(head: bytes, method: bytes) -> ResponseHead:
    """Parse a response head, up to and with the empty line that ends it.

    Args:
        head: All of it.
        method: The request's method: an answer to HEAD has no body.

    Raises:
        ProtocolError: It is not one.
    """
    first, *lines = head[:-4].split(b"\r\n")
    version, status, status_line = _short_status_line(first) if len(first) < SHORT else _status_line(first)
    framing = Framing()
    events = False
    forwarded = []
    for line in lines:
        name, value = KNOWN.get(line) or new_field(line)
        if name is None or name not in THEIRS:
            forwarded.append(line)
            if name == b"content-type":
                events = value.lower().startswith(b"text/event-stream")
        else:
            framing.take(name, value)
    framing.check(version)
    if framing.length is not None:
        forwarded.append(b"Content-Length: %d" % framing.length)
    if method == b"HEAD" or status in {204, 304} or status < 200:
        # The length of a body that is not there may be told, but does not frame anything (RFC 9112, 6.3).
        framing.length, framing.chunked = 0, False
    close = framing.close or (version == 0 and not framing.keep) or (framing.length is None and not framing.chunked)
    fields = framing.forwarded(forwarded)
    return ResponseHead(status, status_line, fields, framing.length, framing.chunked, close, events)
