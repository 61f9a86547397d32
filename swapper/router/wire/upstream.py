"""Connections to engines, one unix socket each: send a request, pass the response on, keep the connection for the next.

Rules of this file:
  * Response bytes go on as they come. They are read only as far as it takes to know where the response ends.
  * A connection is kept only after a response whose end was certain, and a request that was sent whole.
  * An engine may close a kept connection just as a request is sent on it. If it did so at once, and not one byte of an
    answer came, the job is told that the connection was stale, and sends the request on a fresh one. Nobody else
    retries anything, and nobody retries what an engine may have died of.
  * A stream that vLLM ends because it is being stopped (`finish_reason` `abort`, or word that its engine's process is
    dead, then `[DONE]`) looks whole, and is not: it counts as broken off.
"""

import asyncio
import enum
import re
from typing import Protocol, cast

from swapper.router.wire.body import Body
from swapper.router.wire.chunks import Chunks
from swapper.router.wire.http1 import HEAD_LIMIT, ProtocolError, ResponseHead, parse_response
from swapper.router.wire.likeness import Likeness

# All connections read into one buffer: each block is taken out before the loop reads the next. 256 KiB is what asyncio
# itself reads at most, but allocates anew for each read.
_BUFFER = bytearray(256 * 1024)
_VIEW = memoryview(_BUFFER)

STALE_SECONDS = 1.0
"""An engine that closes a connection later than this had begun to work on what was sent."""

_EVENT_ENDS = (b"\n\n\r\n", b"\r\n\r\n\r\n")
_TAIL = max(map(len, _EVENT_ENDS))
_PAUSE_ABOVE = 128 * 1024

# Within what a model says quotes are escaped, so this cannot stand there.
_ABORT, _DEAD = b'"abort"', b'"EngineCore encountered'
_ABORTED = re.compile(rb'"finish_reason": ?"abort"|"error": ?\{"message": ?"EngineCore encountered')  # EngineDeadError


class Job(Protocol):
    """The request on a connection: what it is told.

    Attributes:
        method: The request's.
        tunnel: The engine may go on with another protocol.
    """

    method: bytes
    tunnel: bool

    @property
    def framed(self) -> bool:
        """Whether chunks go on as they are; else their payload does."""

    def begun(self, head: ResponseHead) -> bytes:
        """The response has begun; returns the head for the client, which goes before its body."""

    def write(self, data: bytes) -> None:
        """Bytes for the client."""

    def caught_up(self) -> None:
        """The engine takes more of what the client sends."""

    def finished(self) -> None:
        """The response is complete; the connection is somebody else's."""

    def broken(self, why: str) -> None:
        """The connection is gone before the response was complete."""

    def stale(self) -> None:
        """The kept connection was gone before a single byte came: another one is needed."""


class Keeper(Protocol):
    """Who keeps connections while nobody uses them."""

    def made(self, upstream: "Upstream") -> None:
        """A connection is there."""

    def put(self, upstream: "Upstream") -> None:
        """A connection is free for the next request."""

    def lost(self, upstream: "Upstream") -> None:
        """A connection is gone."""


class _Mode(enum.Enum):
    """What comes next."""

    HEAD = enum.auto()
    LENGTH = enum.auto()
    CHUNKS = enum.auto()
    REST = enum.auto()


class Upstream(asyncio.BufferedProtocol):
    """One connection to an engine.

    Attributes:
        path: The engine's socket.
        job: The request that it is used for; None while it is kept.
        idle_since: When it was last used, on the loop's clock.
    """

    __slots__ = ("_begun", "_chunks", "_close", "_events", "_held", "_keeper", "_left", "_likeness", "_loop", "_lost",
                 "_mode", "_paused", "_sent", "_tail", "_transport", "_used", "_waiter", "idle_since", "job",
                 "path")  # fmt: skip

    def __init__(self, keeper: Keeper, path: str) -> None:
        self.path = path
        self.job: Job | None = None
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._keeper = keeper
        self._begun = 0.0  # when the request was sent, on the loop's clock
        self._used = False  # for an earlier request
        self._mode = _Mode.HEAD
        self._held = b""  # a response head that is not whole
        self._left = 0
        self._lost = False
        self._chunks = Chunks()
        self._likeness = Likeness[ResponseHead]()
        self._close = False
        self._events = False  # the answer is a stream of them, in chunks
        self._sent = False
        self._tail = b""  # the last bytes that came, to know whether an event is whole
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The engine has taken the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_PAUSE_ABOVE)
        self._keeper.made(self)

    # The request

    def claim(self, job: Job) -> None:
        """From now on, whatever happens here is this job's."""
        self.job = job
        self._mode = _Mode.HEAD
        self._close = False
        self._events = False
        self._sent = False
        self._begun = self._loop.time()
        if self._lost:
            self._loop.call_soon(self._tell_lost, None)

    def send(self, data: bytes) -> None:
        """Send a request that is held in memory, head and body."""
        self._transport.write(data)
        self._sent = True

    def tell(self, data: bytes) -> bool:
        """Send more through a tunnel; returns whether the engine keeps up."""
        self._transport.write(data)
        return not self._paused

    async def stream(self, head: bytes, body: Body) -> None:
        """Send a request whose body is not held in memory."""
        self._transport.write(head)
        async for block in body.blocks():
            self._transport.write(block)
            if self._paused:
                self._waiter = self._loop.create_future()
                await self._waiter
        self._sent = True

    def pause_writing(self) -> None:
        """The engine does not keep up."""
        self._paused = True

    def resume_writing(self) -> None:
        """The engine has caught up."""
        self._paused = False
        if self.job is not None:
            self.job.caught_up()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The response

    def pause(self) -> None:
        """The client is slow: read no more for now."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        self._transport.resume_reading()

    @property
    def between_events(self) -> bool:
        """Whether the client has got whole chunks only, and whole server-sent events."""
        return self._events and self._chunks.between and self._tail.endswith(_EVENT_ENDS)

    @property
    def until_closed(self) -> bool:
        """Whether the response ends when the connection does."""
        return self._mode is _Mode.REST

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """Where the loop puts what it reads next."""
        return _VIEW

    def buffer_updated(self, nbytes: int) -> None:
        """The loop has read something."""
        data = bytes(_VIEW[:nbytes])
        job = self.job
        if job is None:
            self._transport.abort()  # nobody asked for anything
            return
        try:
            self._read(job, data)
        except ProtocolError as exc:
            self.job = None
            self._transport.abort()
            job.broken(f"its answer is not HTTP: {exc.message}")

    def _read(self, job: Job, data: bytes) -> None:
        """Pass on what has come, and see whether that was all."""
        before = b""
        if self._mode is _Mode.HEAD:
            rest = self._find_head(data, job)
            if rest is None:
                return
            head, data = rest
            before = job.begun(head)
        done = gives_up = False
        if self._mode is _Mode.CHUNKS:
            data, gives_up = _before_abort(data) if _ABORT in data or _DEAD in data else (data, False)
            self._tail = data if len(data) >= _TAIL else self._tail[-_TAIL:] + data
            data = self._read_chunks(job, data)
            done = self._chunks.done
        elif self._mode is _Mode.LENGTH:
            self._left -= len(data)
            if self._left <= 0:
                done = True
                if self._left < 0:
                    data = data[: self._left]
                    self._close = True
        if before or data:
            job.write(before + data)
        if gives_up:
            self.job = None
            self._transport.abort()
            job.broken("it was stopped")
        elif done:
            self._finish()

    def _find_head(self, data: bytes, job: Job) -> tuple[ResponseHead, bytes] | None:
        """Read the head; returns it and what follows, or None as long as it is not whole."""
        if self._held:
            data = self._held + data
            self._held = b""
        while True:  # past interim responses
            end = data.find(b"\r\n\r\n") + 4
            if end == 3:
                if len(data) > HEAD_LIMIT:
                    raise ProtocolError("engine_broke_off", "the response head is too large.")
                self._held = data
                return None
            head = self._understand(data[:end], job.method)
            data = data[end:]
            if head.status >= 200 or (head.status == 101 and job.tunnel):
                break
            if head.status == 101:
                raise ProtocolError("engine_broke_off", "it switches protocols unasked.")
        self._close = head.close
        self._events = head.events and head.chunked
        if head.status == 101:
            self._mode, self._close = _Mode.REST, True
        elif head.length is not None:
            self._mode = _Mode.LENGTH
            self._left = head.length
        elif head.chunked:
            self._mode = _Mode.CHUNKS
            self._chunks = Chunks()
            self._tail = _EVENT_ENDS[0]  # no event has begun
        else:
            self._mode = _Mode.REST
        return head, data

    def _understand(self, raw: bytes, method: bytes) -> ResponseHead:
        if method != b"POST":
            return parse_response(raw, method)
        alike = self._likeness.look(raw)
        if alike is not None:
            return alike[0].with_length(alike[1])
        head = parse_response(raw, method)
        self._likeness.keep(raw, head, head.told_length)
        return head

    def _read_chunks(self, job: Job, data: bytes) -> bytes:
        """Follow the chunks; returns what goes on: the bytes as they are, or their payload."""
        chunks = self._chunks
        sink: list[bytes] | None = None if job.framed else []
        end = chunks.feed(data, sink)
        if end < len(data):
            self._close = True
            data = data[:end]
        return data if sink is None else b"".join(sink)

    def _finish(self) -> None:
        """The response is complete: give the connection back first, so that the next request finds it."""
        job = self.job
        self.job = None
        if self._close or not self._sent or self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._used = True
            self._keeper.put(self)
        if job is not None:
            job.finished()

    def eof_received(self) -> None:
        """The engine will say no more."""
        if self.job is not None and self._mode is _Mode.REST:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whoever's doing."""
        self._lost = True
        self._keeper.lost(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.cancel()
        self._tell_lost(exc)

    def _tell_lost(self, exc: Exception | None) -> None:
        job, self.job = self.job, None
        if job is None:
            return
        early = self._loop.time() - self._begun <= STALE_SECONDS
        if early and self._used and self._mode is _Mode.HEAD and not self._held:
            job.stale()
        else:
            job.broken(f"the connection broke: {exc}" if exc else "it closed the connection")

    def abort(self) -> None:
        """Close at once, whatever is under way; the job is not told."""
        self.job = None
        self._transport.abort()


def _before_abort(data: bytes) -> tuple[bytes, bool]:
    """The chunks before the one in which the engine gives a stream up, and whether it does."""
    match = _ABORTED.search(data)
    if match is None:
        return data, False
    size_end = data.rfind(b"\r\ndata:", 0, match.start())
    chunk_before = data.rfind(b"\r\n", 0, size_end) if size_end > 0 else -1
    return data[: 0 if chunk_before < 0 else chunk_before + 2], True
