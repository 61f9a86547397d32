"""Codex's app server: JSON-RPC, a line for each message, with a process behind swapper-codex.socket (`codex_unit.py`).

Its messages leave `jsonrpc` out. (`codex app-server generate-json-schema` prints the protocol; openai/codex,
`codex-rs/app-server/README.md`.)
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swapper.telegram.agent.base import UnforgottenError
from swapper.telegram.agent.codex_unit import Order

LONGEST_LINE = 32 * 1024 * 1024
"""Bytes: a file's change is one message."""

SOCKET, STATE = Path("/run/swapper-codex.sock"), Path("/var/lib/swapper-codex")
"""Of the units; what is in the second is for them alone."""

STARTING = 30.0
"""Seconds until it is known whether there is a Codex; one that still works in the same chat is waited for."""

_LOG = logging.getLogger(__name__)


class CodexError(Exception):
    """The process ended, or refused something. The text says what."""


class NoCodexError(CodexError):
    """It is not installed."""


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
    """One that runs.

    Attributes:
        messages: What it says; None when it ends.
        thread: The id of the thread that was begun.
        folder: The chat's directory, as the process sees it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: str) -> None:
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.thread = ""
        self.folder = folder
        self._reader = reader
        self._writer = writer
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
        self._writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise CodexError("it ended") from error

    async def listen(self) -> None:
        """Read what it says, until it ends."""
        try:
            while line := await self._reader.readline():
                self._take(line)
        except (ConnectionError, ValueError) as error:  # a line that is too long
            _LOG.error("Codex cannot be understood any more: %s", error)
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
async def app_server(socket: Path, order: Order) -> AsyncIterator[AppServer]:
    """A process, for as long as that.

    Raises:
        CodexError: It does not start.
    """
    reader, writer = await _connect(socket)
    try:
        told = await _ordered(reader, writer, order)
        if "folder" not in told:
            raise NoCodexError("it is not installed")
        server = AppServer(reader, writer, str(told["folder"]))
        listening = asyncio.create_task(server.listen(), name="codex app-server")
        try:
            yield server
        finally:
            listening.cancel()
            await asyncio.wait({listening})
    finally:
        writer.close()  # by which the process ends, and systemd whatever else runs in its unit


@dataclass(frozen=True, slots=True)
class CodexPlaces:
    """The chats' directories: those of another user, so that it has to be asked.

    Attributes:
        socket: Where it is asked.
        state: Where they are; what is not there need not be deleted.
    """

    socket: Path = SOCKET
    state: Path = STATE

    async def forget(self, place: str) -> None:
        """Delete a chat's, as `agent.base` says."""
        if not self.state.exists():
            return
        try:
            reader, writer = await _connect(self.socket)
            try:
                await _ordered(reader, writer, Order(place, forget=True))
            finally:
                writer.close()
        except CodexError as error:
            raise UnforgottenError(str(error)) from error


async def _connect(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_unix_connection(socket, limit=LONGEST_LINE)
    except OSError as error:
        raise CodexError(f"{socket} does not answer: {error}") from error


async def _ordered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, order: Order) -> Mapping[str, Any]:
    """Send an order; what is said to it."""
    try:
        async with asyncio.timeout(STARTING):
            writer.write(order.line)
            line = await reader.readline()
    except TimeoutError as error:
        raise CodexError(f"nothing has been said for {STARTING:g} s") from error
    except OSError as error:
        raise CodexError(f"it ended: {error}") from error
    if not line:
        raise CodexError("it ended at once: journalctl -t swapper-codex says why")
    told: Mapping[str, Any] = json.loads(line)
    return told
