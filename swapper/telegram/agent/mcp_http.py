"""MCP's "Streamable HTTP": each message is a POST, and its answer JSON, or a stream where a tool takes its time.

A stream tells progress to who asked for that, and is kept alive by comments for everybody else. Whoever leaves gives
the call up. There are no sessions, so GET and DELETE are not allowed.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from swapper.telegram.agent.incoming import BadRequestError, body
from swapper.telegram.agent.mcp import INVALID, PARSE, Call, Mcp, RpcError

type Id = str | int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`/mcp`.

    Attributes:
        mcp: Who answers.
    """

    mcp: Mcp

    async def post(self, request: web.Request) -> web.StreamResponse:
        """`POST /mcp`."""
        name: Id | None = None
        try:
            message = await body(request)
            name = _id(message)
            if name is None:
                return web.Response(status=202)
            call = _call(message, request.headers)
            if call.method == "tools/call" and "text/event-stream" in request.headers.get("Accept", ""):
                return await self._streamed(request, name, call)
            return _json(name, {"result": await self.mcp.answer(call, _silent)})
        except BadRequestError as error:
            return _refused(name, RpcError(PARSE, str(error), error.status))
        except RpcError as error:
            return _refused(name, error)

    async def _streamed(self, request: web.Request, name: Id, call: Call) -> web.StreamResponse:
        """The answer as a stream, once there is something to tell before it."""
        said: asyncio.Queue[str | None] = asyncio.Queue()
        work = asyncio.create_task(self.mcp.answer(call, said.put_nowait), name=f"mcp {call.method}")
        work.add_done_callback(lambda _: said.put_nowait(None))
        response: web.StreamResponse | None = None
        count = 0
        try:
            while (text := await said.get()) is not None:
                if response is None:
                    response = web.StreamResponse(headers={
                        "Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no",
                    })  # fmt: skip
                    await response.prepare(request)
                count += 1
                await response.write(_told(call.meta.get("progressToken"), count, text))
            try:
                answer = {"result": work.result()}
            except RpcError as error:
                if response is None:
                    return _refused(name, error)
                answer = {"error": error.fields}
        finally:
            work.cancel()
            await asyncio.wait({work})
        if response is None:
            return _json(name, answer)
        await response.write(_event({"jsonrpc": "2.0", "id": name, **answer}))
        await response.write_eof()
        return response

    async def other(self, request: web.Request) -> web.StreamResponse:
        """`GET` and `DELETE /mcp`."""
        del request
        error = RpcError(INVALID, "There are no sessions here, and no streams to come back to.")
        return web.json_response({"jsonrpc": "2.0", "error": error.fields}, status=405, headers={"Allow": "POST"})


def _id(message: Mapping[str, Any]) -> Id | None:
    """The id of a request; None for a notification, or an answer to what was never asked."""
    if message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID, "This is no JSON-RPC 2.0 message.", 400)
    if "id" not in message or "method" not in message:
        return None
    name = message["id"]
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise RpcError(INVALID, "The id of a request is a text or a whole number.", 400)
    return name


def _call(message: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
    method, params = message["method"], message.get("params") or {}
    if not isinstance(method, str) or not isinstance(params, dict):
        raise RpcError(INVALID, "A request has a method, and an object of parameters.", 400)
    return Call(method, params, {key.title(): value for key, value in headers.items()})


def _silent(text: str) -> None:
    del text


def _told(token: object, count: int, text: str) -> bytes:
    if isinstance(token, str | int):
        params = {"progressToken": token, "progress": count, "message": text}
        return _event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    return f": {' '.join(text.split())}\n\n".encode()


def _event(message: Mapping[str, object]) -> bytes:
    return f"event: message\ndata: {json.dumps(message, ensure_ascii=False)}\n\n".encode()


def _json(name: Id, answer: Mapping[str, object]) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": name, **answer})


def _refused(name: Id | None, error: RpcError) -> web.Response:
    known = {} if name is None else {"id": name}
    return web.json_response({"jsonrpc": "2.0", **known, "error": error.fields}, status=error.status)
