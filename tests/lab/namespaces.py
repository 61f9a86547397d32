"""Stands in for an engine that knows OpenAI's tools of type `namespace`, as which Codex offers those of MCP servers.

llama-server leaves such tools out (openai/codex, issue 36942). All but `/v1/responses` goes on to the real router;
there its model calls one tool of the namespace, whatever it is asked, and then says what the tool told.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

ROUTER = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Such an engine.

    Attributes:
        namespace: Of the tool that it calls.
        name: Of the tool.
        arguments: With what.
    """

    namespace: str
    name: str
    arguments: Mapping[str, object]

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve in a thread; the address."""
        loop, started = asyncio.new_event_loop(), threading.Event()
        ports: list[int] = []

        async def serve() -> web.AppRunner:
            app = web.Application(client_max_size=16 << 20)
            app.router.add_post("/v1/responses", self._respond)
            app.router.add_route("*", "/{path:.*}", _pass_on)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ports.append(runner.addresses[0][1])
            started.set()
            return runner

        def work() -> None:
            runner = loop.run_until_complete(serve())
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
            loop.close()

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        try:
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for event in self._events(asked["input"]):
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return response

    async def _events(self, items: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        told = [item["output"] for item in items if item.get("type") == "function_call_output"]
        if told:
            text = told[-1] if isinstance(told[-1], str) else "".join(part.get("text", "") for part in told[-1])
            content = [{"type": "output_text", "text": text}]
            item = {"type": "message", "id": "m1", "role": "assistant", "content": content}
        else:
            item = {
                "type": "function_call", "id": "f1", "call_id": "c1", "namespace": self.namespace, "name": self.name,
                "arguments": json.dumps(self.arguments),
            }  # fmt: skip
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        yield {"type": "response.created", "response": {"id": "r1"}}
        yield {"type": "response.output_item.done", "output_index": 0, "item": item}
        yield {"type": "response.completed", "response": {"id": "r1", "usage": usage}}


async def _pass_on(request: web.Request) -> web.Response:
    url = f"{ROUTER}{request.path_qs}"
    async with aiohttp.ClientSession() as session, session.request(request.method, url) as answer:
        return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)
