"""A client's connection: requests in, one at a time.

HEAD      a request head is awaited, or part of it is here
BODY      the head is there, the body is coming in
SETTLING  the body is there, its last bytes are on their way to the disk
BUSY      an `Exchange` has the request; what the client sends meanwhile waits
LINGERING an error has been answered in the middle of a body: the rest is thrown away for a while, because closing at
          once would reset the connection, and the client might never read why
CLOSING   everything has been written; what the client has not taken yet is being flushed

A request that is not for an engine is handed over to aiohttp, from its first byte on and with the whole connection.
Every state has a deadline (`expired`), except SETTLING, and BUSY as long as the client takes what it is sent.
"""


from swapper.keys import NOBODY, Key
from swapper.router.access import is_local
from swapper.router.errors import ApiError
from swapper.router.routes import NameIn, Route
from swapper.router.wire.exchange import Exchange, Phase
from swapper.router.wire.http1 import HEAD_LIMIT, ProtocolError, RequestHead, parse_request
from swapper.router.wire.intake import Intake, find_model, refusal, where
from swapper.router.wire.likeness import Likeness
from swapper.router.wire.line import FOREVER, ClientLine, Hall, State

AHEAD_LIMIT = 64 * 1024
"""Most bytes that a client may send ahead while it is being answered; it is not read from beyond that."""

BACKLOG_LIMIT = 1024 * 1024
"""Most bytes of a body that wait for the disk; the client is not read from beyond that."""

LEAST_PROGRESS = 16 * 1024
"""A body must bring this many bytes, or its end, in each `body_timeout`: some 270 B/s with 60 s."""

# See upstream.py. Smaller, because a body is scanned as it comes in, and nothing else goes on meanwhile.
_BUFFER = bytearray(64 * 1024)
_VIEW = memoryview(_BUFFER)


class Connection(ClientLine):
    """One client's connection."""

    __slots__ = ("_ahead", "_head", "_id", "_intake", "_key", "_likeness", "_local", "_route", "_running", "_searched")

    def __init__(self, front: Hall) -> None:
        super().__init__(front)
        self._ahead = bytearray()  # what has come and is not dealt with: part of a head, or later requests
        self._searched = 0  # up to here there is no end of a head
        self._running = False
        self._head: RequestHead | None = None
        self._likeness = Likeness[RequestHead]()
        self._id = b""
        self._intake: Intake | None = None
        self._route: Route | None = None
        self._key: Key = NOBODY
        self._local: bool | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for a request and has nothing of it."""
        return self._state is State.HEAD and not self._ahead

    # What the loop calls

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """Where the loop puts what it reads next."""
        return _VIEW

    def buffer_updated(self, nbytes: int) -> None:
        """The loop has read something."""
        data = bytes(_VIEW[:nbytes])
        if self._exchange is not None and self._exchange.tunnel and self._exchange.phase is Phase.ANSWERING:
            self._exchange.tell(data)
            return
        if self._ahead:
            self._ahead += data
            if self._state is not State.HEAD or self._incomplete():
                self._hold()
                return
            data = bytes(self._ahead)
            self._ahead.clear()
            self._searched = 0
        self._run(data)

    def eof_received(self) -> None:
        """The client has left, or will send no more; either way the request under way is over."""
        self._gone()
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """The connection is gone, by whoever's doing."""
        self._front.left(self)
        self._gone()
        self._state = State.CLOSING

    # Requests in

    def _incomplete(self) -> bool:
        """Whether there is no whole head among what has come."""
        found = self._ahead.find(b"\r\n\r\n", self._searched)
        self._searched = max(0, len(self._ahead) - 3) if found < 0 else 0
        return found < 0 and len(self._ahead) <= HEAD_LIMIT

    def _hold(self) -> None:
        """Read no more from a client that is far ahead."""
        if self._state is not State.HEAD and len(self._ahead) > AHEAD_LIMIT:
            self._set_reading(on=False)
            if self._state is State.BUSY and not self.paused:
                self._rest()

    def _run(self, data: bytes) -> None:
        """Deal with what has come, as far as possible; the rest is kept."""
        self._running = True
        while data:
            state = self._state
            if state is State.HEAD:
                if data.startswith(b"\r\n"):  # RFC 9112, 2.2: some clients send one too many
                    data = data[2:]
                    continue
                end = data.find(b"\r\n\r\n") + 4
                if end > HEAD_LIMIT or (end == 3 and len(data) > HEAD_LIMIT):
                    self._refuse(ApiError("head_too_large", "The request head is larger than 64 KiB.",
                                          "Send less in the header."))  # fmt: skip
                elif end == 3:
                    self._ahead += data
                    self.deadline = self._now() + self._front.settings.header_timeout
                    break
                else:
                    data = self._take_head(data, end)
            elif state is State.BODY and self._intake is not None:
                data = self._take_body(self._intake, data)
            elif state is State.LINGERING or state is State.CLOSING:
                break
            else:
                self._ahead += data
                self._hold()
                break
        self._running = False

    def _take_head(self, data: bytes, end: int) -> bytes:
        """A head is there; returns what comes after what has been dealt with."""
        front = self._front
        self._id = front.next_id()
        raw = data[:end]
        alike = self._likeness.look(raw)
        if alike is not None:
            head, length = alike
            if length != head.length:
                head = head._replace(length=length)
        else:
            try:
                head = parse_request(raw)
            except ProtocolError as exc:
                self._refuse(refusal(exc))
                return b""
            self._likeness.keep(raw, head, head.length)
        self._head = head
        if head.request_id is not None:
            self._id = head.request_id
        preflight = front.preflight(head)
        if preflight:
            self.transport.write(preflight)
            return data[end:]
        if self._local is None:
            self._local = is_local(self.transport.get_extra_info("sockname"))
        route = self._route = front.route(head)
        try:
            self._key = front.judge(head, route, local=self._local and not head.passed_on)
        except ApiError as error:
            self._refuse(error)
            return b""
        if route is None:
            self._hand_over(data)
            return b""
        return self._take_request(head, route, data, end)

    def _take_request(self, head: RequestHead, route: Route, data: bytes, end: int) -> bytes:
        """A request for an engine, whose head ends there; returns what comes after what has been dealt with."""
        front = self._front
        name_in = where(route, head)
        length = head.length or 0
        stop = end + length
        most = min(front.settings.max_body, front.services.spool.memory_limit)
        if head.chunked or stop > len(data) or length > most:
            return self._begin_body(head, data[end:], name_in)
        body = data[end:stop]
        exchange = self._begin()
        try:
            found = find_model(head, body, name_in)
        except ApiError as error:
            exchange.fail(error)
        else:
            exchange.start(found, body, None)
        return data[stop:]

    def _begin_body(self, head: RequestHead, data: bytes, name_in: NameIn) -> bytes:
        """The body has not come yet, or not all of it."""
        settings, spool = self._front.settings, self._front.services.spool
        try:
            self._intake = Intake(head, spool, settings.max_body, self._stored, name_in)
        except ApiError as error:
            self._refuse(error)
            return b""
        if head.expects and not data:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._state = State.BODY
        self._mark = 0
        self.deadline = self._now() + settings.body_timeout
        return data

    def _take_body(self, intake: Intake, data: bytes) -> bytes:
        """More of the body; returns what comes after it."""
        try:
            used = intake.feed(data)
        except ApiError as error:
            self._refuse(error)
            return b""
        if intake.ended:
            self._state = State.SETTLING
            self.deadline = FOREVER
            if intake.store.settled:
                self._body_ended(intake)
        elif intake.store.backlog > BACKLOG_LIMIT:
            self._set_reading(on=False)
        return data[used:]

    def _stored(self) -> None:
        """Some of the body has been written to disk, or could not be."""
        intake = self._intake
        if intake is None:
            return
        if intake.store.error is not None:
            self._refuse(intake.store.error)
        elif self._state is State.SETTLING and intake.store.settled:
            self._body_ended(intake)
        elif self._state is State.BODY and intake.store.backlog <= BACKLOG_LIMIT:
            self._set_reading(on=True)

    def _body_ended(self, intake: Intake) -> None:
        """The body is there and settled."""
        self._intake = None
        self._set_reading(on=True)
        exchange = self._begin()
        try:
            found, data = intake.finish()
        except ApiError as error:
            intake.close()
            exchange.fail(error)
            return
        if data is not None:
            intake.close()
        exchange.start(found, data, intake.store)

    def _begin(self) -> Exchange:
        """The body has come: the request goes its way."""
        head = self._head
        if head is None or self._route is None:
            raise RuntimeError("a body without a head")
        self._state = State.BUSY
        self.deadline = FOREVER
        if self.paused:
            self._watch_flushing()
        services = self._front.services
        self._exchange = Exchange(services, self, self._now, head, self._id, self._route, self._key)
        return self._exchange

    def _hand_over(self, data: bytes) -> None:
        """Let aiohttp have the connection, from the first byte of this request on."""
        self._front.left(self)
        self._state = State.CLOSING
        self._set_reading(on=True)
        handler = self._front.others()
        self.transport.set_protocol(handler)
        handler.connection_made(self.transport)
        if self.paused:
            handler.pause_writing()
        handler.data_received(data)

    # Answers out

    def answered(self, *, keep: bool) -> None:
        """The answer has been written whole."""
        self._exchange = None
        if not keep or self._front.draining or self._state is not State.BUSY:
            self._close()
            return
        self._state = State.HEAD
        self._head = None
        self._id = b""
        self.deadline = self._now() + self._front.settings.idle_timeout
        if self._ahead and not self._running:
            data = bytes(self._ahead)
            self._ahead.clear()
            self._searched = 0
            self._set_reading(on=True)
            self._run(data)

    @property
    def _bodyless(self) -> bool:
        return self._head is not None and self._head.method == b"HEAD"

    def _refuse(self, error: ApiError) -> None:
        """Answer with an error in the middle of a request, whose rest is not wanted."""
        self._drop_body()
        self._id = self._id or self._front.next_id()
        extra = self._front.services.access.cors(self._head.origin) if self._head is not None else b""
        sent = self.reply(error, self._id, keep=False, extra=extra + b"Server-Timing: queue;dur=0.0\r\n")
        self._front.refused(self._head, self._route, self._id, error, sent)
        self._state = State.LINGERING
        self._ahead.clear()
        self.deadline = self._now() + self._front.settings.linger
        self._set_reading(on=True)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _drop_body(self) -> None:
        intake, self._intake = self._intake, None
        if intake is not None:
            intake.close()

    def _gone(self) -> None:
        """The client has left."""
        self._drop_body()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone()

    def close_idle(self) -> None:
        """Close it if nothing is under way."""
        if self.idle:
            self._close()

    # Time

    def expired(self) -> None:
        """The deadline has passed: see whether there was progress, else give up."""
        match self._state:
            case State.HEAD if self._ahead:
                self._refuse(ApiError("client_too_slow", "The request head did not come in time.",
                                      "Send it faster."))  # fmt: skip
            case State.HEAD:
                self._close()
            case State.BODY if self._intake is not None:
                self._expect_progress(self._intake.store.size)
            case State.BUSY | State.CLOSING:
                self._expect_flushing()
            case _:
                self.abort()

    def _expect_progress(self, size: int) -> None:
        if self._reading and size - self._mark < LEAST_PROGRESS:
            self._refuse(ApiError("client_too_slow", "The request body came too slowly.", "Send it faster."))
        else:
            self._mark = size
            self.deadline = self._now() + self._front.settings.body_timeout
