"""WebSockets through port 8000 to `/v1/realtime`, with the stand-in that behaves there as vLLM was seen to behave."""

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest

from tests.job import house
from tests.job.house import ask, chat, configure, run, sentence, state, until, watching
from tests.lab import media
from tests.vllm.realtime import REALTIME, connected, dictate, mistakes, say, transcript
from tests.vllm.rig import ASR, MISSION, SAID, VL, standin, transcribe, unit

CONFIG = MISSION.replace("model: qwen3-asr,", f"model: qwen3-asr, args: {json.dumps(REALTIME)},")
WHOLE = f"language English<asr_text>{SAID}"
WORDS = ["language", " English", "<asr_text>", "The", " quick", " brown", " fox.", ""]


@pytest.fixture(scope="module", autouse=True)
def _mission() -> Iterator[None]:
    with standin():
        house.write_gguf("devstral")
        house.reset()
        configure(CONFIG)
        yield
        house.reset()


def leases(model: str) -> int:
    """Requests that hold it."""
    count: int = ask("GET", f"/api/models/{model}").json["leases"]
    return count


def refusal(**query: str) -> tuple[int, str]:
    """The status and the body with which a WebSocket is refused."""

    async def ask_for_it() -> tuple[int, str]:
        # By hand: the client's own refusal does not show the body.
        headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
        url = "http://127.0.0.1:8000/v1/realtime"
        async with aiohttp.ClientSession() as session, session.get(url, params=query, headers=headers) as response:
            return response.status, await response.text()

    return asyncio.run(ask_for_it())


def test_what_is_said_is_understood_utterance_by_utterance() -> None:
    first, second = asyncio.run(dictate("asr", 1.0, 7.0))
    assert first == (WORDS, WHOLE)
    assert second == (WORDS * 2, WHOLE * 2)
    until(lambda: leases(ASR) == 0, "nobody holds the model")


def test_the_same_engine_hears_recordings() -> None:
    assert transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg())).json["text"] == SAID


def test_a_session_swaps_models_and_keeps_its_own() -> None:
    assert chat("code").content == sentence("devstral")

    async def talk() -> None:
        async with connected("transcription") as socket:
            assert (state("devstral"), leases(ASR)) == ("stopped", 1)
            with watching(ASR, "draining") as drained:
                other = asyncio.create_task(asyncio.to_thread(chat, "code"))
                await asyncio.to_thread(drained)
            await socket.send_json({"type": "session.update", "model": "transcription"})
            await say(socket, 1.0)
            assert await transcript(socket) == (WORDS, WHOLE)
            assert not other.done()
        assert (await other).content == sentence("devstral")

    asyncio.run(talk())


def test_what_an_engine_says_of_mistakes_comes_as_it_says_it() -> None:
    assert asyncio.run(mistakes("asr")) == ["model_not_validated", "model_not_found", "unknown_event"]


def test_models_that_are_not_there_or_cannot_are_refused_before_anything_is_loaded() -> None:
    house.reset()
    for query, status, code in (
        ({"model": "nobody"}, 404, "model_not_found"),
        ({}, 400, "model_missing"),
        ({"model": "code"}, 400, "model_incapable"),
    ):
        got, body = refusal(**query)
        assert (got, json.loads(body)["error"]["code"]) == (status, code)
    assert ask("GET", "/running").json["running"] == []


def test_an_engine_without_it_says_so_itself() -> None:
    assert refusal(model=VL)[0] in {400, 403}
    until(lambda: leases(VL) == 0, "nobody holds the model")


def test_a_unit_that_is_stopped_ends_the_session() -> None:
    async def talk() -> int | None:
        async with connected("asr") as socket:
            await asyncio.to_thread(run, "systemctl", "stop", unit(ASR))
            message = await socket.receive()
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
            return socket.close_code

    assert asyncio.run(talk()) in {1006, 1012}
    until(lambda: state(ASR) == "stopped", "the router hears of it")


def test_an_engine_that_dies_ends_the_session_and_is_started_for_the_next() -> None:
    async def talk() -> None:
        async with connected("asr") as socket:
            await asyncio.to_thread(run, "systemctl", "kill", "--signal=KILL", unit(ASR))
            message = await socket.receive()
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}

    asyncio.run(talk())
    until(lambda: leases(ASR) == 0, "nobody holds the model")
    ((words, _),) = asyncio.run(dictate("asr", 1.0))
    assert words == WORDS
