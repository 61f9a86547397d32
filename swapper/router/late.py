"""What the router makes only when it is first asked for, since making it takes aiohttp.

With aiohttp the router would take nearly twice as long to start, and half as much memory again; and whoever waits for a
first answer does not need it: chats are forwarded without. It is imported in a thread, so that streams go on meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from swapper.config import Media
from swapper.router.api.parts import Parts
from swapper.router.wire.body import Spool
from swapper.router.wire.http1 import HEAD_LIMIT
from swapper.router.wire.ports import FetchedMedia

if TYPE_CHECKING:
    from aiohttp import web

    from swapper.router.media.fetch import MediaFetcher

_LOG = logging.getLogger(__name__)


class LateApplication:
    """The protocol factory for requests that the router answers by itself: aiohttp's, once it is there."""

    def __init__(self, make: "Callable[[], web.AppRunner]") -> None:
        """Know how to make the application.

        Args:
            make: Makes it; is called in a thread, at most once unless it fails.
        """
        self._make = make
        self._server: web.Server | None = None
        self._runner: web.AppRunner | None = None
        self._making: asyncio.Task[None] | None = None
        self._waiting: set[_Waiting] = set()

    def __call__(self) -> asyncio.Protocol:
        """A connection is handed over, with a request that is not for an engine."""
        if self._server is not None:
            return self._server()
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._prepare(), name="make the application")
        waiting = _Waiting(self._waiting.discard)
        self._waiting.add(waiting)
        return waiting

    @property
    def connections(self) -> int:
        """Clients that are connected here."""
        return len(self._waiting) + (len(self._server.connections) if self._server is not None else 0)

    async def close(self) -> None:
        """Let what is being answered come to its end, within aiohttp's patience, and close the rest."""
        if self._making is not None:
            await self._making
        if self._runner is not None:
            await self._runner.cleanup()

    async def _prepare(self) -> None:
        try:
            runner = await asyncio.to_thread(self._make)
            await runner.setup()
        except Exception:  # noqa: BLE001 — whatever it is, nobody shall wait for ever
            _LOG.exception("the router cannot answer by itself")
            self._making = None  # the next request tries again
            for waiting in tuple(self._waiting):
                waiting.abort()
            return
        self._runner, self._server = runner, runner.server
        for waiting in tuple(self._waiting):
            waiting.become(self())


class _Waiting(asyncio.Protocol):
    """Keeps a connection, and what came on it, until somebody can take it over."""

    def __init__(self, gone: "Callable[[_Waiting], None]") -> None:
        self._gone = gone
        self._data = b""
        self._paused = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handed over by `router.connection`."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """What had come before, told by hand."""
        self._data += data

    def pause_writing(self) -> None:
        """An answer before this one is still on its way."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has been sent."""
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's
        """The client is gone."""
        self._transport = None
        self._gone(self)

    def become(self, protocol: asyncio.Protocol) -> None:
        """Let this one have the connection."""
        self._gone(self)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._paused:
            protocol.pause_writing()
        protocol.data_received(self._data)
        transport.resume_reading()

    def abort(self) -> None:
        """Nobody will take it over."""
        if self._transport is not None:
            self._transport.abort()


class LateMedia:
    """Fetches media, with a fetcher that is made for the first of them."""

    def __init__(self, settings: Media, spool: Spool, total: int) -> None:
        """Know how to make the fetcher; see there."""
        self._settings = settings
        self._spool = spool
        self._total = total
        self._fetcher: MediaFetcher | None = None

    async def fetch(self, urls: Sequence[str], room: int) -> Mapping[str, FetchedMedia]:
        """Fetch these, in `room` bytes at most all together. Raises ApiError, and then keeps nothing."""
        if self._fetcher is None:
            make = await asyncio.to_thread(_fetcher_class)
            if self._fetcher is None:  # somebody else may have waited for the import too
                self._fetcher = make(self._settings, self._spool, self._total)
        return await self._fetcher.fetch(urls, room)

    async def close(self) -> None:
        """Close what is open."""
        if self._fetcher is not None:
            await self._fetcher.close()


def _fetcher_class() -> "type[MediaFetcher]":
    from swapper.router.media.fetch import MediaFetcher  # noqa: PLC0415 — the point of this file

    return MediaFetcher


def runner(parts: Parts, patience: float) -> "web.AppRunner":
    """Make the application that `router.api` is.

    Args:
        parts: What it works with.
        patience: Seconds for answers that are under way when it is closed.
    """
    from aiohttp import web  # noqa: PLC0415 — the point of this file

    from swapper.router.api.handlers import Api  # noqa: PLC0415

    # What the front has let pass is not too large here: aiohttp's own refusals are plain text.
    return web.AppRunner(
        Api(parts).application(), handler_cancellation=True, access_log=None, shutdown_timeout=patience,
        max_line_size=HEAD_LIMIT, max_field_size=HEAD_LIMIT, max_headers=HEAD_LIMIT,
    )  # fmt: skip
