"""Chunked transfer coding (RFC 9112, 7.1), strictly, and without I/O."""

import re

from swapper.router.wire.fields import TEXT, TOKEN, ProtocolError

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*+(?:;" + TEXT + rb")?\r\n")
_TRAILER = re.compile(rb"(?:" + TOKEN + rb":" + TEXT + rb")?\r\n")


class Chunks:
    """Reads chunked transfer coding (RFC 9112, 7.1) up to its end.

    Attributes:
        done: The last chunk and the trailer have been read.
    """

    __slots__ = ("_left", "_line", "_tail", "_trailer", "done")

    _LINE_LIMIT = 1024
    _TRAILER_LIMIT = 8192

    def __init__(self) -> None:
        self.done = False
        self._left = 0  # bytes of the current chunk that are still to come
        self._tail = 0  # bytes of the CRLF after it that are still to come
        self._line = b""  # the beginning of a size or trailer line
        self._trailer = -1  # bytes of trailer so far; negative before the last chunk

    @property
    def between(self) -> bool:
        """Whether all chunks so far are whole and none has begun: here, and only here, one may be put in."""
        return not self.done and not (self._left or self._tail or self._line) and self._trailer < 0

    def feed(self, data: bytes, sink: list[bytes] | None = None) -> int:
        """Read on; stops at the end.

        Args:
            data: The next bytes.
            sink: Where the payload is put, if it is wanted.

        Returns:
            How many bytes belong to this body: all, unless it ended.

        Raises:
            ProtocolError: It is not chunked coding.
        """
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._left:
                stop = min(position + self._left, end)
                if sink is not None:
                    sink.append(data[position:stop])
                self._left -= stop - position
                self._tail = 2 if self._left == 0 else 0
                position = stop
            elif self._tail:
                stop = min(position + self._tail, end)
                if data[position:stop] != b"\r\n"[2 - self._tail : 2 - self._tail + stop - position]:
                    raise ProtocolError("invalid_request", "A chunk is longer than its size says.")
                self._tail -= stop - position
                position = stop
            else:
                position = self._next_line(data, position, sink)
        return position

    def _next_line(self, data: bytes, position: int, sink: list[bytes] | None) -> int:
        """Read a size line, and the chunks after it that are here whole; or a line of the trailer."""
        if self._line or self._trailer >= 0:
            return self._slow_line(data, position)
        # The common case, all in a row: size line, payload and CRLF are here.
        end = len(data)
        while match := _CHUNK.match(data, position):
            size = int(match[1], 16)
            position = match.end()
            if size == 0:
                self._trailer = 0
                return position
            stop = position + size
            if stop + 2 > end:
                self._left = size
                return position
            if data[stop : stop + 2] != b"\r\n":
                raise ProtocolError("invalid_request", "A chunk is longer than its size says.")
            if sink is not None:
                sink.append(data[position:stop])
            position = stop + 2
        return self._slow_line(data, position) if position < end else position

    def _slow_line(self, data: bytes, position: int) -> int:
        """Read a line that may have begun in earlier data, or may end in later data."""
        before = len(self._line)
        limit = self._LINE_LIMIT if self._trailer < 0 else self._TRAILER_LIMIT - self._trailer
        line = self._line + data[position : position + max(0, limit - before)]
        end = line.find(b"\n") + 1
        if end == 0:
            if len(line) >= limit:
                raise ProtocolError("invalid_request", "A chunk's size line or the trailer is too long.")
            self._line = line
            return len(data)
        self._line = b""
        if self._trailer < 0:
            match = _CHUNK.fullmatch(line, 0, end)
            if match is None:
                raise ProtocolError("invalid_request", "A chunk's size line is malformed.")
            self._left = int(match[1], 16)
            self._trailer = -1 if self._left else 0
        else:
            if _TRAILER.fullmatch(line, 0, end) is None:
                raise ProtocolError("invalid_request", "The trailer is malformed.")
            self._trailer += end
            self.done = end == 2
        return position + end - before
