"""The router's front door: makes a `Connection` for each client, keeps count of them, and looks after their time.

One timer goes round all connections once a second, as long as there are any: setting a timer per request would cost
more than forwarding its head.
"""

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Coroutine, Sequence

from swapper.core.model import Failure
from swapper.keys import Key, presented
from swapper.router.errors import ApiError
from swapper.router.routes import Route, scope
from swapper.router.wire.connection import Connection
from swapper.router.wire.http1 import RequestHead
from swapper.router.wire.line import ClientLine
from swapper.router.wire.ports import Live, Record, Services
from swapper.router.wire.settings import FrontSettings

_LOG = logging.getLogger(__name__)

ON_ITS_WAY = 0.3
"""Seconds that a connection gets to send a request when the router is about to end."""


class Front:
    """The protocol factory of port 8000: `loop.create_server(front, sock=…)`.

    Attributes:
        services: What requests need; may be replaced, for requests to come.
        settings: Limits; may be replaced.
        draining: No connection is kept after its answer.
    """

    def __init__(
        self,
        services: Services,
        settings: FrontSettings,
        find: Callable[[bytes, bytes], Route | None],
        others: Callable[[], asyncio.Protocol],
    ) -> None:
        """Make a front.

        Args:
            services: What requests need.
            settings: Limits.
            find: The route of a method and a path that are for an engine.
            others: Makes the protocol (aiohttp's `web.Server`) that gets every connection whose request is not.
                It must close each connection after its answer, so that the next request comes here again.
        """
        self.services = services
        self.settings = settings
        self.draining = False
        self._find = find
        self.others = others
        self._connections: set[ClientLine] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._id_prefix = os.urandom(4).hex().encode()
        self._ids = itertools.count(1)

    def __call__(self) -> Connection:
        """A client has connected."""
        return Connection(self)

    def __repr__(self) -> str:
        connections = sorted(map(repr, self._connections))
        return f"<Front connections={connections} tasks={len(self._tasks)} {self.services.pool!r}>"

    @property
    def connections(self) -> int:
        """Clients that are connected, less those handed over."""
        return len(self._connections)

    @property
    def busy(self) -> int:
        """Requests that are under way."""
        return sum(connection.busy for connection in self._connections)

    # What connections need

    def route(self, head: RequestHead) -> Route | None:
        """The route of a request that is for an engine; None when it is for the router itself."""
        return self._find(head.method, head.path)

    def preflight(self, head: RequestHead) -> bytes:
        """The whole answer to a browser that asks whether a page may send its request; empty for other requests."""
        if head.method != b"OPTIONS" or head.length or head.chunked:
            return b""
        return self.services.access.preflight(head.origin) or b""

    def judge(self, head: RequestHead, route: Route | None, *, local: bool) -> Key:
        """Who sends a request.

        Args:
            head: The request's.
            route: Where it goes; None for the router itself.
            local: It came in on a loopback address or a unix socket.

        Raises:
            ApiError: It may not go on.
        """
        wanted = scope(head.method, head.path) if route is None else route.scope
        shown = presented(head.authorization, head.api_key)
        key = self.services.access.judge(shown, head.host, head.origin, local=local, scope=wanted)
        if route is not None and head.encoding not in {b"", b"identity"}:
            raise ApiError("unsupported_encoding", "The request body is compressed.",
                           "Send it without Content-Encoding.")  # fmt: skip
        return key

    def live(self) -> Sequence[Live]:
        """The requests for engines that are under way, their bodies being there."""
        return [exchange.live() for line in self._connections if (exchange := line.exchange) is not None]

    def cancel(self, request_id: str, why: Failure) -> int:
        """End the requests of this id, and tell their clients why; returns how many there were.

        Clients may choose ids, so there may be several.
        """
        found = [exchange for line in self._connections if (exchange := line.exchange) is not None
                 and exchange.id == request_id]  # fmt: skip
        for exchange in found:
            exchange.aborted(why)
        return len(found)

    def next_id(self) -> bytes:
        """A request id that no other request of this host is likely to have."""
        return b"%b-%x" % (self._id_prefix, next(self._ids))

    def joined(self, line: ClientLine) -> None:
        """A connection is there."""
        self._connections.add(line)
        self._empty.clear()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.settings.tick, self._round)

    def left(self, line: ClientLine) -> None:
        """A connection is gone, or is no longer ours."""
        self._connections.discard(line)
        if not self._connections:
            self._empty.set()

    def spawn(
        self, work: Coroutine[object, object, None], name: str, crashed: Callable[[], None]
    ) -> asyncio.Task[None]:
        """Run a task, and look after it.

        Args:
            work: What to do.
            name: What to call it.
            crashed: Called after it ended with an exception, which has been logged.
        """

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (exc := task.exception()) is not None:
                _LOG.error("%s failed", name, exc_info=exc)
                crashed()

        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    def refused(
        self, head: RequestHead | None, route: Route | None, request_id: bytes, error: ApiError, sent: int
    ) -> None:
        """A request was answered with an error before its body was there."""
        method, path = (head.method, head.path) if head else (b"", b"")
        self.services.done(Record(request_id.decode(), "", method.decode(), path.decode(), error.status, None, None,
                                  0.0, 0, sent, error.code, route.path if route else ""))  # fmt: skip

    # Time

    def _round(self) -> None:
        """Once a tick: whose deadline has passed?"""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each in self._connections if each.deadline <= now]:
            try:
                connection.expired()
            except Exception:  # noqa: BLE001 - logged
                # One client's defect must not keep the others from being looked after.
                _LOG.exception("%r failed", connection)
                connection.abort()
        self.services.pool.sweep(now)
        alive = self._connections or self.services.pool.open
        self._timer = loop.call_later(self.settings.tick, self._round) if alive else None

    # The end

    def close_idle(self) -> None:
        """Close connections on which nothing is under way."""
        for connection in tuple(self._connections):
            connection.close_idle()

    async def drain(self) -> None:
        """Let what is under way come to its end, keep no connection, and return when all are gone.

        A connection on which nothing is under way gets `ON_ITS_WAY` seconds for a request: closed in the face of bytes
        that are on their way it would be reset, and the client would take that for a refusal.
        """
        self.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ON_ITS_WAY):
                await self._empty.wait()
        self.close_idle()
        await self._empty.wait()

    def abort(self) -> None:
        """Close everything at once."""
        self.draining = True
        for connection in tuple(self._connections):
            connection.abort()
        self.services.pool.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
