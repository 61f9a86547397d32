"""Codex's app server: a process, and JSON-RPC over its standard input and output, a line for each message.

Its messages leave `jsonrpc` out. (`codex app-server generate-json-schema` prints the protocol; openai/codex,
`codex-rs/app-server/README.md`.)
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_LINE = 32 * 1024 * 1024
"""Bytes: a file's change is one message."""

ENDING = 5.0
"""Seconds that the process has to end by itself."""

_LOG = logging.getLogger(__name__)


class CodexError(Exception):
    """The process ended, or refused something. The text says what."""


@dataclass(frozen=True, slots=True)
class Message:
    """What Codex says by itself.

    Attributes:
        method: What it is about.
        params: What it says.
        id: By which it wants an answer; None where it wants none.
    """

    method: str
    params: Mapping[str, Any]
    id: str | int | None = None


class AppServer:
    """A process that runs.

    Attributes:
        messages: What it says; None when it ends.
        thread: The id of the thread that was begun.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.thread = ""
        self._process = process
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}

    async def request(self, method: str, params: Mapping[str, object]) -> Mapping[str, Any]:
        """Ask for something; the result.

        Raises:
            CodexError: It is refused.
        """
        number = len(self._waiting)
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._send({"id": number, "method": method, "params": params})
        return await answer

    async def notify(self, method: str) -> None:
        """Say something."""
        await self._send({"method": method})

    async def reply(self, message: Message, result: Mapping[str, object] | None) -> None:
        """Answer what it asked; None: that is not known here."""
        refusal = {"error": {"code": -32601, "message": f"{message.method} is not known here"}}
        await self._send({"id": message.id, **({"result": result} if result is not None else refusal)})

    async def _send(self, message: Mapping[str, object]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        try:
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise CodexError("it ended") from error

    async def listen(self) -> None:
        """Read what it says, until it ends."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while line := await self._process.stdout.readline():
                self._take(line)
        finally:
            self.messages.put_nowait(None)
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(CodexError("it ended"))
                    answer.exception()  # so that nobody has to be there to hear of it

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            number, method = message.get("id"), message.get("method")
        except (ValueError, AttributeError):
            _LOG.warning("Codex says what is no message: %s", line[:200].decode(errors="replace"))
            return
        if method is not None:
            self.messages.put_nowait(Message(str(method), message.get("params") or {}, number))
            return
        answer = self._waiting.get(number)
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(CodexError(str((message["error"] or {}).get("message"))))
        else:
            answer.set_result(message.get("result") or {})


@contextlib.asynccontextmanager
async def app_server(
    program: str, settings: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> AsyncIterator[AppServer]:
    """A process, for as long as that.

    Args:
        program: Codex's client.
        settings: Lines of its configuration, as `-c` takes them.
        folder: Where it works.
        environment: All of it.

    Raises:
        OSError: It does not start.
    """
    options = [word for setting in settings for word in ("-c", setting)]
    process = await asyncio.create_subprocess_exec(
        program, "app-server", *options, cwd=folder, env=environment, limit=LONGEST_LINE,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    server = AppServer(process)
    listening = asyncio.create_task(server.listen(), name="codex app-server")
    try:
        yield server
    finally:
        await _end(process)
        listening.cancel()
        await asyncio.wait({listening})


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it, by the end of its input at first."""
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.close()
    try:
        async with asyncio.timeout(ENDING):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
