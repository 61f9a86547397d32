"""One request, from its whole body to the end of its answer.

PREPARING  the body is made what the engine shall get, before a lease is asked for: a slow download must not hold a GPU.
WAITING    a lease has been asked for. A client that wants a stream is told from time to time what it waits for.
SENDING    the lease is there, the engine has the request or is getting it; nothing of its answer has come yet.
ANSWERING  bytes of the engine's answer have gone to the client.
EXPLAINING it failed before that, and the error is being put together. There is no lease any more.
OVER       the lease is released, the engine's connection given back or closed, files let go, tasks cancelled.

Every way out leads through `_over`, which runs once and does not wait for anything. A break after the answer has begun
never looks like a clean end: a stream of events gets an error event, and the connection is closed without the last
chunk.
"""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import replace

from swapper.core.model import Failure
from swapper.keys import Key
from swapper.router.errors import ApiError, from_failure
from swapper.router.routes import NameIn, Route
from swapper.router.runtime import Ticket
from swapper.router.wire.answer import Answer
from swapper.router.wire.body import Body, Store, splice
from swapper.router.wire.found import Found
from swapper.router.wire.http1 import RequestHead, ResponseHead
from swapper.router.wire.ports import Line, Live, Record, Services, Target
from swapper.router.wire.prepare import filtered, prepare
from swapper.router.wire.stopwatch import Stopwatch
from swapper.router.wire.tales import CHAT, Teller, comment, reasoning
from swapper.router.wire.upstream import Upstream

_WORD = 0.1
"""Seconds that systemd gets to say why an engine goes that breaks off its answer: it may say so a moment later."""

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
        tunnel: The client wants a WebSocket.
        phase: Where it stands.
        answer: What the client gets.
    """

    __slots__ = ("_asked_again", "_body", "_broken", "_data", "_entered", "_found", "_head", "_id", "_key", "_line",
                 "_model", "_received", "_route", "_services", "_socket", "_store", "_target", "_task", "_teller",
                 "_upstream", "_watch", "answer", "method", "phase", "ticket", "tunnel")  # fmt: skip

    def __init__(
        self,
        services: Services,
        line: Line,
        now: Callable[[], float],
        head: RequestHead,
        request_id: bytes,
        route: Route,
        key: Key,
    ) -> None:
        """A request has come in whole."""
        self.ticket: Ticket | None = None
        self.method = head.method
        self.phase = Phase.PREPARING
        self.answer = Answer(line, head, request_id, services.access.cors(head.origin) if head.origin else b"")
        self.tunnel = route.tunnel and head.upgrade == b"websocket"
        self._services = services
        self._line = line
        self._watch = Stopwatch(now)
        self._head = head
        self._id = request_id
        self._route = route
        self._key = key
        self._entered = False
        self._found = Found("")
        self._target = Target("")
        self._model = ""
        self._data: bytes | None = None
        self._store: Store | None = None
        self._body: Body | None = None
        self._received = 0
        self._socket = ""
        self._upstream: Upstream | None = None
        self._broken: Upstream | None = None  # whose answer broke off, until systemd had time to say why
        self._task: asyncio.Task[None] | None = None
        self._teller: Teller | None = None
        self._asked_again = False

    def __repr__(self) -> str:
        return f"<Exchange {self._id.decode()} {self._model} {self.phase.name}>"

    @property
    def id(self) -> str:
        """The request's id."""
        return self._id.decode()

    def live(self) -> Live:
        """How it stands now."""
        head, watch = self._head, self._watch
        return Live(self.id, self._model, head.method.decode(), head.path.decode(), self._key.name,
                    self.phase.name.lower(), watch.total, watch.queued, watch.first, self.answer.sent)  # fmt: skip

    # Before the lease

    def start(self, found: Found, data: bytes | None, store: Store | None) -> None:
        """Begin.

        Args:
            found: What the request says.
            data: The body, where it is one piece of memory.
            store: Else, what has it, settled.
        """
        self._found, self._model = found, found.model
        self._data = data
        if data is not None:
            self._received = len(data)
        elif store is not None:
            self._store = store
            self._received = store.size
        try:
            self._enter()
        except ApiError as error:
            self.fail(error)
            return
        self._prepare()

    def _enter(self) -> None:
        services, route = self._services, self._route
        if route.name_in is NameIn.PATH:
            self._target = services.directory.locate(self.method, self._head.target)
        else:
            self._target = services.directory.resolve(self._found.model, route)
        self._model = self._target.name
        if (busy := services.gate.enter(self._key)) is not None:
            raise busy
        self._entered = True

    def _prepare(self) -> None:
        # Only a body that has been scanned as JSON is known to be some.
        filters = self._target.filters if self._route.name_in is NameIn.JSON else None
        if self._found.media or (filters is not None and self._store is not None):
            self._task = self._line.spawn(self._prepare_body(), "prepare body")
            return
        if self._store is not None:
            self._body = splice(self._services.spool, self._store, ())
        elif filters is not None and self._data is not None:
            self._data = filtered(self._data, filters)
        self._ask()

    async def _prepare_body(self) -> None:
        services, store = self._services, self._store
        if store is None:
            store = self._store = Store(services.spool, lambda: None)
            store.write(self._data or b"")
        try:
            self._body = await prepare(services.spool, services.media, store, self._found.media, self._target.filters)
        except ApiError as error:
            self._task = None
            self.fail(error)
            return
        self._data = None
        self._task = None
        self._ask()

    def _ask(self) -> None:
        self.phase = Phase.WAITING
        leases, route = self._services.leases, self._route
        if route.passive:
            place = leases.peek(self._model)
            if isinstance(place, Failure):
                self.rejected(place)
            else:
                self.admitted(place)
            return
        leases.request(self._model, self, light=route.light, priority=self._key.priority)
        if self.phase is Phase.WAITING and self._found.stream and self._head.version:
            self._teller = Teller(self._services.comments, self._line, self.answer, self._tale)

    def _tale(self) -> bytes:
        sentence = self._services.situation(self._model, self.ticket)
        if self._target.loading_message and self._route.path == CHAT:
            return reasoning(sentence, self._found.model, self._id)
        return comment(sentence)

    def rejected(self, failure: Failure) -> None:
        """There will be no lease."""
        self._explain(failure)

    # With the lease

    def admitted(self, socket: str, loading: float = 0.0) -> None:
        """Forward now."""
        self._stop_telling()
        self._watch.admitted(loading)
        self._socket = socket
        self.phase = Phase.SENDING
        upstream = self._services.pool.take(socket)
        if upstream is None:
            self._task = self._line.spawn(self._connect(), "connect")
        else:
            self._send(upstream)

    def _stop_telling(self) -> None:
        if self._teller is not None:
            self._teller.stop()
            self._teller = None

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
        framing = b"Content-Length: %d\r\n" % length if length or head.method == b"POST" else b""
        if self.tunnel:
            framing += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        return b"%b %b HTTP/1.1\r\nHost: localhost\r\n%b%bX-Request-Id: %b\r\n\r\n" % (
            head.method, self._target.path or head.target, head.fields, framing, self._id)  # fmt: skip

    @property
    def framed(self) -> bool:
        """Whether the client gets the engine's chunks as they are."""
        return self.answer.framed

    def begun(self, head: ResponseHead) -> bytes:
        """The engine answers; this is the head for the client."""
        self._watch.answered()
        self.phase = Phase.ANSWERING
        if self._line.paused and self._upstream is not None:
            self._upstream.pause()
        if head.status == 101:
            return self.answer.switch(head)
        self.tunnel = False
        return self.answer.begin(head, self._watch.line())

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""
        self.answer.write(data)

    def tell(self, data: bytes) -> None:
        """What the client sends through its WebSocket."""
        if self._upstream is not None and not self._upstream.tell(data):
            self._line.hold(on=True)

    def caught_up(self) -> None:
        """The engine takes more of it."""
        if self.tunnel:
            self._line.hold(on=False)

    def finished(self) -> None:
        """The engine's answer is complete."""
        self._upstream = None
        good = self.answer.end()
        self._over("" if good else "engine_refused")
        if good:
            self._line.answered(keep=self.answer.keep)
        else:
            self._line.cut(reset=False)

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
        self.answer.status = self.answer.status or _CLIENT_GONE
        self._over("client_gone")

    def broken(self, why: str) -> None:
        """The engine's connection is gone."""
        upstream, self._upstream = self._upstream, None
        failure = Failure("engine_broke_off", f"The engine of {self._model} is gone: {why}.",
                          "Try again; its unit's log tells what became of it.")  # fmt: skip
        if self.phase is Phase.ANSWERING:
            self._broken = upstream
            if self._task is not None:  # it may have answered before it had the whole body
                self._task.cancel()
            self._task = self._line.spawn(self._hear(failure), "hear why")
        else:
            self._break(upstream, failure)

    async def _hear(self, failure: Failure) -> None:
        """Break off, unless systemd has said meanwhile why the engine went: then that has been told (`aborted`)."""
        await asyncio.sleep(_WORD)
        self._task = None
        self._break(self._broken, failure)

    def aborted(self, failure: Failure) -> None:
        """The lease has been taken away."""
        upstream, self._upstream = self._upstream or self._broken, None
        if upstream is not None:
            upstream.abort()
        if self.phase is Phase.ANSWERING and failure.code == "model_failed":
            # Whether systemd or the connection says first that an engine is gone is chance; the code is not.
            failure = replace(failure, code="engine_broke_off",
                              message=f"The engine of {self._model} is gone: {failure.message}")  # fmt: skip
        self._break(upstream, failure)

    def _break(self, upstream: Upstream | None, failure: Failure) -> None:
        if self.phase is not Phase.ANSWERING:
            self._explain(failure)
            return
        between = upstream is not None and upstream.between_events and self._head.version == 1
        if between or (self.answer.opened and not self.answer.framed):
            self.answer.event(from_failure(failure).event(self._head.target))
        # A body that ends with the connection is the one whose early end only a reset can tell.
        unframed = not self.answer.opened and (upstream is None or upstream.until_closed or not self._head.version)
        self._over(failure.code)
        self._line.cut(reset=unframed)

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
        answer, line = self.answer, self._line
        if self.phase is Phase.ANSWERING:
            self._over(error.code)
            line.cut(reset=True)
            return
        good = answer.error(error, self._watch.line())
        self._over(error.code)
        if good:
            line.answered(keep=answer.keep)
        else:
            line.cut(reset=False)

    def _let_go(self) -> None:
        """Give up lease, connection, task, timer and files."""
        self._stop_telling()
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
        if self._entered:
            self._services.gate.leave(self._key)
        head, watch, answer = self._head, self._watch, self.answer
        queued = watch.queued
        tokens_in, tokens_out = answer.tokens
        self._services.done(
            Record(
                id=self._id.decode(),
                model=self._model,
                method=head.method.decode(),
                path=head.path.decode(),
                status=answer.status,
                queued=queued,
                first=watch.first,
                total=watch.total,
                received=self._received,
                sent=answer.sent,
                reason=reason,
                route=self._route.path,
                key=self._key.name,
                loading=None if queued is None else watch.loading,
                tokens_in=tokens_in,
                tokens_out=tokens_out,
            )
        )
