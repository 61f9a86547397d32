"""Port 4000: one aiohttp application on the socket that systemd holds. What else is served there brings its routes."""

import hmac
import json
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from swapper.telegram.metrics import CONTENT_TYPE, Metrics

MOST_BODY = 64 << 20
"""Bytes of a request; what other programs ask the agent has pictures and recordings in it."""

MOST_UPDATE = 1 << 20
"""Bytes of an update, which has a message of at most 4,096 characters in it, and perhaps the one that it replies to."""

SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - a header's name
"""Says that it is Telegram who calls ("setWebhook")."""

BACKLOG = 128

_LOG = logging.getLogger(__name__)


class Status:
    """What `/health` says."""

    def __init__(self) -> None:
        self.trouble = "Telegram is not reached"
        """What is wrong between Telegram and the bot; empty: nothing."""


def own_routes(status: Status, metrics: Metrics, waiting: Callable[[], int]) -> Sequence[web.RouteDef]:
    """Health and metrics."""

    async def health(_: web.Request) -> web.Response:
        word, code = (status.trouble, 503) if status.trouble else ("ok", 200)
        return web.json_response({"status": word, "waiting": waiting()}, status=code)

    async def expose(_: web.Request) -> web.Response:
        metrics.waiting.set(waiting())
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [web.get("/health", health), web.get("/metrics", expose)]


def webhook_route(path: str, secret: str, take: Callable[[Sequence[Mapping[str, Any]]], None]) -> web.RouteDef:
    """Where Telegram calls. It is answered when the update is stored, so that Telegram repeats what was not.

    Args:
        path: Of the webhook's URL.
        secret: What Telegram was told to show.
        take: Stores updates.
    """

    async def called(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get(SECRET, "").encode(), secret.encode()):
            _LOG.warning("somebody who is not Telegram called the webhook")
            return _error(403, "secret_wrong", "Telegram shows the secret that it was given.")
        try:
            update = json.loads(await _body(request))
            int(update["update_id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return _error(400, "invalid_json", "This is no update.")
        take([update])
        return web.Response()

    return web.post(path, called)


async def _body(request: web.Request) -> bytes:
    data = bytearray()
    async for block in request.content.iter_any():
        data += block
        if len(data) > MOST_UPDATE:
            raise web.HTTPRequestEntityTooLarge(MOST_UPDATE, len(data))
    return bytes(data)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


class Port:
    """The application, served."""

    def __init__(self, routes: Iterable[web.RouteDef]) -> None:
        app = web.Application(client_max_size=MOST_BODY)
        app.add_routes(routes)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)

    async def open(self, sockets: Iterable[socket.socket]) -> None:
        """Serve on sockets that listen."""
        await self._runner.setup()
        for one in sockets:
            await web.SockSite(self._runner, one, backlog=BACKLOG).start()

    async def close(self) -> None:
        """Serve nobody any more."""
        await self._runner.cleanup()
