"""What stands between load and engine: the router's data path by itself, or a plain aiohttp handler.

The leases of the first are granted at once and cost nothing; everything else is the router's own.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import cast

from aiohttp import ClientSession, UnixConnector, web

from swapper.core.model import Failure
from swapper.router.access import Access
from swapper.router.errors import ApiError, from_failure
from swapper.router.gate import Gate
from swapper.router.routes import Route, find
from swapper.router.runtime import Client, Ticket
from swapper.router.wire.body import Spool
from swapper.router.wire.front import Front
from swapper.router.wire.pool import Pool
from swapper.router.wire.ports import MediaSource, Record, Services, Target
from swapper.router.wire.settings import FrontSettings


class FreeTicket(Ticket):
    """A ticket that nobody counts."""

    def __init__(self) -> None:
        self.id = 0

    def release(self) -> None:
        """Nothing was taken."""


class FreeLeases:
    """Grants everything at once."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._ticket = FreeTicket()

    def peek(self, model: str) -> str:  # noqa: ARG002 - the contract's signature
        """The same."""
        return self._socket

    def request(self, model: str, client: Client, *, light: bool = False, priority: int = 0) -> Ticket:  # noqa: ARG002
        """Ask for a lease."""
        client.ticket = self._ticket
        client.admitted(self._socket)
        return self._ticket


class Anything:
    """Takes every name for a model's."""

    def resolve(self, name: str, route: Route) -> Target:  # noqa: ARG002 - the contract's signature
        """The model of this name."""
        return Target(name)

    def locate(self, method: bytes, target: bytes) -> Target:
        """Not asked here."""
        raise NotImplementedError


async def _explain(failure: Failure, model: str) -> ApiError:  # noqa: ARG001 - the contract's signature
    return from_failure(failure)


def _done(record: Record) -> None:
    del record


async def ours(port: int, socket: str) -> None:
    """The router's data path."""
    services = Services(leases=FreeLeases(socket), pool=Pool(), spool=Spool(Path(tempfile.gettempdir())),
                        media=cast("MediaSource", None), directory=Anything(), access=Access(),
                        gate=Gate(time.monotonic), situation=lambda model, _: model, explain=_explain,
                        done=_done)  # fmt: skip
    front = Front(services, FrontSettings(), find, asyncio.Protocol)
    await asyncio.get_running_loop().create_server(front, "127.0.0.1", port)


async def naive(port: int, socket: str) -> None:
    """What one writes first: an aiohttp handler that asks with an aiohttp client."""
    session = ClientSession(connector=UnixConnector(socket), auto_decompress=False)

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if "model" not in json.loads(body):
            raise web.HTTPBadRequest
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with session.post(f"http://engine{request.path_qs}", data=body, headers=headers) as answer:
            kind = {"Content-Type": answer.headers["Content-Type"]}
            response = web.StreamResponse(status=answer.status, headers=kind)
            if answer.content_length is not None:
                response.content_length = answer.content_length
            await response.prepare(request)
            async for block in answer.content.iter_any():
                await response.write(block)
            await response.write_eof()
            return response

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


async def _main(options: argparse.Namespace) -> None:
    await (ours if options.what == "ours" else naive)(options.port, options.socket)
    await asyncio.Event().wait()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A proxy to measure.")
    parser.add_argument("what", choices=["ours", "naive"])
    parser.add_argument("port", type=int)
    parser.add_argument("socket")
    parser.add_argument("--core", type=int, default=-1)
    options = parser.parse_args()
    if options.core >= 0:
        os.sched_setaffinity(0, {options.core})
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
