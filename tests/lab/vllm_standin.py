#!/usr/bin/python3
"""Stands in for vLLM, whose 4 GB need CPython 3.11 and half a minute to start: not to be had in every test run.

Installed as an executable ``vllm``, it behaves as vLLM 0.32 was seen to behave where that matters to whoever starts,
asks and stops it.  (``tests/run --vllm`` has the real one.)

- Its socket is bound at once, but refuses connections until the model is loaded; the file stays behind on exit, and a
  file that is there makes the next start fail.
- There is a process for the engine besides the server's; if that one dies, the server exits.
- SIGTERM closes the socket and then waits for open requests; a stream stops and waits until its client closes.  So does
  the real one if the client does not read; one that reads gets ``finish_reason: abort``: set STANDIN_ON_TERM=abort.
- Requests hang while it sleeps, and ``/health`` goes on to answer 200.  After level 2 its weights have to be loaded
  again (``/collective_rpc``), or its words are nonsense.  STANDIN_SLEEP=refuse or STANDIN_WAKE=refuse: it says 500.
  Its engine does one such thing after the other, also for a client that has left.
- ``/v1/realtime`` is there with ``--hf-overrides '{"architectures": ["Qwen3ASRRealtimeGeneration"]}'`` only; SIGTERM
  closes its WebSockets at once.

- With ``--omni`` it has vLLM-Omni's ``/v1/audio/speech`` and ``/v1/audio/voices``, as its documentation ("Speech API")
  describes them: WAV, for voices that it has. Nobody has seen the real one here, which needs a GPU.

It answers with ``reply.txt`` from the model's folder; ``LOOP`` in the message makes it go on until ``max_tokens``.
It imports `vllm.entrypoints.cli.main`, where there is such a module, and says when it would take its GPU.
STANDIN_LOAD_SECONDS is how long the load takes (0.2), STANDIN_TOKEN_SECONDS how long a word takes in a stream (0.005).
As long as there is a file ``hold`` in the model's folder, nothing of it comes to its end: no load, no stream (which
stands before its last word), and neither falling asleep nor waking.
``GET /standin/argv`` tells the command line and the environment it was started with, ``GET /standin/body`` the bytes of
the last chat that it was sent, ``GET /standin/slept`` how many requests came while it slept,
whether it falls asleep or wakes just now, and how often it was asked whether it sleeps.
"""

import argparse
import asyncio
import base64
import binascii
import contextlib
import importlib
import io
import json
import os
import signal
import socket
import sys
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

LOAD_SECONDS = float(os.environ.get("STANDIN_LOAD_SECONDS", "0.2"))
TOKEN_SECONDS = float(os.environ.get("STANDIN_TOKEN_SECONDS", "0.005"))
ABORTS_ON_TERM = os.environ.get("STANDIN_ON_TERM") == "abort"
REFUSES = {what for what in ("sleep", "wake") if os.environ.get(f"STANDIN_{what.upper()}") == "refuse"}
TAGS = frozenset({"weights", "kv_cache"})
DEVELOPER = os.environ.get("VLLM_SERVER_DEV_MODE") == "1"
SEGMENT = 5 * 16000 * 2
SOUNDS = (b"RIFF", b"OggS", b"ID3", b"\xff\xfb", b"fLaC")
SPEAKERS = ["ryan", "vivian"]
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818 -- what the whole project calls it
    """What vLLM answers instead of a reply."""

    status: int
    message: str
    kind: str
    parameter: str | None = None

    def response(self) -> web.Response:
        """The error in vLLM's envelope."""
        error = {"message": self.message, "type": self.kind, "param": self.parameter, "code": self.status}
        return web.json_response({"error": error}, status=self.status)


@dataclass(frozen=True, slots=True)
class Options:
    """The part of the command line that the stand-in obeys; it accepts any other."""

    model: Path
    uds: str
    names: tuple[str, ...]
    context: int
    images: int | None
    realtime: bool
    omni: bool = False


@dataclass(slots=True)
class Engine:
    """The state of the server."""

    options: Options
    reply: str
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    open_requests: int = 0
    last_body: bytes = b""
    asleep: frozenset[str] = frozenset()
    loaded: bool = True
    disturbed: int = 0
    asked: int = 0
    core: asyncio.Lock = field(default_factory=asyncio.Lock)

    def words(self, text: str, body: dict[str, Any]) -> list[str]:
        """The words of the reply, no more than the body's max_tokens."""
        most = int(body.get("max_completion_tokens") or body.get("max_tokens") or self.options.context)
        if "LOOP" in json.dumps(body.get("messages", "")):
            return [f" loop{number % 32:03}" for number in range(most)]
        first, *rest = text.split(" ") if self.loaded else ["nonsense"]
        return [first, *(f" {word}" for word in rest)][:most]

    async def held(self) -> None:
        """Waits as long as nothing shall come to its end."""
        while (self.options.model / "hold").exists() and not self.leaving.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def check_name(self, name: object) -> None:
        """Refuses a model that is not served.

        Raises:
            Problem: 404, as vLLM says it.
        """
        if name not in self.options.names:
            aliases = ", ".join(self.options.names)
            message = f"The model `{name}` does not exist. Valid aliases: {aliases}."
            raise Problem(404, message, "NotFoundError", "model")


ENGINE = web.AppKey("engine", Engine)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts open requests, holds them while asleep, and words errors as vLLM does."""
    engine = request.app[ENGINE]
    engine.open_requests += 1
    engine.quiet.clear()
    try:
        if request.path.startswith("/v1/") and request.method == "POST":
            engine.disturbed += not engine.awake.is_set()
            await engine.awake.wait()
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        return web.json_response({"detail": error.reason}, status=error.status)
    finally:
        engine.open_requests -= 1
        if not engine.open_requests:
            engine.quiet.set()


async def chat(request: web.Request) -> web.StreamResponse:
    """POST /v1/chat/completions."""
    engine = request.app[ENGINE]
    body = await _body(request)
    engine.check_name(body.get("model"))
    heard = _look_at(list(_parts(body)), engine.options.images)
    text = f"language English<asr_text>{engine.reply}" if heard else engine.reply
    words = engine.words(text, body)
    name = engine.options.names[0]
    if body.get("stream"):
        return await _stream(request, _chat_chunks(engine, words, name))
    message = {"role": "assistant", "content": "".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if "".join(words) == text else "length"}
    return web.json_response({
        "id": "chatcmpl-standin", "object": "chat.completion", "created": int(time.time()), "model": name,
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": len(words), "total_tokens": 1 + len(words)},
    })  # fmt: skip


async def _chat_chunks(engine: Engine, words: list[str], name: str) -> AsyncIterator[dict[str, Any]]:
    head = {"id": "chatcmpl-standin", "object": "chat.completion.chunk", "created": int(time.time()), "model": name}

    def chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    for left, word in zip(range(len(words) - 1, -1, -1), words, strict=True):
        if not left:
            await engine.held()
        if engine.leaving.is_set():
            yield chunk({"content": ""}, "abort")
            return
        await asyncio.sleep(TOKEN_SECONDS)
        yield chunk({"content": word})
    yield chunk({"content": ""}, "length" if words and words[0] == " loop000" else "stop")


async def transcribe(request: web.Request) -> web.StreamResponse:
    """POST /v1/audio/transcriptions and /v1/audio/translations."""
    engine = request.app[ENGINE]
    form = await request.post()
    engine.check_name(form.get("model"))
    sound = form.get("file")
    if not isinstance(sound, web.FileField) or not sound.file.read(4).startswith(SOUNDS):
        raise Problem(400, "Invalid or corrupted audio data.", "BadRequestError")
    if form.get("stream") == "true":
        return await _stream(request, _transcript_chunks(engine, str(form["model"])))
    return web.json_response({"text": engine.reply, "usage": {"type": "duration", "seconds": 1}})


async def _transcript_chunks(engine: Engine, name: str) -> AsyncIterator[dict[str, Any]]:
    ends: dict[str, Any] = {"delta": {"content": ""}, "finish_reason": "stop", "stop_reason": None}
    choices: list[dict[str, Any]] = [{"delta": {"content": word}} for word in engine.words(engine.reply, {})]
    for choice in [*choices, ends]:
        if choice is choices[-1]:
            await engine.held()
        await asyncio.sleep(TOKEN_SECONDS)
        yield {"id": "transcribe-standin", "object": "transcription.chunk", "model": name, "choices": [choice]}


class Session:
    """One WebSocket of ``/v1/realtime``: sound as PCM of 16 bits and 16 kHz comes in, text goes out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._socket = web.WebSocketResponse(max_msg_size=16 << 20)
        self._sound: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._named = False
        self._transcribing: asyncio.Task[None] | None = None

    async def run(self, request: web.Request) -> web.WebSocketResponse:
        """Until the client leaves, sends something that is no text, or SIGTERM comes."""
        await self._socket.prepare(request)
        await self._send(type="session.created", id="sess-standin", created=int(time.time()))
        leaving = asyncio.ensure_future(self._leave())
        async for message in self._socket:
            if message.type is not web.WSMsgType.TEXT:
                break
            try:
                await self._take(json.loads(message.data))
            except ValueError:
                await self._error("Invalid JSON", "invalid_json")
        for task in (leaving, self._transcribing):
            if task is not None:
                task.cancel()
        return self._socket

    async def _leave(self) -> None:
        await self._engine.leaving.wait()
        await self._socket.close(code=1012)

    async def _send(self, **event: object) -> None:
        await self._socket.send_json(event)

    async def _error(self, message: str, code: str) -> None:
        await self._send(type="error", error=message, code=code)

    async def _take(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "session.update" if event.get("model") is None:
                await self._error("Missing required field: model", "invalid_event")
            case "session.update" if event["model"] not in self._engine.options.names:
                await self._error(f"The model `{event['model']}` does not exist.", "model_not_found")
            case "session.update":
                self._named = True
            case "input_audio_buffer.append":
                self._sound.put_nowait(base64.b64decode(event["audio"]))
            case "input_audio_buffer.commit" if not self._named:
                message = "Model not validated. Make sure to validate the model by sending a session.update event."
                await self._error(message, "model_not_validated")
            case "input_audio_buffer.commit" if event.get("final"):
                self._sound.put_nowait(None)
            case "input_audio_buffer.commit":
                self._transcribing = asyncio.ensure_future(self._transcribe())
            case kind:
                await self._error(f"Unknown event type: {kind}", "unknown_event")

    async def _transcribe(self) -> None:
        """The sentence for each five seconds, and for what is left at the end."""
        waiting, text = 0, ""
        while (sound := await self._sound.get()) is not None:
            waiting += len(sound)
            while waiting >= SEGMENT:
                waiting -= SEGMENT
                text += await self._say()
        if waiting:
            text += await self._say()
        usage = {"prompt_tokens": 1, "total_tokens": 2, "completion_tokens": 1}
        await self._send(type="transcription.done", text=text, usage=usage)

    async def _say(self) -> str:
        words = ["language", " English", "<asr_text>", *self._engine.words(self._engine.reply, {}), ""]
        for word in words:
            await asyncio.sleep(TOKEN_SECONDS)
            await self._send(type="transcription.delta", delta=word)
        return "".join(words)


async def realtime(request: web.Request) -> web.StreamResponse:
    """GET /v1/realtime."""
    engine = request.app[ENGINE]
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPNotFound
    return await Session(engine).run(request) if engine.options.realtime else web.Response(status=403)


async def _stream(request: web.Request, chunks: AsyncIterator[dict[str, Any]]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    async for chunk in chunks:
        if request.app[ENGINE].leaving.is_set() and not ABORTS_ON_TERM:
            await asyncio.Event().wait()  # until the client closes, which cancels this
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def _body(request: web.Request) -> dict[str, Any]:
    request.app[ENGINE].last_body = await request.read()
    try:
        body = await request.json()
    except ValueError as error:
        raise Problem(400, f"1 validation error: JSON decode error: {error}", "Bad Request", "body") from error
    if not isinstance(body, dict):
        raise Problem(400, "1 validation error: Input should be a valid dictionary", "Bad Request", "body")
    return body


def _parts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body.get("messages", ()):
        if isinstance(message.get("content"), list):
            yield from message["content"]


def _look_at(parts: list[dict[str, Any]], most_images: int | None) -> bool:
    """Decodes pictures and sounds; tells whether there was a sound."""
    images = sum(part.get("type") == "image_url" for part in parts)
    if most_images is not None and images > most_images:
        message = f"At most {most_images} image(s) may be provided in one prompt. (parameter=image)"
        raise Problem(400, message, "BadRequestError", "image")
    for part in parts:
        match part.get("type"):
            case "image_url":
                _decode(part["image_url"]["url"], PICTURES)
            case "audio_url":
                _decode(part["audio_url"]["url"], SOUNDS)
            case "input_audio":
                _decode("data:;base64," + part["input_audio"]["data"], SOUNDS)
    return any(part.get("type") in {"audio_url", "input_audio"} for part in parts)


def _decode(url: str, starts: tuple[bytes, ...]) -> None:
    if not url.startswith("data:"):
        host = url.split("/")[2]
        raise Problem(500, f"Cannot connect to host {host} [Name or service not known]", "InternalServerError")
    try:
        data = base64.b64decode(url.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise Problem(400, f"Failed to decode: {error}", "BadRequestError") from error
    if not data.startswith(starts):
        raise Problem(400, "Failed to load the media", "BadRequestError")


async def speak(request: web.Request) -> web.Response:
    """POST /v1/audio/speech: as many samples of silence as there are characters."""
    body = await request.json()
    request.app[ENGINE].check_name(body.get("model"))
    if body.get("voice", "vivian").lower() not in SPEAKERS:
        raise Problem(400, f"Invalid speaker '{body['voice']}'. Supported: {', '.join(SPEAKERS)}", "BadRequestError")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(bytes(2 * len(body["input"])))
    return web.Response(body=sound.getvalue(), content_type="audio/wav")


async def voices(request: web.Request) -> web.Response:
    """GET /v1/audio/voices."""
    del request
    return web.json_response({"voices": SPEAKERS, "uploaded_voices": []})


async def models(request: web.Request) -> web.Response:
    """GET /v1/models."""
    options = request.app[ENGINE].options
    common = {"object": "model", "owned_by": "vllm", "root": str(options.model), "max_model_len": options.context}
    return web.json_response({"object": "list", "data": [{"id": name, **common} for name in options.names]})


async def health(request: web.Request) -> web.Response:
    """GET /health: 200 with nothing in it, asleep or not."""
    del request
    return web.Response()


async def started_with(request: web.Request) -> web.Response:
    """GET /standin/argv: what the real one does not tell."""
    del request
    return web.json_response({"argv": sys.argv, "env": dict(os.environ)})


async def was_sent(request: web.Request) -> web.Response:
    """GET /standin/body: what came, byte by byte."""
    return web.Response(body=request.app[ENGINE].last_body)


async def sleep(request: web.Request) -> web.Response:
    """POST /sleep?level=1."""
    if "sleep" in REFUSES:
        return web.json_response({"error": "cannot sleep"}, status=500)
    engine, keeps = request.app[ENGINE], request.query.get("level", "1") == "1"

    async def work() -> None:
        async with engine.core:
            engine.awake.clear()
            await engine.held()
            engine.asleep, engine.loaded = TAGS, engine.loaded and keeps

    await asyncio.shield(work())
    return web.Response()


async def wake_up(request: web.Request) -> web.Response:
    """POST /wake_up, of all or of some (?tags=weights)."""
    if "wake" in REFUSES:
        return web.json_response({"error": "cannot wake"}, status=500)
    engine, tags = request.app[ENGINE], frozenset(request.query.getall("tags", list(TAGS)))

    async def work() -> None:
        async with engine.core:
            await engine.held()
            engine.asleep -= tags
            if not engine.asleep:
                engine.awake.set()

    await asyncio.shield(work())
    return web.Response()


async def collective_rpc(request: web.Request) -> web.Response:
    """POST /collective_rpc."""
    engine = request.app[ENGINE]
    if (await request.json())["method"] == "reload_weights" and "weights" not in engine.asleep:
        engine.loaded = True
    return web.json_response({"results": [None]})


async def slept(request: web.Request) -> web.Response:
    """GET /standin/slept."""
    engine = request.app[ENGINE]
    told = {"disturbed": engine.disturbed, "at_work": engine.core.locked(), "asked": engine.asked}
    return web.json_response(told)


async def is_sleeping(request: web.Request) -> web.Response:
    """GET /is_sleeping."""
    request.app[ENGINE].asked += 1
    async with request.app[ENGINE].core:
        return web.json_response({"is_sleeping": not request.app[ENGINE].awake.is_set()})


def application(engine: Engine) -> web.Application:
    """The server's routes; those that put it to sleep only in developer mode."""
    app = web.Application(middlewares=[answer], client_max_size=1 << 30)
    app[ENGINE] = engine
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/audio/transcriptions", transcribe)
    app.router.add_post("/v1/audio/translations", transcribe)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/v1/realtime", realtime)
    app.router.add_get("/health", health)
    app.router.add_get("/standin/argv", started_with)
    app.router.add_get("/standin/body", was_sent)
    app.router.add_get("/standin/slept", slept)
    if engine.options.omni:
        app.router.add_post("/v1/audio/speech", speak)
        app.router.add_get("/v1/audio/voices", voices)
    if DEVELOPER:
        app.router.add_post("/collective_rpc", collective_rpc)
        app.router.add_post("/sleep", sleep)
        app.router.add_post("/wake_up", wake_up)
        app.router.add_get("/is_sleeping", is_sleeping)
    return app


async def serve(options: Options, listener: socket.socket, core: int) -> int:
    """Serves until SIGTERM, or until the engine's process is gone; returns the exit status."""
    engine = Engine(options, (options.model / "reply.txt").read_text().strip())
    engine.awake.set()
    engine.quiet.set()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, engine.leaving.set)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(engine.leaving.wait(), LOAD_SECONDS)
        return 0
    await engine.held()
    if engine.leaving.is_set():
        return 0
    runner = web.AppRunner(application(engine), handler_cancellation=True)
    await runner.setup()
    assert runner.server is not None
    server = await loop.create_unix_server(runner.server, sock=listener, cleanup_socket=False)
    print(f"Starting vLLM server on unix:{options.uds}", file=sys.stderr, flush=True)
    dead = asyncio.Event()
    loop.add_reader(core, dead.set)
    await asyncio.wait({asyncio.ensure_future(dead.wait()), asyncio.ensure_future(engine.leaving.wait())},
                       return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    if dead.is_set():
        print("EngineCore encountered an issue. See stack trace above.", file=sys.stderr, flush=True)
        return 1
    server.close()
    await engine.quiet.wait()
    return 0


def start_core() -> int:
    """Starts the engine's process, which ends with this one; returns what becomes readable when it is gone."""
    ours, its = socket.socketpair()
    if os.fork():
        its.close()
        return ours.detach()
    ours.close()
    Path("/proc/self/comm").write_text("VLLM::EngineCor")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    its.recv(1)
    os._exit(0)


def main() -> None:
    """The command line: ``vllm serve DIR --uds PATH …`` and ``vllm --version``."""
    if sys.argv[1:] == ["--version"]:
        print("0.32.0+standin")
        return
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model", type=Path)
    parser.add_argument("--uds", required=True)
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--max-model-len", type=int, default=4096)
    parser.add_argument("--limit-mm-per-prompt", type=json.loads, default={})
    parser.add_argument("--hf-overrides", type=json.loads, default={})
    parser.add_argument("--omni", action="store_true")
    given, _ = parser.parse_known_args()
    names = tuple(given.served_model_name or [str(given.model)])
    images = given.limit_mm_per_prompt.get("image")
    realtime_too = given.hf_overrides.get("architectures") == ["Qwen3ASRRealtimeGeneration"]
    options = Options(given.model, given.uds, names, given.max_model_len, images, realtime_too, given.omni)
    if not (options.model / "reply.txt").is_file():
        sys.exit(f"ValueError: {options.model} has no reply.txt: no model to load")
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("vllm.entrypoints.cli.main")
    print("takes its GPU", file=sys.stderr, flush=True)
    core = start_core()  # before the socket is there, which would stay open in it
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(options.uds)
    os._exit(asyncio.run(serve(options, listener, core)))


if __name__ == "__main__":
    main()
