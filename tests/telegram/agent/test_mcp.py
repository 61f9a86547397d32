"""The agent's routes on port 4000, as far as no model is needed: who may ask, and what MCP's clients are answered."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from swapper.client import Router
from swapper.keys import Key, Known
from swapper.outside.addresses import Allowed
from swapper.telegram.agent.admission import Admission
from swapper.telegram.agent.api import routes
from swapper.telegram.agent.base import Turn
from swapper.telegram.agent.completions import conversation
from swapper.telegram.agent.incoming import BadRequestError
from swapper.telegram.agent.loop import ToolAgent
from swapper.telegram.agent.mcp import HEADERS, LEGACY, MODERN, NO_METHOD, PARAMS, VERSION
from swapper.telegram.agent.tools import TOOLS, Bench
from swapper.telegram.agent.tools.page import page_door
from tests.lab import media

KEY = "a-key-of-enough-letters"
KEYS: tuple[Known, ...] = ((sha256(KEY.encode()).digest(), Key("me", admin=False)),)
NOWHERE = "http://127.0.0.1:9"
META = {"io.modelcontextprotocol/protocolVersion": MODERN[0], "io.modelcontextprotocol/clientCapabilities": {}}


@dataclass
class Port:
    """The routes, served."""

    url: str
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """A request; the answer's status and JSON: of a stream its last event."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, self.url + path, json=body, headers=named) as response:
            text = await response.text()
            return response.status, json.loads(text.rpartition("data: ")[2] or "null")

    async def rpc(self, method: str, params: Mapping[str, object] | None = None, **headers: str) -> tuple[int, Any]:
        """A request of MCP."""
        message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}
        accept = "application/json, text/event-stream"
        return await self.ask("POST", "/mcp", message, Accept=accept, **headers)

    async def modern(self, method: str, **params: object) -> tuple[int, Any]:
        """A request as a client of the newest revision sends it."""
        name = {"Mcp_Name": str(params["name"])} if "name" in params else {}
        version = {"Mcp_Protocol_Version": MODERN[0], "Mcp_Method": method}
        return await self.rpc(method, {"_meta": META, **params}, **version, **name)


@contextlib.asynccontextmanager
async def port(folder: Path, keys: tuple[Known, ...] | None = None) -> AsyncIterator[Port]:
    """The routes on a port of loopback, before a router that is away."""
    async with aiohttp.ClientSession() as session:
        door = page_door(Allowed())
        bench = Bench(Router(session, NOWHERE), door, folder)
        app = web.Application()
        app.add_routes(routes(Admission(keys), ToolAgent(bench, without={"speak"}), bench))
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield Port(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
        finally:
            await runner.cleanup()
            await door.close()


def left(folder: Path) -> list[Path]:
    """What a request left behind."""
    return list(folder.iterdir())


# ---- who may ask ----------------------------------------------------------------------------------------------------

ROUTES = [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/mcp"), ("GET", "/mcp")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_with_keys_one_has_to_be_shown(tmp_path: Path, method: str, path: str) -> None:
    async with port(tmp_path, KEYS) as asked:
        assert (await asked.ask(method, path, {}))[1]["error"]["code"] == "key_missing"
        status, wrong = await asked.ask(method, path, {}, Authorization="Bearer another-key-entirely")
        assert (status, wrong["error"]["code"]) == (401, "key_wrong")
        assert (await asked.ask(method, path, {}, Authorization=f"Bearer {KEY}"))[0] not in {401, 403}
        assert (await asked.ask(method, path, {}, x_api_key=KEY))[0] not in {401, 403}


@pytest.mark.parametrize("keys", [(), KEYS])
async def test_keys_of_nobody_let_nobody_in(tmp_path: Path, keys: tuple[Known, ...]) -> None:
    async with port(tmp_path, keys) as asked:
        assert (await asked.rpc("ping", Authorization="Bearer x"))[0] == 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_others_are_refused(tmp_path: Path, origin: str) -> None:
    async with port(tmp_path) as asked:
        status, answer = await asked.rpc("ping", Origin=origin)
        assert (status, answer["error"]["code"]) == (403, "origin_refused")
        assert (await asked.rpc("ping", Origin=asked.url))[0] == 200


async def test_a_name_that_changed_its_address_is_refused(tmp_path: Path) -> None:
    async with port(tmp_path) as asked:
        assert (await asked.rpc("ping", Host="evil.example"))[1]["error"]["code"] == "host_refused"
        assert (await asked.rpc("ping", Host="localhost:4000"))[0] == 200



# ---- MCP ------------------------------------------------------------------------------------------------------------


async def test_clients_with_a_handshake_are_served(tmp_path: Path) -> None:
    async with port(tmp_path) as asked:
        for wished, version in ((LEGACY[1], LEGACY[1]), ("2024-11-05", LEGACY[0]), (MODERN[0], LEGACY[0])):
            status, answer = await asked.rpc("initialize", {"protocolVersion": wished, "capabilities": {}})
            assert (status, answer["id"], answer["result"]["protocolVersion"]) == (200, 7, version)
        assert (await asked.ask("POST", "/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}))[0] == 202
        status, answer = await asked.rpc("tools/list", Mcp_Protocol_Version=LEGACY[0])
        assert [tool["name"] for tool in answer["result"]["tools"]] == [tool.name for tool in TOOLS]
        assert (await asked.rpc("ping"))[1]["result"] == {}
        status, answer = await asked.rpc("resources/list", Mcp_Protocol_Version=LEGACY[0])
        assert (status, answer["error"]["code"]) == (200, NO_METHOD)
        assert (await asked.ask("GET", "/mcp"))[0] == (await asked.ask("DELETE", "/mcp"))[0] == 405


async def test_clients_without_a_handshake_are_served(tmp_path: Path) -> None:
    async with port(tmp_path) as asked:
        status, answer = await asked.modern("server/discover")
        assert (status, answer["result"]["supportedVersions"]) == (200, [*MODERN, *LEGACY])
        assert answer["result"]["resultType"] == "complete"
        status, answer = await asked.modern("tools/list")
        assert (status, answer["result"]["cacheScope"]) == (200, "private")
        assert (await asked.modern("nonsense"))[0] == 404
        assert (await asked.modern("initialize"))[1]["error"]["code"] == NO_METHOD


@pytest.mark.parametrize(("params", "headers", "code"), [
    ({"_meta": META}, {"Mcp_Protocol_Version": "1900-01-01"}, HEADERS),
    ({}, {"Mcp_Protocol_Version": "1900-01-01"}, VERSION),
    ({"_meta": {**META, "io.modelcontextprotocol/protocolVersion": "1900-01-01"}}, {}, VERSION),
    ({}, {"Mcp_Protocol_Version": MODERN[0], "Mcp_Method": "tools/list"}, PARAMS),
    ({"_meta": META}, {}, HEADERS),
    ({"_meta": META}, {"Mcp_Protocol_Version": MODERN[0]}, HEADERS),
    ({"_meta": META}, {"Mcp_Protocol_Version": MODERN[0], "Mcp_Method": "ping"}, HEADERS),
    ({"_meta": META}, {"Mcp_Protocol_Version": LEGACY[0], "Mcp_Method": "tools/list"}, HEADERS),
])  # fmt: skip
async def test_headers_have_to_say_what_the_body_says(
    tmp_path: Path, params: dict[str, object], headers: dict[str, str], code: int
) -> None:
    async with port(tmp_path) as asked:
        status, answer = await asked.rpc("tools/list", params, **headers)
        assert (status, answer["error"]["code"]) == (400, code)


async def test_a_tools_name_may_come_in_base64(tmp_path: Path) -> None:
    async with port(tmp_path) as asked:
        wrapped = f"=?base64?{base64.b64encode(b'fetch_page').decode()}?="
        params = {"_meta": META, "name": "fetch_page", "arguments": {"url": "file:///etc/passwd"}}
        named = {"Mcp_Protocol_Version": MODERN[0], "Mcp_Method": "tools/call"}
        status, answer = await asked.rpc("tools/call", params, **named, Mcp_Name=wrapped)
        assert (status, answer["result"]["isError"]) == (200, True)
        status, answer = await asked.rpc("tools/call", params, **named, Mcp_Name="speak")
        assert (status, answer["error"]["code"]) == (400, HEADERS)


@pytest.mark.parametrize("body", [[], {}, {"jsonrpc": "1.0", "id": 1, "method": "ping"}, "x",
                                  {"jsonrpc": "2.0", "id": True, "method": "ping"},
                                  {"jsonrpc": "2.0", "id": 1, "method": 5}])  # fmt: skip
async def test_what_is_no_request_is_refused(tmp_path: Path, body: object) -> None:
    async with port(tmp_path) as asked:
        status, answer = await asked.ask("POST", "/mcp", body)
        assert status == 400
        assert answer["error"]["code"] < 0


@pytest.mark.parametrize(("name", "arguments", "why"), [
    ("fetch_page", {"url": "http://127.0.0.1:9/"}, "not on the public internet"),
    ("fetch_page", {}, "'url' has to be a text"),
    ("describe_image", {"data": "file:///etc/passwd"}, "addresses are not fetched here"),
    ("describe_image", {"data": "http://169.254.169.254/"}, "addresses are not fetched here"),
    ("describe_image", {"data": "%%%"}, "is no base64"),
    ("describe_image", {"id": "i1"}, "has to be a data URL or base64"),
    ("describe_image", {"data": media.data_url("audio/wav", b"x")}, "has to be image"),
    ("transcribe_audio", {"data": media.data_url("audio/wav", b"x")}, "The model server does not answer"),
    ("models_status", {}, "The model server does not answer"),
])  # fmt: skip
async def test_a_tool_that_cannot_says_why(
    tmp_path: Path, name: str, arguments: dict[str, object], why: str
) -> None:
    async with port(tmp_path) as asked:
        _, answer = await asked.modern("tools/call", name=name, arguments=arguments)
        assert answer["result"]["isError"] is True
        assert why in answer["result"]["content"][0]["text"]
        assert left(tmp_path) == []


async def test_an_unknown_tool_is_an_error_of_the_protocol(tmp_path: Path) -> None:
    async with port(tmp_path) as asked:
        assert (await asked.modern("tools/call", name="shell", arguments={}))[1]["error"]["code"] == PARAMS


# ---- the agent as a model -------------------------------------------------------------------------------------------


def test_a_conversation_is_read(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": media.data_url("image/png", media.png())}}
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFF").decode(), "format": "wav"}}
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, picture]},
        {"role": "assistant", "content": "b"}, {"role": "user", "content": [sound]},
    ]  # fmt: skip
    turns, system = conversation({"messages": messages}, tmp_path)
    assert system == "Be kind."
    assert [(turn.role, turn.text, [medium.kind for medium in turn.media]) for turn in turns] == [
        ("user", "a", ["image"]), ("assistant", "b", []), ("user", "", ["audio"]),
    ]  # fmt: skip
    assert turns[0].media[0].path.read_bytes() == media.png()
    assert turns[2].media[0].mime == "audio/wav"
    assert conversation({"messages": [{"role": "user", "content": "hi"}]}, tmp_path) == ((Turn("user", "hi"),), "")


@pytest.mark.parametrize("asked", [
    {}, {"messages": []}, {"messages": ["x"]}, {"messages": [{"role": "assistant", "content": "x"}]},
    {"messages": [{"role": "tool", "content": "x"}]}, {"messages": [{"role": "user", "content": 5}]},
    {"messages": [{"role": "user", "content": [{"type": "file"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x.example/a.png"}}]}]},
    {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
    {"messages": [{"role": "user", "content": "x"}], "n": 2},
])  # fmt: skip
def test_what_is_no_conversation_is_refused(tmp_path: Path, asked: dict[str, object]) -> None:
    with pytest.raises(BadRequestError):
        conversation(asked, tmp_path)


async def test_errors_are_openais(tmp_path: Path) -> None:
    question = {"model": "agent/x", "messages": [{"role": "user", "content": "hi"}]}
    async with port(tmp_path) as asked:
        for stream in (False, True):
            status, answer = await asked.ask("POST", "/v1/chat/completions", {**question, "stream": stream})
            assert (status, answer["error"]["code"]) == (503, "router_unreachable")
        status, answer = await asked.ask("POST", "/v1/chat/completions", {**question, "model": "gpt"})
        assert (status, answer["error"]["code"]) == (404, "invalid_request")
        assert left(tmp_path) == []
