"""What the router answers by itself is made at the first request for it; who asks meanwhile waits and loses nothing."""

import asyncio
import json
import threading

from aiohttp import web

from swapper.router.late import LateApplication
from tests.router.conftest import PATIENCE, Lab

ASKED = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"


async def _answer(request: web.Request) -> web.Response:
    return web.json_response({"path": request.path, "size": len(await request.read())})


def _runner() -> web.AppRunner:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", _answer)
    return web.AppRunner(app, access_log=None)


class Gate:
    """Makes the application once it is told to."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.made = 0

    def __call__(self) -> web.AppRunner:
        self.opened.wait(PATIENCE)
        self.made += 1
        return _runner()


async def _until_connected(application: LateApplication, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while application.connections != count:  # noqa: ASYNC110 — no event tells of this
            await asyncio.sleep(0)


async def test_all_who_ask_while_it_is_made_are_answered_by_the_same(lab: Lab) -> None:
    gate = Gate()
    lab.others = application = LateApplication(gate)
    callers = [await lab.call() for _ in range(3)]
    body = b"x" * 3_000_000
    await callers[0].send(ASKED)
    await callers[1].send(ASKED)
    sending = asyncio.create_task(
        callers[2].send(b"PUT /api/thing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    )
    await _until_connected(application, 3)
    gate.opened.set()
    assert [(await caller.answer())[0] for caller in callers[:2]] == [200, 200]
    assert json.loads((await callers[2].answer())[2]) == {"path": "/api/thing", "size": len(body)}
    await sending
    assert gate.made == 1
    await application.close()


async def test_once_it_is_there_nobody_waits(lab: Lab) -> None:
    lab.others = application = LateApplication(_runner)
    for _ in range(2):
        caller = await lab.call()
        await caller.send(ASKED)
        assert (await caller.answer())[0] == 200
    await application.close()
    assert application.connections == 0


async def test_who_leaves_while_it_is_made_is_forgotten(lab: Lab) -> None:
    gate = Gate()
    lab.others = application = LateApplication(gate)
    leaver, stayer = await lab.call(), await lab.call()
    await leaver.send(ASKED)
    await stayer.send(ASKED)
    await _until_connected(application, 2)
    leaver.leave()
    gate.opened.set()
    assert (await stayer.answer())[0] == 200
    await _until_connected(application, 1)
    await application.close()


async def test_if_it_cannot_be_made_the_next_request_tries_again(lab: Lab) -> None:
    tries = iter([ImportError("an upgrade is under way"), None])

    def make() -> web.AppRunner:
        if (error := next(tries)) is not None:
            raise error
        return _runner()

    lab.others = application = LateApplication(make)
    first = await lab.call()
    await first.send(ASKED)
    assert await first.rest() == b""
    second = await lab.call()
    await second.send(ASKED)
    assert (await second.answer())[0] == 200
    await application.close()
