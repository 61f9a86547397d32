"""The router's HTTP API, as programs that use it see it: what it has, and what its models answer, as it comes.

Nothing here knows more of the router than any client may. Every failure is a `RouterError`: the router's own error with
its code and hint, or that it cannot be reached, or that an answer broke off. Closing an iterator gives its request up:
the connection is closed, and the router lets the model go.

Sources: OpenAI's API reference ("Create chat completion", "Create transcription", "Create speech", each with its
streaming events); HTML Standard, 9.2 (server-sent events). Comments in a stream are the router's word on what one
waits for.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

SILENCE = 900.0
"""Seconds without a byte after which an answer is given up. The router says every few seconds what one waits for."""

MOST_SOUND = 50 * 1024 * 1024
"""Bytes of speech that are taken: an hour of Opus has half of that."""

_CONNECT = 10.0  # seconds
_MOST_ERROR = 64 * 1024  # bytes of an answer that is none


class RouterError(Exception):
    """A request got no answer.

    Attributes:
        code: One word: the router's, or `router_unreachable`, `engine_broke_off`, `error`.
        message: What happened.
        hint: What can be done; empty where that is not said.
        status: Of HTTP; 0 where there was none. Of an engine's error in a stream that had begun: the engine's.
    """

    def __init__(self, code: str, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint
        self.status = status


@dataclass(frozen=True, slots=True)
class Model:
    """A model, as `/v1/models` has it.

    Attributes:
        name: What a request calls it.
        aliases: Further names.
        state: What it is doing.
        engine: What runs it.
        capabilities: What it can do, as far as its configuration tells.
        context: Tokens that it keeps in mind; None while nobody knows.
    """

    name: str
    aliases: tuple[str, ...] = ()
    state: str = ""
    engine: str = ""
    capabilities: frozenset[str] = frozenset()
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """What one waits for, in the router's words."""

    text: str


@dataclass(frozen=True, slots=True)
class CallPart:
    """More of a tool's call.

    Attributes:
        index: Which of the calls.
        id: Its id; empty after the first part.
        name: The tool's; empty after the first part.
        arguments: More of the JSON.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """More of an answer.

    Attributes:
        text: Of what is said.
        thought: Of the reasoning before it.
        calls: Of the tools that are called.
        finish: Why it ends, in the last one that says so.
        tokens: How many were written, in the last part of an answer, where that is told.
    """

    text: str = ""
    thought: str = ""
    calls: tuple[CallPart, ...] = ()
    finish: str = ""
    tokens: int = 0


type Heard = Comment | Delta


class Router:
    """The router at an address."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str = "") -> None:
        """Know where to ask.

        Args:
            session: Makes the connections; is the caller's to close.
            url: Such as `http://127.0.0.1:8000`.
            key: The API key, where the router wants one.
        """
        self._session = session
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def models(self) -> tuple[Model, ...]:
        """All models. Loads none.

        Raises:
            RouterError: There is no answer.
        """
        async with self._asked("GET", "/v1/models") as response:
            return models(await response.text())

    async def chat(self, body: Mapping[str, object]) -> AsyncGenerator[Heard]:
        """A chat completion as it comes.

        Args:
            body: The request without `stream`.

        Raises:
            RouterError: There is no answer, or not all of it.
        """
        whole = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with self._asked("POST", "/v1/chat/completions", json=whole) as response:
            async for heard in _stream(response, delta):
                yield heard

    async def transcribe(self, model: str, sound: bytes, *, name: str, mime: str) -> AsyncGenerator[Heard]:
        """What is said in a recording, as it comes.

        Args:
            model: One that transcribes.
            sound: A file.
            name: What the file is called: engines look at its ending.
            mime: Its media type.

        Raises:
            RouterError: As `chat`.
        """
        form = aiohttp.FormData({"model": model, "stream": "true"})
        form.add_field("file", sound, filename=name, content_type=mime)
        async with self._asked("POST", "/v1/audio/transcriptions", data=form) as response:
            if response.content_type != "text/event-stream":
                yield Delta(str(json.loads(await response.text()).get("text") or ""))
                return
            async for heard in _stream(response, transcribed):
                yield heard

    async def speech(self, model: str, text: str, *, voice: str, sound: str = "opus") -> bytes:
        """A text, spoken.

        Args:
            model: One that speaks.
            text: What to say.
            voice: By a name that the engine knows.
            sound: The format, such as `opus` (in OGG) or `wav`.

        Raises:
            RouterError: There is no answer, or more of it than `MOST_SOUND`.
        """
        body = {"model": model, "input": text, "voice": voice, "response_format": sound}
        async with self._asked("POST", "/v1/audio/speech", json=body) as response:
            spoken = bytearray()
            async for block in response.content.iter_any():
                spoken += block
                if len(spoken) > MOST_SOUND:
                    raise RouterError("error", f"{model} does not stop speaking.", "Ask for less.")
            return bytes(spoken)

    @contextlib.asynccontextmanager
    async def _asked(self, method: str, path: str, **more: Any) -> AsyncIterator[aiohttp.ClientResponse]:  # noqa: ANN401
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=SILENCE)
        began = False
        try:
            async with self._session.request(
                method, f"{self._url}{path}", headers=self._headers, timeout=timeout, **more
            ) as response:
                if response.status != 200:
                    raise refusal((await response.content.read(_MOST_ERROR)).decode(errors="replace"), response.status)
                began = True
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            code, what = ("engine_broke_off", "broke off its answer") if began else ("router_unreachable", "is silent")
            raise RouterError(code, f"the router at {self._url} {what}: {error!r}", "Ask again.") from error
        except ValueError as error:
            raise RouterError("error", f"the router at {self._url} answers what cannot be read: {error}") from error


def models(text: str) -> tuple[Model, ...]:
    """The list of models from its JSON.

    Raises:
        ValueError: It is none.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise ValueError("no list of models")  # noqa: TRY004 - what came is wrong, no call of ours
    return tuple(
        Model(
            name=str(each["id"]),
            aliases=tuple(map(str, each.get("aliases") or ())),
            state=str(each.get("state") or ""),
            engine=str(each.get("engine") or ""),
            capabilities=frozenset(map(str, each.get("capabilities") or ())),
            context=each.get("context_length"),
        )
        for each in data["data"]
    )


def refusal(text: str, status: int) -> RouterError:
    """What an answer says that is an error, whoever of router and engines made it.

    Args:
        text: The answer, or an event of it.
        status: Of the answer; 200 in a stream that has begun.
    """
    try:
        error = json.loads(text)
        error = error.get("error", error)
        if isinstance(error, str):
            return RouterError("error", error, status=status)
        code = error.get("code")
        # Engines have a number there, and their word for it beside. In a stream that had begun it is all that tells
        # what their status would have been.
        if status == 200 and isinstance(code, int):
            status = code
        code = code if code and isinstance(code, str) else error.get("type") or "error"
        return RouterError(str(code), str(error.get("message") or ""), str(error.get("hint") or ""), status)
    except (ValueError, AttributeError):
        return RouterError("error", text[:500], status=status)


def delta(chunk: Mapping[str, Any]) -> Delta:
    """One chunk of a chat completion."""
    choice: Mapping[str, Any] = next(iter(chunk.get("choices") or ()), {})
    said: Mapping[str, Any] = choice.get("delta") or {}
    calls = tuple(
        CallPart(
            int(call.get("index") or 0),
            str(call.get("id") or ""),
            str((call.get("function") or {}).get("name") or ""),
            str((call.get("function") or {}).get("arguments") or ""),
        )
        for call in said.get("tool_calls") or ()
    )
    thought = said.get("reasoning_content") or said.get("reasoning") or ""
    tokens = int((chunk.get("usage") or {}).get("completion_tokens") or 0)
    return Delta(said.get("content") or "", thought, calls, choice.get("finish_reason") or "", tokens)


def transcribed(event: Mapping[str, Any]) -> Delta:
    """One event of a transcription: OpenAI's and llama-server's, or vLLM's, which looks like a chat's chunk."""
    if event.get("type") == "transcript.text.delta":
        return Delta(str(event.get("delta") or ""))
    return Delta(finish="stop") if event.get("type") == "transcript.text.done" else delta(event)


async def _stream(
    response: aiohttp.ClientResponse, read: Callable[[Mapping[str, Any]], Delta]
) -> AsyncGenerator[Heard]:
    """A stream of server-sent events; ends well only where it says so itself."""
    ended = False
    async for line in _lines(response):
        if line.startswith(":"):
            yield Comment(line[1:].strip())
        elif line.startswith("data:") and (data := line[5:].strip()) == "[DONE]":
            return
        elif line.startswith("data:"):
            chunk = json.loads(data)
            if not isinstance(chunk, dict):
                raise ValueError(f"no event: {data[:100]}")
            if chunk.get("error"):
                raise refusal(data, response.status)
            heard = read(chunk)
            ended = ended or bool(heard.finish)
            yield heard
    if not ended:
        raise RouterError("engine_broke_off", "the stream ended before the answer did", "Ask again.")


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[str]:
    """Whole lines, however long: aiohttp's own `readline` has a limit."""
    rest = b""
    async for block in response.content.iter_any():
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")

