"""A second reader of HTTP/1.1 requests, plain and slow, that shares nothing with the router's.

It goes through RFC 9112 from its top, one byte after the other. What the standard lets a server repair (a bare line
feed, a folded line, a list of equal lengths) ends the reading here: a repair is one reader's opinion, and the next
reader may have another.
"""

import string
from dataclasses import dataclass

_TOKEN = frozenset((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
_DIGITS = frozenset(string.digits.encode())
_HEX = frozenset(string.hexdigits.encode())
_VISIBLE = frozenset(range(0x21, 0x7F))
_VALUE = _VISIBLE | frozenset(b" \t") | frozenset(range(0x80, 0x100))


class Refused(Exception):  # noqa: N818 - it is an answer
    """What stands there is no request, or could be read in two ways."""


class Unfinished(Exception):  # noqa: N818 - it is an answer
    """So far it is a request; its end has not come."""


@dataclass(frozen=True, slots=True)
class Read:
    """A request.

    Attributes:
        start: Where its first byte stands.
        method: As sent.
        target: As sent.
        fields: Name in lower case, and value.
        body: Without its framing.
        last: The connection is not to be used after it.
    """

    start: int
    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    last: bool

    def all(self, name: bytes) -> list[bytes]:
        """The values of a field."""
        return [value for found, value in self.fields if found == name]


class Reader:
    """Reads requests one after the other from all the bytes of a connection."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _line(self) -> bytes:
        """Up to the next CRLF, which is taken too."""
        end = self._at
        while end < len(self._data):
            if self._data[end] == 0x0A:
                raise Refused("a bare LF")
            if self._data[end] == 0x0D:
                if end + 1 == len(self._data):
                    break
                if self._data[end + 1] != 0x0A:
                    raise Refused("a bare CR")
                line, self._at = self._data[self._at : end], end + 2
                return line
            end += 1
        raise Unfinished

    def _take(self, count: int) -> bytes:
        if len(self._data) - self._at < count:
            raise Unfinished
        self._at += count
        return self._data[self._at - count : self._at]

    def _fields(self) -> tuple[tuple[bytes, bytes], ...]:
        fields = []
        while line := self._line():
            name, colon, value = line.partition(b":")
            if not colon or not name or not _TOKEN.issuperset(name) or not _VALUE.issuperset(value):
                raise Refused("a malformed field")
            fields.append((name.lower(), value.strip(b" \t")))
        return tuple(fields)

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size, _, extension = self._line().partition(b";")
            size = size.rstrip(b" \t")
            if not size or not _HEX.issuperset(size) or not _VALUE.issuperset(extension):
                raise Refused("a malformed chunk size")
            if int(size, 16) == 0:
                self._fields()
                return body
            body += self._take(int(size, 16))
            if self._take(2) != b"\r\n":
                raise Refused("a chunk of another size")

    def next(self) -> Read | None:
        """The next request; None at the end of the data.

        Raises:
            Refused: It is none.
            Unfinished: Part of it is there.
        """
        while self._data.startswith(b"\r\n", self._at):
            self._at += 2
        if self._at == len(self._data):
            return None
        start = self._at
        words = self._line().split(b" ")
        if len(words) != 3:
            raise Refused("a malformed request line")
        method, target, version = words
        if version not in {b"HTTP/1.0", b"HTTP/1.1"}:
            raise Refused("another protocol")
        if not method or not _TOKEN.issuperset(method):
            raise Refused("a malformed method")
        if not target.startswith(b"/") or not _VISIBLE.issuperset(target):
            raise Refused("a malformed target")
        old = version == b"HTTP/1.0"
        fields = self._fields()
        read = Read(start, method, target, fields, b"", old)
        if len(read.all(b"host")) > 1 or not (old or read.all(b"host")):
            raise Refused("not one host")
        last = old or any(b"close" in [word.strip() for word in value.lower().split(b",")]
                          for value in read.all(b"connection"))  # fmt: skip
        return Read(start, method, target, fields, self._body(read, old=old), last)

    def _body(self, read: Read, *, old: bool) -> bytes:
        lengths, codings = read.all(b"content-length"), read.all(b"transfer-encoding")
        if codings:
            if old or lengths or [coding.lower() for coding in codings] != [b"chunked"]:
                raise Refused("framed in two ways, or in an unknown one")
            return self._chunks()
        if not lengths:
            return b""
        if any(not value or not _DIGITS.issuperset(value) for value in lengths) or len(set(map(int, lengths))) > 1:
            raise Refused("no length, or two")
        return self._take(int(lengths[0]))


def read_all(data: bytes) -> tuple[list[Read], str]:
    """All requests of a connection, and how it went on: `end`, `last`, `unfinished`, or why it was refused."""
    reader = Reader(data)
    found: list[Read] = []
    try:
        while (read := reader.next()) is not None:
            found.append(read)
            if read.last:
                return found, "last"
    except Unfinished:
        return found, "unfinished"
    except Refused as why:
        return found, f"refused: {why}"
    return found, "end"
