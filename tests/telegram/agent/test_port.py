"""The agent on port 4000 for other programs, with the installed router and real engines behind it."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from swapper.telegram.agent.admission import Admission
from swapper.telegram.agent.api import routes
from swapper.telegram.agent.loop import ToolAgent
from tests.job import house
from tests.job.house import sentence
from tests.lab import media
from tests.media.web import PUBLIC, addresses
from tests.telegram.agent.rig import BOTH, CONFIG, agent, write_models

RED = media.data_url("image/png", media.png())
VOICE = base64.b64encode(media.wav()).decode()


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    write_models()
    with house.configured(CONFIG):
        yield


@asynccontextmanager
async def served(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """The routes; a client, and their address."""
    async with agent(folder) as made, aiohttp.ClientSession() as session:
        app = web.Application()
        app.add_routes(routes(Admission(), ToolAgent(made._bench, without={"speak"}), made._bench))
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, 0).start()
            yield session, f"http://{host}:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def complete(folder: Path, model: str, content: object, **more: object) -> str:
    """Ask for a completion; the body of the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": content}], **more}
    async with served(folder) as (session, url), session.post(f"{url}/v1/chat/completions", json=body) as response:
        assert response.status == 200
        return await response.text()


async def call(folder: Path, name: str, **arguments: object) -> list[dict[str, Any]]:
    """Call a tool by MCP; all messages of the answer."""
    params = {"name": name, "arguments": arguments, "_meta": {"progressToken": "t"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    accept = {"Accept": "application/json, text/event-stream"}
    async with served(folder) as (session, url), session.post(f"{url}/mcp", json=body, headers=accept) as response:
        assert response.content_type == "text/event-stream"
        return [json.loads(line[6:]) for line in (await response.text()).splitlines() if line.startswith("data: ")]


async def test_the_models_are_the_agent_with_each_language_model(tmp_path: Path) -> None:
    async with served(tmp_path) as (session, url), session.get(f"{url}/v1/models") as response:
        names = [model["id"] for model in (await response.json())["data"]]
    assert names[:2] == ["agent", "agent/talker"]


async def test_a_completion_in_one_piece(tmp_path: Path) -> None:
    answer = json.loads(await complete(tmp_path, "agent", "Hello!"))
    assert answer["choices"][0]["message"]["content"] == sentence("talker")
    assert answer["model"] == "agent"


async def test_pictures_and_sound_go_in(tmp_path: Path) -> None:
    parts = [{"type": "image_url", "image_url": {"url": RED}}, {"type": "input_audio", "input_audio": {"data": VOICE}}]
    stream = await complete(tmp_path, "agent/talker", parts, stream=True)
    comments = [line for line in stream.splitlines() if line.startswith(": ")]
    assert any("looking at file-0-0.png with eye" in line for line in comments)
    assert any("listening to file-0-1.wav with ear" in line for line in comments)
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == sentence("talker")
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert stream.endswith("data: [DONE]\n\n")


async def test_tools_are_called_within(tmp_path: Path) -> None:
    answer = json.loads(await complete(tmp_path, "agent/caller", "Both, please."))
    assert answer["choices"][0]["message"]["content"].strip() == BOTH


async def test_others_hear_and_see_by_mcp(tmp_path: Path) -> None:
    *progress, heard = await call(tmp_path, "transcribe_audio", data=VOICE, mime_type="audio/wav")
    assert heard["result"]["content"] == [{"type": "text", "text": sentence("ear")}]
    assert progress[0]["params"]["message"] == "listening to audio.wav with ear"
    assert [one["params"]["progress"] for one in progress] == list(range(1, len(progress) + 1))
    *_, seen = await call(tmp_path, "describe_image", data=RED, question="What is it?")
    assert seen["result"]["content"] == [{"type": "text", "text": sentence("eye")}]
    *_, models = await call(tmp_path, "models_status")
    assert "ear (also asr): " in models["result"]["content"][0]["text"]


async def test_what_comes_in_from_elsewhere_needs_keys(tmp_path: Path) -> None:
    with addresses():
        async with served(tmp_path, PUBLIC) as (session, url), session.get(f"{url}/v1/models") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (403, "keys_required")
    proxied = {"X-Forwarded-For": PUBLIC}
    async with served(tmp_path) as (session, url), session.get(f"{url}/v1/models", headers=proxied) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "keys_required")
