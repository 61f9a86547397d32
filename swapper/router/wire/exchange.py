"""One request, from its whole body to the end of its answer.

PREPARING  media that the body names are fetched, before a lease is asked for: a slow download must not hold a GPU.
WAITING    a lease has been asked for.
SENDING    the lease is there, the engine has the request or is getting it; nothing has been answered yet.
ANSWERING  bytes of the engine's answer have gone to the client.
EXPLAINING it failed before that, and the error is being put together. There is no lease any more.
OVER       the lease is released, the engine's connection given back or closed, files let go, tasks cancelled.

Every way out leads through `_over`, which runs once and does not wait for anything. A break after the answer has begun
never looks like a clean end: a stream of events gets an error event, and the connection is closed without the last
chunk.
"""

import asyncio
import enum
from collections.abc import Callable, Sequence

from swapper.core.model import Failure
from swapper.router.errors import ApiError, from_failure
from swapper.router.runtime import Ticket
from swapper.router.wire.body import Body, Store, splice
from swapper.router.wire.found import Found, MediaRef
from swapper.router.wire.http1 import RequestHead, ResponseHead
from swapper.router.wire.ports import Line, Record, Services
from swapper.router.wire.upstream import Upstream

_CLIENT_GONE = 499  # what many servers log for a client that left; never sent


class Phase(enum.Enum):
    """See the top of this file."""

    PREPARING = enum.auto()
    WAITING = enum.auto()
    SENDING = enum.auto()
    ANSWERING = enum.auto()
    EXPLAINING = enum.auto()
    OVER = enum.auto()


class Exchange:
    """Implements `Client` for the leases and `Job` for the engine's connection.

    Attributes:
        ticket: Set by the leases.
        method: The request's.
        version: Minor HTTP version of the client.
        phase: Where it stands.
        keep: Whether the client's connection is to be kept afterwards.
    """

    __slots__ = ("_admitted", "_asked_again", "_began", "_body", "_data", "_first", "_head", "_id", "_line",
                 "_model", "_now", "_received", "_sent", "_services", "_socket", "_status", "_store", "_task",
                 "_upstream", "keep", "method", "phase", "ticket", "version")  # fmt: skip

    def __init__(
        self,
        services: Services,
        line: Line,
        now: Callable[[], float],
        head: RequestHead,
        request_id: bytes,
    ) -> None:
        """A request has come in whole."""
        self.ticket: Ticket | None = None
        self.method = head.method
        self.version = head.version
        self.phase = Phase.PREPARING
        self.keep = not head.close
        self._services = services
        self._line = line
        self._now = now
        self._head = head
        self._id = request_id
        self._data: bytes | None = None
        self._store: Store | None = None
        self._body: Body | None = None
        self._received = 0
        self._model = ""
        self._socket = ""
        self._upstream: Upstream | None = None
        self._task: asyncio.Task[None] | None = None
        self._status = 0
        self._sent = 0
        self._asked_again = False
        self._began = now()
        self._admitted: float | None = None
        self._first: float | None = None

    def __repr__(self) -> str:
        return f"<Exchange {self._id.decode()} {self._model} {self.phase.name}>"

    # Before the lease

    def start(self, found: Found, data: bytes | None, store: Store | None) -> None:
        """Begin.

        Args:
            found: What the body says.
            data: The body, where it is one piece of memory.
            store: Else, what has it, settled.
        """
        self._model = found.model
        self._data = data
        if data is not None:
            self._received = len(data)
        elif store is not None:
            self._store = store
            self._received = store.size
        try:
            self._model = self._services.resolve(found.model)
        except ApiError as error:
            self.fail(error)
            return
        if found.media:
            self._task = self._line.spawn(self._prepare(found.media), "fetch media")
            return
        if self._store is not None:
            self._body = splice(self._services.spool, self._store, ())
        self._ask()

    async def _prepare(self, refs: Sequence[MediaRef]) -> None:
        """Fetch media, and put them in the place of their URLs."""
        spool = self._services.spool
        store = self._store
        if store is None:
            store = self._store = Store(spool, lambda: None)
            store.write(self._data or b"")
        try:
            urls = tuple(dict.fromkeys(ref.url for ref in refs))
            fetched = await self._services.media.fetch(urls, store.size)
        except ApiError as error:
            self._task = None
            self.fail(error)
            return
        self._body = splice(spool, store, [(ref.start, ref.end, fetched[ref.url].segments()) for ref in refs])
        for media in fetched.values():
            media.close()
        self._data = None
        self._task = None
        self._ask()

    def _ask(self) -> None:
        self.phase = Phase.WAITING
        self._services.leases.request(self._model, self)

    def rejected(self, failure: Failure) -> None:
        """There will be no lease."""
        self._explain(failure)

    # With the lease

    def admitted(self, socket: str, loading: float = 0.0) -> None:  # noqa: ARG002 — the contract's
        """Forward now."""
        self._admitted = self._now()
        self._socket = socket
        self.phase = Phase.SENDING
        upstream = self._services.pool.take(socket)
        if upstream is None:
            self._task = self._line.spawn(self._connect(), "connect")
        else:
            self._send(upstream)

    async def _connect(self) -> None:
        """Send the request on a fresh connection."""
        try:
            upstream = await self._services.pool.connect(self._socket)
        except OSError as exc:
            failure = Failure("engine_unreachable", f"The engine of {self._model} does not answer: {exc}.",
                              "Try again; its unit's log tells what became of it.")  # fmt: skip
            await self._ask_again(failure)
        else:
            self._task = None
            self._send(upstream)

    async def _ask_again(self, failure: Failure) -> None:
        """No engine has got a byte yet, so the request need not fail with this one: once, it asks for another lease.

        That happens when an engine ends just now, and systemd has not said so yet.
        """
        if self._asked_again:
            self._task = None
            self._explain(failure)
            return
        self._asked_again = True
        self.phase = Phase.WAITING
        if self.ticket is not None:
            self.ticket.release()
        await self._services.explain(failure, self._model)  # which waits for systemd's word
        self._task = None
        self._ask()

    def _send(self, upstream: Upstream) -> None:
        self._upstream = upstream
        upstream.claim(self)
        if self._data is not None:
            upstream.send(self._request_head(len(self._data)) + self._data)
        elif self._body is not None:
            sending = upstream.stream(self._request_head(self._body.size), self._body)
            self._task = self._line.spawn(sending, "send body")

    def _request_head(self, length: int) -> bytes:
        head = self._head
        framing = b"Content-Length: %d\r\n" % length if length or head.method != b"GET" else b""
        return b"%b %b HTTP/1.1\r\nHost: localhost\r\n%b%bX-Request-Id: %b\r\n\r\n" % (
            head.method, head.target, head.fields, framing, self._id)  # fmt: skip

    def begun(self, head: ResponseHead) -> bytes:
        """The engine answers; this is the head for the client."""
        self._first = self._now()
        self._status = head.status
        self.phase = Phase.ANSWERING
        framing = b""
        if head.chunked and self.version:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif head.length is None:
            self.keep = False
        if self._line.closing:
            self.keep = False
        if not self.keep:
            framing += b"Connection: close\r\n"
        if self._line.paused and self._upstream is not None:
            self._upstream.pause()
        return b"HTTP/1.1 %b\r\n%b%bX-Request-Id: %b\r\n\r\n" % (head.line, head.fields, framing, self._id)

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._sent += len(data)
        self._line.transport.write(data)

    def finished(self) -> None:
        """The answer is complete."""
        self._upstream = None
        self._over("")
        self._line.answered(keep=self.keep)

    def stale(self) -> None:
        """The kept connection had been closed by the engine: nothing was lost, so try a fresh one."""
        self._upstream = None
        if self._task is not None:
            self._task.cancel()
        self._task = self._line.spawn(self._connect(), "connect")

    # Ways out

    def pause(self) -> None:
        """The client does not keep up."""
        if self._upstream is not None:
            self._upstream.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._upstream is not None:
            self._upstream.resume()

    def gone(self) -> None:
        """The client has left."""
        self._status = self._status or _CLIENT_GONE
        self._over("client_gone")

    def broken(self, why: str) -> None:
        """The engine's connection is gone."""
        upstream, self._upstream = self._upstream, None
        self._break(upstream, Failure("engine_broke_off", f"The engine of {self._model} is gone: {why}.",
                                      "Try again; its unit's log tells what became of it."))  # fmt: skip

    def aborted(self, failure: Failure) -> None:
        """The lease has been taken away."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        self._break(upstream, failure)

    def _break(self, upstream: Upstream | None, failure: Failure) -> None:
        if self.phase is not Phase.ANSWERING:
            self._explain(failure)
            return
        if upstream is not None and upstream.between_events and self.version:
            event = from_failure(failure).event(self._head.target)
            self.write(b"%x\r\n%b\r\n" % (len(event), event))
        # A body that ends with the connection is the one whose early end only a reset can tell.
        self._over(failure.code)
        self._line.cut(reset=upstream is None or upstream.until_closed or not self.version)

    def _explain(self, failure: Failure) -> None:
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.EXPLAINING
        self._let_go()
        self._task = self._line.spawn(self._say(failure), "explain")

    async def _say(self, failure: Failure) -> None:
        error = await self._services.explain(failure, self._model)
        self._task = None
        self.fail(error)

    def fail(self, error: ApiError) -> None:
        """Answer with an error, as long as nothing else has been answered."""
        if self.phase is Phase.OVER:
            return
        if self.phase is Phase.ANSWERING:
            self._over(error.code)
            self._line.cut(reset=True)
            return
        self._status = error.status
        self.keep = self.keep and not self._line.closing
        self._sent = self._line.reply(error, self._id, keep=self.keep)
        self._over(error.code)
        self._line.answered(keep=self.keep)

    def _let_go(self) -> None:
        """Give up lease, connection, task and files."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        if self._body is not None:
            self._body.close()
            self._body = None
        if self._store is not None:
            self._store.close()
            self._store = None
        self._data = None
        if self.ticket is not None:
            self.ticket.release()

    def _over(self, reason: str) -> None:
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.OVER
        self._let_go()
        head, began = self._head, self._began
        record = Record(
            id=self._id.decode(),
            model=self._model,
            method=head.method.decode(),
            path=head.target.partition(b"?")[0].decode(),
            status=self._status,
            queued=None if self._admitted is None else self._admitted - began,
            first=None if self._first is None else self._first - began,
            total=self._now() - began,
            received=self._received,
            sent=self._sent,
            reason=reason,
        )
        self._services.done(record)
