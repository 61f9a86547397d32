"""A client of vLLM's `/v1/realtime`, through port 8000: sound as it is recorded goes in, text comes out.

The messages are those of vLLM's `RealtimeConnection` (entrypoints/speech_to_text/realtime).
"""

import asyncio
import base64
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.job.house import PATIENCE
from tests.lab import media

REALTIME = ["--hf-overrides", '{"architectures": ["Qwen3ASRRealtimeGeneration"]}']
"""What Qwen3-ASR must be started with, for `args:`; it hears recordings and chats all the same."""

CHUNK = 3200
"""Bytes of a tenth of a second."""

type Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def connected(model: str) -> AsyncIterator[Socket]:
    """A session with this model, greeted by the engine; the model is loaded for it."""
    # A model that is loaded only now may take its time to greet.
    async with aiohttp.ClientSession() as session, session.ws_connect(
        "http://127.0.0.1:8000/v1/realtime", params={"model": model}, timeout=aiohttp.ClientWSTimeout(ws_close=PATIENCE)
    ) as socket:  # fmt: skip
        assert (await heard(socket))["type"] == "session.created"
        yield socket


async def heard(socket: Socket) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = await asyncio.wait_for(socket.receive_json(), PATIENCE)
    return message


async def say(socket: Socket, seconds: float) -> None:
    """Speak that long."""
    with wave.open(io.BytesIO(media.wav(seconds))) as recording:
        sound = recording.readframes(recording.getnframes())
    await socket.send_json({"type": "input_audio_buffer.commit"})
    for begin in range(0, len(sound), CHUNK):
        audio = base64.b64encode(sound[begin : begin + CHUNK]).decode()
        await socket.send_json({"type": "input_audio_buffer.append", "audio": audio})
    await socket.send_json({"type": "input_audio_buffer.commit", "final": True})


async def transcript(socket: Socket) -> tuple[list[str], str]:
    """What was understood, word by word and as a whole."""
    words = []
    while (message := await heard(socket))["type"] == "transcription.delta":
        words.append(message["delta"])
    assert message["type"] == "transcription.done", message
    return words, message["text"]


async def dictate(model: str, *lengths: float) -> list[tuple[list[str], str]]:
    """What is understood of utterances of these lengths, in one session."""
    async with connected(model) as socket:
        await socket.send_json({"type": "session.update", "model": model})
        understood = []
        for seconds in lengths:
            await say(socket, seconds)
            understood.append(await transcript(socket))
        return understood


async def mistakes(model: str) -> list[str]:
    """What the engine calls each of three: too early, of a model that there is not, without any sense."""
    messages: list[dict[str, str]] = [
        {"type": "input_audio_buffer.commit"}, {"type": "session.update", "model": "nobody"}, {}
    ]  # fmt: skip
    codes = []
    async with connected(model) as socket:
        for message in messages:
            await socket.send_json(message)
            codes.append((await heard(socket))["code"])
    return codes
