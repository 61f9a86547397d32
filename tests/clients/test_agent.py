"""Port 4000 as other programs use it: OpenAI's package for Python, and the official one for MCP, both with a key."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.rig import HELLO, official
from tests.job import house, keys
from tests.job.house import sentence
from tests.lab import media, sound
from tests.telegram.agent.rig import BOTH, CONFIG, write_models
from tests.telegram.installed import rig as bot

openai = official("openai")
mcp = official("mcp")
httpx2 = official("httpx2")
transport = official("mcp.client.streamable_http")

URL = "http://127.0.0.1:4000"
FRIEND, OURS, WRONG = "friend-a1b2c3d4e5f60718", "bot-f0e1d2c3b4a596870", "nobody-a1b2c3d4e5f60718"
ROUTER_KEY = Path("/etc/credstore/swapper-telegram.key")
RED = media.data_url("image/png", media.png())
TOOLS = ["transcribe_audio", "describe_image", "read_text_in_image", "speak", "fetch_page", "models_status"]


@pytest.fixture(scope="module", autouse=True)
def _bot() -> Iterator[None]:
    """The installed bot, with keys for who asks it, and one of its own for the router."""
    before = house.CONFIG.read_text()
    write_models()
    house.configure(f"{CONFIG.rstrip()}\n  loud: {{engine: speech, aliases: [tts]}}\n")
    keys.PLAIN.write_text(f"friend inference {FRIEND}\nbot inference {OURS}\n")
    ROUTER_KEY.write_text(OURS)
    keys.restart()
    with bot.running():
        yield
    ROUTER_KEY.unlink()
    keys.no_keys()
    house.reset()
    house.configure(before)


# ---- OpenAI's -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client() -> Any:
    with openai.OpenAI(base_url=f"{URL}/v1", api_key=FRIEND, max_retries=0) as client:
        yield client


def test_the_agent_is_a_model(client: Any) -> None:
    assert [model.id for model in client.models.list()][:2] == ["agent", "agent/talker"]
    answer = client.chat.completions.create(model="agent", messages=HELLO)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (sentence("talker"), "stop")


def test_pictures_and_sound_in_and_a_stream_out(client: Any) -> None:
    voice = {"data": base64.b64encode(sound.note("How do you do?")).decode(), "format": "ogg"}
    for part in ({"type": "image_url", "image_url": {"url": RED}}, {"type": "input_audio", "input_audio": voice}):
        asked = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]
        with client.chat.completions.create(model="agent/keen", messages=asked, stream=True) as stream:
            deltas = [chunk.choices[0].delta for chunk in stream]
        words = [delta.content for delta in deltas if delta.content]
        assert ("".join(words), len(words) > 3) == (sentence("keen"), True)
        assert any(getattr(delta, "reasoning_content", "") for delta in deltas), "it was told what is in it"


def test_tools_are_used_within_and_an_answer_is_spoken(client: Any) -> None:
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": RED}}]}]
    wish = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "opus"}}
    (choice,) = client.chat.completions.create(model="agent/caller", messages=messages, **wish).choices
    assert choice.message.content.strip() == BOTH
    assert choice.message.audio.transcript.strip() == BOTH
    assert sound.probe(base64.b64decode(choice.message.audio.data)).codec == "opus"


def test_what_is_refused(client: Any) -> None:
    with pytest.raises(openai.AuthenticationError) as wrong:
        client.with_options(api_key=WRONG).chat.completions.create(model="agent", messages=HELLO)
    assert wrong.value.code == "key_wrong"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt", messages=HELLO)
    with pytest.raises(openai.NotFoundError) as gone:
        client.chat.completions.create(model="agent/nobody", messages=HELLO)
    assert gone.value.code == "model_not_found"


# ---- MCP's ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(mode: str, key: str = FRIEND, statuses: list[int] | None = None) -> AsyncIterator[Any]:
    """A client of either era: it finds out what is spoken (`auto`), or begins with a handshake (`legacy`)."""

    async def note(response: Any) -> None:
        if statuses is not None:
            statuses.append(response.status_code)

    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60, event_hooks={"response": [note]}) as http:
        wire = transport.streamable_http_client(f"{URL}/mcp", http_client=http)
        async with mcp.Client(wire, mode=mode) as client:
            yield client


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
def test_others_have_ears_eyes_and_a_voice(mode: str, version: str) -> None:
    told: list[str] = []

    async def progress(_count: float, _of: float | None, message: str | None) -> None:
        told.append(message or "")

    async def story() -> None:
        async with connected(mode) as client:
            assert (client.protocol_version, client.server_info.name) == (version, "swapper")
            assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS

            async def call(name: str, **arguments: str) -> Any:
                return await client.call_tool(name, arguments, progress_callback=progress)

            seen = await call("describe_image", data=RED, question="What is it?")
            assert (seen.is_error, seen.content[0].text) == (False, sentence("eye"))
            heard = await call("transcribe_audio", data=base64.b64encode(sound.note("How do you do?")).decode())
            assert (heard.is_error, heard.content[0].text) == (False, sentence("ear"))
            _, spoken = (await call("speak", text="Dinner is ready.")).content
            assert (spoken.type, spoken.mime_type) == ("audio", "audio/ogg")
            assert sound.probe(base64.b64decode(spoken.data)).codec == "opus"
            assert "ear (also asr): " in (await call("models_status")).content[0].text
            page = await call("fetch_page", url="http://127.0.0.1:8000/v1/models")
            assert page.is_error
            assert "not on the public internet" in page.content[0].text
            with pytest.raises(mcp.MCPError, match="no tool 'shell'"):
                await call("shell", command="id")

    asyncio.run(story())
    for said in ("looking at image.png with eye", "listening to audio.ogg with ear", "speaking with loud"):
        assert said in told


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_wrong_key_gets_nothing(mode: str) -> None:
    statuses: list[int] = []

    async def story() -> None:
        async with connected(mode, WRONG, statuses):
            pass

    with pytest.raises(BaseExceptionGroup) as caught:
        asyncio.run(story())
    assert caught.value.subgroup(mcp.MCPError) is not None
    assert set(statuses) == {401}
