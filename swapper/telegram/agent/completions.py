"""The agent as a model of OpenAI's API: `/v1/models` and `/v1/chat/completions`.

The model is called `agent`, and answers with the language model that is configured for the bot; `agent/NAME` answers
with that one. It has tools of its own, so those of a request are refused. What it is doing comes as comments in a
stream, as the router's do. (OpenAI's API reference, "Create chat completion" and "Streaming events".)
"""

import asyncio
import base64
import contextlib
import json
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from aiohttp import web

from swapper.client import Router, RouterError
from swapper.telegram.agent.admission import Refusal
from swapper.telegram.agent.base import (
    Agent,
    Ask,
    Event,
    Failed,
    Finished,
    Medium,
    Progress,
    Request,
    Spoken,
    Text,
    Thinking,
    Turn,
)
from swapper.telegram.agent.failures import told
from swapper.telegram.agent.incoming import BadRequestError, body, medium

NAME = "agent"

_FORMATS = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg", "opus": "audio/ogg"}
_STATUSES = {"model_not_found": 404, "queue_full": 429, "unreadable": 400, "unheard": 400, "too_long": 504}
_REFUSED = {"tools": "has tools of its own", "functions": "has tools of its own", "n": "gives one answer"}


@dataclass(frozen=True, slots=True)
class Completions:
    """Answers chat completions.

    Attributes:
        agent: Who answers.
        router: Has the language models.
        folder: Where media are put meanwhile.
        model: The language model; empty: the first that chats.
    """

    agent: Agent
    router: Router
    folder: Path
    model: str = ""

    async def models(self, _: web.Request) -> web.Response:
        """`GET /v1/models`."""
        try:
            models = await self.router.models()
        except RouterError as error:
            return _refusal(told(error, NAME)).response()
        names = [NAME, *(f"{NAME}/{model.name}" for model in models if "chat" in model.capabilities)]
        cards = [{"id": name, "object": "model", "created": 0, "owned_by": "swapper"} for name in names]
        return web.json_response({"object": "list", "data": cards})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/chat/completions`."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="asked-") as folder:
            try:
                asked = await body(request)
                turns, system = await asyncio.to_thread(conversation, asked, Path(folder))
                model = await self._language_model(asked.get("model"))
            except BadRequestError as error:
                return Refusal(error.status, "invalid_request", str(error)).response()
            except RouterError as error:
                return _refusal(told(error, NAME)).response()
            speak = "audio" in (asked.get("modalities") or ())
            answer = self.agent.answer(Request(model, system, turns, speak))
            async with _closing(answer) as events:
                if asked.get("stream") is True:
                    return await _streamed(request, events)
                return await _whole(events)

    async def _language_model(self, name: object) -> str:
        if isinstance(name, str) and name.startswith(f"{NAME}/"):
            return name.removeprefix(f"{NAME}/")
        if name != NAME:
            raise BadRequestError(f"There is no model {str(name)[:100]!r} here, but {NAME!r}.", 404)
        if self.model:
            return self.model
        chats = [model.name for model in await self.router.models() if "chat" in model.capabilities]
        if not chats:
            raise BadRequestError("No model chats.", 503)
        return chats[0]


def conversation(asked: Mapping[str, Any], folder: Path) -> tuple[tuple[Turn, ...], str]:
    """The conversation of a request, and what its system messages say. Writes files: for a thread.

    Raises:
        BadRequestError: It cannot be understood.
    """
    for field, why in _REFUSED.items():
        if asked.get(field) not in (None, 1, [], "none"):
            raise BadRequestError(f"{field!r} is not for {NAME!r}, which {why}.")
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise BadRequestError("'messages' has to be a list of messages.")
    turns, system = list[Turn](), list[str]()
    for number, message in enumerate(messages):
        text, media = _content(message.get("content"), folder, number)
        match message.get("role"):
            case "system" | "developer":
                system.append(text)
            case "user" | "assistant" as role:
                turns.append(Turn(role, text, media))
            case other:
                raise BadRequestError(f"There are no messages of {str(other)[:40]!r} here.")
    if not turns or turns[-1].role != "user":
        raise BadRequestError("The last message has to be the user's.")
    return tuple(turns), "\n\n".join(filter(None, system))


def _content(content: object, folder: Path, number: int) -> tuple[str, tuple[Medium, ...]]:
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list):
        raise BadRequestError("'content' has to be a text or a list of parts.")
    texts, media = list[str](), list[Medium]()
    for part in content:
        name = f"file-{number}-{len(media)}"
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": url}}:
                media.append(medium(url, "image", "", folder, name))
            case {"type": "input_audio", "input_audio": {"data": data, **more}}:
                mime = _FORMATS.get(str(more.get("format", "wav")), "audio/ogg")
                media.append(medium(data, "audio", mime, folder, name))
            case _:
                raise BadRequestError("Parts can be 'text', 'image_url' and 'input_audio'.")
    return "\n".join(texts), tuple(media)


@contextlib.asynccontextmanager
async def _closing(answer: object) -> AsyncGenerator[AsyncGenerator[Event]]:
    """Closes the answer; nobody is left to take what was spoken."""
    assert isinstance(answer, AsyncGenerator)  # noqa: S101 - as `Agent` has it: closing it gives the answer up
    async with contextlib.aclosing(answer) as events:
        yield events


async def _whole(events: AsyncGenerator[Event]) -> web.Response:
    """An answer in one piece."""
    message: dict[str, object] = {"role": "assistant", "content": "", "refusal": None}
    text, thoughts = list[str](), list[str]()
    async for event in events:
        match event:
            case Text():
                text.append(event.text)
            case Thinking():
                thoughts.append(event.text)
            case Spoken():
                message["audio"] = await _sound(event, "".join(text))
            case Failed():
                return _refusal(event).response()
            case Ask():
                event.reply.set_result(event.options[-1])  # nobody is here to be asked
            case Progress() | Finished():
                pass
            case _:
                assert_never(event)
    message["content"] = "".join(text)
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return web.json_response(_head("chat.completion", _id()) | {"choices": [choice]})


async def _streamed(request: web.Request, events: AsyncGenerator[Event]) -> web.StreamResponse:
    """An answer as it comes. What fails before its first word is an error, and afterwards an event that is one."""
    first = await anext(events)
    if isinstance(first, Failed):
        return _refusal(first).response()
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    name, said = _id(), list[str]()
    await response.write(_chunk(name, {"role": "assistant", "content": ""}))
    event: Event | None = first
    while event is not None:
        await response.write(await _written(event, name, said))
        if isinstance(event, Failed) and request.transport is not None:
            request.transport.close()  # never a clean end of what is not whole
            return response
        event = await anext(events, None)
    await response.write_eof()
    return response


async def _written(event: Event, name: str, said: list[str]) -> bytes:  # noqa: PLR0911 - a table
    """An event of the answer as it stands in the stream."""
    match event:
        case Text():
            said.append(event.text)
            return _chunk(name, {"content": event.text})
        case Thinking():
            return _chunk(name, {"reasoning_content": event.text})
        case Progress():
            return f": {' '.join(event.text.split())}\n\n".encode()
        case Spoken():
            return _chunk(name, {"audio": await _sound(event, "".join(said))})
        case Ask():
            event.reply.set_result(event.options[-1])  # nobody is here to be asked
            return b": nobody is here to be asked\n\n"
        case Failed():
            return _event({"error": _error(event)})
        case Finished():
            return _chunk(name, {}, "stop") + b"data: [DONE]\n\n"
        case _:
            assert_never(event)


async def _sound(spoken: Spoken, text: str) -> dict[str, object]:
    """What was spoken, as `message.audio` has it."""
    data = await asyncio.to_thread(spoken.path.read_bytes)
    await asyncio.to_thread(spoken.path.unlink)
    encoded = base64.b64encode(data).decode()
    return {"id": f"audio-{uuid.uuid4().hex}", "data": encoded, "transcript": text, "expires_at": 0}


def _id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _head(kind: str, name: str) -> dict[str, object]:
    return {"id": name, "object": kind, "created": int(time.time()), "model": NAME}


def _chunk(name: str, delta: Mapping[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event(_head("chat.completion.chunk", name) | {"choices": [choice]})


def _event(data: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _error(failed: Failed) -> dict[str, object]:
    return {"message": failed.message, "type": "server_error", "code": failed.code, "hint": failed.hint}


def _refusal(failed: Failed) -> Refusal:
    return Refusal(_STATUSES.get(failed.code, 503), failed.code, failed.message, failed.hint)
