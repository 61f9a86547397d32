"""What the agent brings to port 4000: itself as a model of OpenAI's API, and its tools for other agents by MCP."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from swapper.telegram.agent.admission import Admission
from swapper.telegram.agent.base import Agent
from swapper.telegram.agent.completions import Completions
from swapper.telegram.agent.mcp import Mcp
from swapper.telegram.agent.mcp_http import Endpoint
from swapper.telegram.agent.tools.base import Bench

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(admission: Admission, agent: Agent, bench: Bench, model: str = "") -> Sequence[web.RouteDef]:
    """The routes, each of them guarded.

    Args:
        admission: Says who may ask.
        agent: Who answers; without the tool `speak`, which nobody could take anything from here.
        bench: What tools work with; its folder takes media meanwhile.
        model: The language model; empty: the first that chats.
    """
    completions = Completions(agent, bench.router, bench.folder, model)
    endpoint = Endpoint(Mcp(bench))

    def guarded(handler: Handler) -> Handler:
        async def judged(request: web.Request) -> web.StreamResponse:
            refusal = admission.judge(request)
            return await handler(request) if refusal is None else refusal.response()

        return judged

    return [
        web.get("/v1/models", guarded(completions.models)),
        web.post("/v1/chat/completions", guarded(completions.complete)),
        web.post("/mcp", guarded(endpoint.post)),
        web.get("/mcp", guarded(endpoint.other)),
        web.delete("/mcp", guarded(endpoint.other)),
    ]
