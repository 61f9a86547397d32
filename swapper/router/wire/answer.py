"""What a client gets for one request: a head, a body, and how it ends.

A stream may have to begin before its engine does: while its model is loaded, comments keep the connection alive and
say what is going on. What the engine answers then goes on in the stream that has begun:

PASS      the engine's bytes as they are, with the framing that they have. The rule; all that follows is for a stream
          that has begun already.
FRAME     events that are not in chunks get chunks.
COLLECT   what is no stream of events becomes one event: an error, and then the stream ends as a broken one does.
"""

import enum
import json
from collections import deque

from swapper.router.errors import ApiError
from swapper.router.wire.http1 import RequestHead, ResponseHead
from swapper.router.wire.ports import Line
from swapper.router.wire.usage import tokens

COLLECTED = 64 * 1024
"""Most bytes of an answer that becomes an event."""

LAST = 6
"""Blocks in which the end of an answer may come: the last word, the usage, the last event, the end of the chunks."""


class _Mode(enum.Enum):
    """See the top of this file."""

    PASS = enum.auto()
    FRAME = enum.auto()
    COLLECT = enum.auto()


class Answer:
    """Writes the answer to one request.

    Attributes:
        keep: Whether the client's connection is to be kept afterwards.
        opened: A stream has begun before its engine did.
        status: As sent; 0 before.
        sent: Bytes sent.
        framed: The engine's framing goes to the client with its bytes.
    """

    __slots__ = ("_collected", "_cors", "_first", "_id", "_last", "_line", "_mode", "_refused", "_target", "_version",
                 "framed", "keep", "opened", "sent", "status")  # fmt: skip

    def __init__(self, line: Line, head: RequestHead, request_id: bytes, cors: bytes) -> None:
        """Nothing is written yet.

        Args:
            line: The client's connection.
            head: The request.
            request_id: Told in every answer.
            cors: Header lines for web pages of other origins.
        """
        self.keep = not head.close
        self.opened = False
        self.status = 0
        self.sent = 0
        self.framed = head.version == 1
        self._line = line
        self._id = request_id
        self._target = head.target
        self._version = head.version
        self._cors = cors
        self._mode = _Mode.PASS
        self._refused = False
        self._collected = b""
        self._first = b""
        self._last: deque[bytes] = deque(maxlen=LAST)

    # Before the engine

    def open(self) -> None:
        """Begin a stream of events."""
        if self._line.closing:
            self.keep = False
        self.opened = True
        self.status = 200
        self._write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                    b"Transfer-Encoding: chunked\r\n%b%bX-Request-Id: %b\r\n\r\n"
                    % (self._cors, b"" if self.keep else b"Connection: close\r\n", self._id))  # fmt: skip

    def event(self, data: bytes) -> None:
        """Write to a stream that has begun."""
        self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def error(self, error: ApiError, timing: bytes) -> bool:
        """Answer with an error, or end with one; returns whether the connection is still good for another request."""
        if self.opened:
            self.event(error.event(self._target))
            return False
        self.status = error.status
        self.keep = self.keep and not self._line.closing
        self.sent += self._line.reply(error, self._id, keep=self.keep, extra=self._cors + timing)
        return True

    # The engine's

    def begin(self, head: ResponseHead, timing: bytes) -> bytes:
        """The engine answers: the head for the client, which goes before what is written next; may be empty."""
        if self.opened:
            if head.status != 200 or not head.events:
                self._mode, self._refused = _Mode.COLLECT, head.status >= 400
            elif not head.chunked:
                self._mode = _Mode.FRAME
            self.framed = self._mode is _Mode.PASS
            return b""
        self.status = head.status
        framing = b""
        if head.chunked and self._version:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif head.length is None:
            self.keep = False
        if self._line.closing:
            self.keep = False
        if not self.keep:
            framing += b"Connection: close\r\n"
        return b"HTTP/1.1 %b\r\n%b%b%b%bX-Request-Id: %b\r\n\r\n" % (
            head.line, head.fields, framing, self._cors, timing, self._id)  # fmt: skip

    def switch(self, head: ResponseHead) -> bytes:
        """The engine goes on with another protocol: the head for the client."""
        self.status = head.status
        self.keep = False
        return b"HTTP/1.1 %b\r\n%b%bConnection: Upgrade\r\nUpgrade: websocket\r\nX-Request-Id: %b\r\n\r\n" % (
            head.line, head.fields, self._cors, self._id)  # fmt: skip

    def write(self, data: bytes) -> None:
        """Bytes of the engine's answer."""
        if self._mode is not _Mode.PASS:
            if self._mode is _Mode.COLLECT:
                self._collected += data[: COLLECTED - len(self._collected)]
            elif data:
                self.event(data)
            return
        if self._first:
            self._last.append(data)
        else:
            self._first = data
        self._write(data)

    def end(self) -> bool:
        """The engine's answer is complete; returns whether the client's is a good one, and its connection too."""
        if self._mode is _Mode.COLLECT:
            self.event(self._as_event())
        if self._refused:
            return False
        if self._mode is not _Mode.PASS:
            self._write(b"0\r\n\r\n")
        return True

    def _as_event(self) -> bytes:
        """An answer that was no stream, for a client that waits for one."""
        try:
            value = json.loads(self._collected)
        except ValueError:
            value = None
        if not self._refused and value is not None:
            return b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(value, ensure_ascii=False).encode()
        self._refused = True
        if not isinstance(value, dict):
            text = self._collected[:500].decode(errors="replace")
            return ApiError("engine_refused", f"The engine refused the request: {text}").event(self._target)
        if not self._target.startswith(b"/v1/messages"):
            error = value if value.get("error") else {"error": value}
            return b"data: %b\n\n" % json.dumps(error, ensure_ascii=False).encode()
        return b"event: error\ndata: %b\n\n" % json.dumps(value, ensure_ascii=False).encode()

    @property
    def tokens(self) -> tuple[int | None, int | None]:
        """Tokens of the prompt and of the answer, as far as the engine said."""
        return tokens(self._first, b"".join(self._last) or self._first)

    def _write(self, data: bytes) -> None:
        self.sent += len(data)
        self._line.transport.write(data)
