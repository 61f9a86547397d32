"""The client's side of a connection: what is written to it, how it is closed, and whether it keeps up."""

import asyncio
import enum
import select
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Protocol, cast

from swapper.keys import Key
from swapper.router.errors import ApiError
from swapper.router.routes import Route
from swapper.router.wire.exchange import Exchange
from swapper.router.wire.http1 import RequestHead
from swapper.router.wire.ports import Services
from swapper.router.wire.reply import render
from swapper.router.wire.settings import FrontSettings

WRITE_LIMIT = 128 * 1024
"""Most bytes that wait for a client; the engine is not read from beyond that."""

FOREVER = float("inf")
_LOOK_AFTER = 1.0
_RESET = struct.pack("ii", 1, 0)


class State(enum.Enum):
    """See connection.py."""

    HEAD = enum.auto()
    BODY = enum.auto()
    SETTLING = enum.auto()
    BUSY = enum.auto()
    LINGERING = enum.auto()
    CLOSING = enum.auto()


_REQUEST_UNDER_WAY = frozenset({State.BODY, State.SETTLING, State.BUSY})


class Hall(Protocol):
    """What a connection needs of the front."""

    services: Services
    settings: FrontSettings
    draining: bool
    others: Callable[[], asyncio.Protocol]

    def route(self, head: RequestHead) -> Route | None:
        """The route of a request that is for an engine."""

    def preflight(self, head: RequestHead) -> bytes:
        """The whole answer to a browser that asks whether a page may send its request; empty for other requests."""

    def judge(self, head: RequestHead, route: Route | None, *, local: bool) -> Key:
        """Who sends a request; raises ApiError where it may not go on."""

    def next_id(self) -> bytes:
        """A fresh request id."""

    def joined(self, line: "ClientLine") -> None:
        """A client is there."""

    def left(self, line: "ClientLine") -> None:
        """A client is gone, or handed over."""

    def spawn(
        self, work: Coroutine[object, object, None], name: str, crashed: Callable[[], None]
    ) -> asyncio.Task[None]:
        """Run a task and look after it."""

    def refused(
        self, head: RequestHead | None, route: Route | None, request_id: bytes, error: ApiError, sent: int
    ) -> None:
        """A request was answered before its body was there."""


class ClientLine(asyncio.BufferedProtocol, ABC):
    """Implements `ports.Line`.

    Attributes:
        transport: The socket's.
        paused: The client does not keep up with what it is sent.
        deadline: On the loop's clock; `expired` is called some time after it.
    """

    __slots__ = ("_exchange", "_front", "_mark", "_now", "_reading", "_state", "deadline", "paused", "transport")

    def __init__(self, front: Hall) -> None:
        self.paused = False
        self.deadline = FOREVER
        self._front = front
        self._now = asyncio.get_running_loop().time
        self._state = State.HEAD
        self._reading = True
        self._mark = 0  # what `deadline` compares progress with
        self._exchange: Exchange | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.name} {self._exchange or ''}>"

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._state in _REQUEST_UNDER_WAY

    @property
    def exchange(self) -> Exchange | None:
        """The request for an engine that is under way, where its body is there."""
        return self._exchange

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_LIMIT)
        self.deadline = self._now() + self._front.settings.idle_timeout
        self._front.joined(self)

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self.paused = True
        self._watch_flushing()
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.paused = False
        if self._exchange is not None:
            self._rest()
            self._exchange.resume()

    # What an exchange calls

    @property
    def closing(self) -> bool:
        """Whether it will not be kept after this answer, whatever the client wants."""
        return self._front.draining

    @property
    @abstractmethod
    def _bodyless(self) -> bool:
        """Whether answers to the request at hand have no body."""

    def reply(self, error: ApiError, request_id: bytes, *, keep: bool, extra: bytes = b"") -> int:
        """Write an error as an answer, with further header lines; returns its length."""
        answer = render(error, request_id, keep=keep, with_body=not self._bodyless, extra=extra)
        self.transport.write(answer)
        return len(answer)

    def cut(self, *, reset: bool) -> None:
        """The answer ends here, and not well."""
        self._exchange = None
        if reset:
            # The body ends with the connection, so only a reset can say that this is not its end.
            sock = self.transport.get_extra_info("socket")
            if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._state = State.CLOSING
            self.abort()
        else:
            self._close()

    def spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run a task; if it crashes, the request is answered with an error."""
        return self._front.spawn(work, name, self._crashed)

    def _crashed(self) -> None:
        if self._exchange is not None:
            self._exchange.fail(ApiError("internal_error", "The router failed on this request.",
                                         "Look at `journalctl -u swapper`."))  # fmt: skip

    # Closing, and keeping up

    @abstractmethod
    def expired(self) -> None:
        """The deadline has passed: see whether there was progress, else give up."""

    @abstractmethod
    def close_idle(self) -> None:
        """Close it if nothing is under way."""

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.transport.abort()

    def _close(self) -> None:
        """Close when all has been flushed."""
        self._state = State.CLOSING
        self._watch_flushing()
        self.transport.close()

    def hold(self, *, on: bool) -> None:
        """Read no more from the client for now, or read again."""
        self._set_reading(on=not on)

    def _set_reading(self, *, on: bool) -> None:
        if self._reading is not on and not self.transport.is_closing():
            self._reading = on
            if on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _watch_flushing(self) -> None:
        """From now on, the client must take something from time to time."""
        if self._state is State.BUSY or self._state is State.CLOSING:
            self._mark = self.transport.get_write_buffer_size()
            self.deadline = self._now() + self._front.settings.stall_timeout

    def _expect_flushing(self) -> None:
        """The client has had time to take something."""
        if 0 < self.transport.get_write_buffer_size() < self._mark:
            self._watch_flushing()
        elif self._state is State.BUSY and not self.paused and not self._has_left():
            self._rest()
        else:
            self.abort()

    def _rest(self) -> None:
        """Nothing is expected of the client now, but that it is there; that shows by itself only while it is read."""
        self.deadline = FOREVER if self._reading else self._now() + _LOOK_AFTER

    def _has_left(self) -> bool:
        """Whether the client has closed its side, behind bytes that have not been read."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))
