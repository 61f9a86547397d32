"""Requests that are not for an engine go to aiohttp, with their connection; the next one comes on a new one."""

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.router.conftest import Lab

CHAT = b'{"model": "a", "messages": []}'


@web.middleware
async def _closing(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    response = await handler(request)
    response.force_close()
    return response


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"path": request.path_qs, "size": len(await request.read())})


async def _with_aiohttp(lab: Lab) -> web.AppRunner:
    app = web.Application(middlewares=[_closing], client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", _models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    lab.others = runner.server
    return runner


async def test_information_is_aiohttps(lab: Lab) -> None:
    runner = await _with_aiohttp(lab)
    caller = await lab.call()
    await caller.send(b"GET /v1/models?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    status, headers, body = await caller.answer()
    assert (status, json.loads(body)) == (200, {"path": "/v1/models?x=1", "size": 0})
    assert headers[b"connection"] == b"close"
    assert await caller.rest() == b""
    assert lab.front.connections == 0
    await runner.cleanup()


async def test_a_body_goes_along_from_its_first_byte(lab: Lab) -> None:
    runner = await _with_aiohttp(lab)
    caller = await lab.call()
    body = b"x" * 3_000_000
    await caller.send(b"PUT /api/thing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert json.loads((await caller.answer())[2])["size"] == len(body)
    await runner.cleanup()


async def test_a_head_in_pieces(lab: Lab) -> None:
    runner = await _with_aiohttp(lab)
    caller = await lab.call()
    for byte in b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n":
        await caller.send(bytes([byte]))
    assert (await caller.answer())[0] == 200
    await runner.cleanup()


async def test_after_inference_on_the_same_connection(lab: Lab) -> None:
    runner = await _with_aiohttp(lab)
    caller = await lab.call()
    await caller.post(CHAT)
    assert (await caller.answer())[2] == CHAT
    await caller.send(b"GET /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n")
    assert json.loads((await caller.answer())[2])["path"] == "/v1/completions", "only POST is for engines"
    await runner.cleanup()


async def test_pipelined_behind_inference(lab: Lab) -> None:
    runner = await _with_aiohttp(lab)
    caller = await lab.call()
    chat = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT)
    await caller.send(chat + b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + chat)
    assert (await caller.answer())[2] == CHAT
    assert json.loads((await caller.answer())[2])["path"] == "/a"
    assert await caller.rest() == b"", "what was sent ahead is to be sent again on another connection"
    assert len(lab.engine.requests) == 1
    await runner.cleanup()


async def test_a_malformed_request_is_ours_whatever_its_path(lab: Lab) -> None:
    runner = await _with_aiohttp(lab)
    caller = await lab.call()
    await caller.send(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
    status, _, body = await caller.answer()
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_request")
    await runner.cleanup()
