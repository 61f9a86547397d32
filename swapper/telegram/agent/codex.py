"""OpenAI's Codex command-line client as the agent: it works on files and runs commands in the chat's own directory.

Each answer is a process of its own in a unit of its own (`codex_unit.py`), with a thread that is not kept: the
conversation is the bot's, and is put in. The router is its model provider by `/v1/responses`; recordings, and pictures
that the model does not see, become text first, as with our own agent; the media tools are there by `/mcp`. Files that
come with the question are put into the chat's directory. Its sandbox is on: what it asks to do outside is asked in the
chat (`base.Ask`), and refused where nobody says yes.
"""

import asyncio
import base64
import contextlib
import json
import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import swapper
from swapper.client import Model
from swapper.telegram.agent.aloud import aloud
from swapper.telegram.agent.base import Ask, Event, Failed, Finished, Medium, Request, Text, Thinking, Turn
from swapper.telegram.agent.board import Board
from swapper.telegram.agent.choose import find, sees
from swapper.telegram.agent.codex_server import SOCKET, AppServer, CodexError, Message, NoCodexError, app_server
from swapper.telegram.agent.codex_unit import INSTALL, Order
from swapper.telegram.agent.failures import is_full
from swapper.telegram.agent.limits import Limits, context_share
from swapper.telegram.agent.marks import RULE
from swapper.telegram.agent.senses import Senses
from swapper.telegram.agent.shelf import Shelf, plain
from swapper.telegram.agent.telling import GaveUpError, Tell, events_of, no_answer
from swapper.telegram.agent.tools.base import Bench

ALLOW, REFUSE = "Allow", "Refuse"
_LOG = logging.getLogger(__name__)
_MISSING = Failed("codex_missing", "The Codex client is not installed on this server.",
                  f"Whoever runs this bot can install it: {INSTALL}")  # fmt: skip
_APPROVALS = ("item/commandExecution/requestApproval", "item/fileChange/requestApproval")


@dataclass(frozen=True, slots=True)
class Codex:
    """How Codex is asked.

    Attributes:
        key: The router's API key; empty for none.
        approval: When it asks: `on-request`, or `untrusted` for nearly every command.
        socket: Where it is had.
    """

    key: str = ""
    approval: str = "on-request"
    socket: Path = SOCKET


class CodexAgent:
    """Answers by Codex."""

    def __init__(self, bench: Bench, codex: Codex, limits: Limits | None = None) -> None:
        """Know how it is asked.

        Args:
            bench: Hears, sees and speaks.
            codex: How it is asked.
            limits: Of one answer; of its steps and tokens Codex takes care itself.
        """
        self._bench = bench
        self._codex = codex
        self._limits = limits or Limits()

    async def answer(self, request: Request) -> AsyncGenerator[Event]:
        """The answer's events, as `agent.base` says."""

        async def work(tell: Tell) -> Finished:
            return await self._work(request, tell)

        async with contextlib.aclosing(events_of(work, request.model, self._limits.seconds)) as events:
            async for event in events:
                yield event

    async def _work(self, request: Request, tell: Tell) -> Finished:
        models = await self._bench.router.models()
        model = find(models, request.model)
        board, shelf = Board(tell), Shelf(request.turns)
        context = None if model is None else model.context
        room = context_share(self._limits, context)
        noted = await Senses(self._bench, shelf, request.turns, board).texts(sees=sees(model), room=room)
        order = Order(request.place, self._codex.key, context or 0)
        turn = _Turn(tell, board)
        try:
            async with app_server(self._codex.socket, order) as server:
                await self._start(server, request)
                await _ask(server, request, noted, model)
                await turn.follow(server)
        except NoCodexError as error:
            raise GaveUpError(_MISSING) from error
        except CodexError as error:
            _LOG.error("Codex: %s", error)
            raise GaveUpError(_failed(str(error), request.model)) from error
        if not turn.said:
            raise no_answer(request.model)
        if request.speak:
            await aloud(self._bench, models, "".join(turn.said), board, tell)
        return Finished(tuple(noted))

    async def _start(self, server: AppServer, request: Request) -> None:
        """Begin a thread with what has been said before."""
        client = {"name": "swapper-telegram", "title": "Swapper", "version": swapper.__version__}
        await server.request("initialize", {"clientInfo": client})
        await server.notify("initialized")
        rules = "\n\n".join(filter(None, [request.system, RULE]))
        started = await server.request("thread/start", {
            "model": request.model, "modelProvider": "swapper", "cwd": server.folder, "ephemeral": True,
            "approvalPolicy": self._codex.approval, "developerInstructions": rules,
        })  # fmt: skip
        server.thread = str(started["thread"]["id"])
        earlier = [_item(turn) for turn in request.turns[:-1] if turn.text.strip()]
        if earlier:
            await server.request("thread/inject_items", {"threadId": server.thread, "items": earlier})


def _failed(why: str, model: str) -> Failed:
    if is_full(why):
        return Failed("codex_context", f"Codex says more at once than {model} takes.", "Choose another with /model.")
    return Failed("codex_failed", "Codex could not answer that.", "Try /retry, or choose another with /model.")


async def _ask(server: AppServer, request: Request, noted: Sequence[Turn], model: Model | None) -> None:
    """Begin a turn with the question."""
    last = request.turns[-1]
    put = [await _put(server, medium) for medium in last.media if medium.kind != "audio"]
    files = [f"What was sent along is in the working directory: {', '.join(put)}"] if put else []
    text = "\n\n".join(filter(None, [last.text, *(turn.text for turn in noted), *files]))
    asked: list[dict[str, object]] = [{"type": "text", "text": text or "…"}]
    if sees(model):
        pictures = [medium for medium in last.media if medium.kind == "image"]
        asked += [{"type": "image", "url": await asyncio.to_thread(_inline, medium)} for medium in pictures]
    await server.request("turn/start", {"threadId": server.thread, "input": asked})


async def _put(server: AppServer, medium: Medium) -> str:
    """Put a file into the chat's directory; its name there."""
    name = plain(medium.name).replace("/", " ").lstrip(". ") or medium.kind
    data = await asyncio.to_thread(_base64, medium)
    await server.request("fs/writeFile", {"path": f"{server.folder}/{name}", "dataBase64": data})
    return name


def _base64(medium: Medium) -> str:
    return base64.b64encode(medium.path.read_bytes()).decode()


def _inline(medium: Medium) -> str:
    return f"data:{medium.mime};base64,{_base64(medium)}"


@dataclass(slots=True)
class _Turn:
    """Follows a turn to its end.

    Attributes:
        tell: Takes events.
        board: Where it is said what is done.
        said: The answer so far.
    """

    tell: Tell
    board: Board
    said: list[str] = field(default_factory=list)
    _item: str = ""
    _streamed: set[str] = field(default_factory=set)
    _changes: dict[str, str] = field(default_factory=dict)

    async def follow(self, server: AppServer) -> None:
        """Tell what Codex says and does, and ask what it asks.

        Raises:
            CodexError: It fails.
        """
        asking: set[asyncio.Task[None]] = set()
        try:
            while (message := await server.messages.get()) is not None:
                if message.id is not None:
                    asking.add(asyncio.create_task(self._answer(server, message), name=message.method))
                elif message.method == "turn/completed":
                    _check(message.params["turn"])
                    return
                else:
                    self._take(message.method, message.params)
            raise CodexError("it ended in the middle")
        finally:
            # Nobody waits for what is still being asked.
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    def _take(self, method: str, params: Mapping[str, Any]) -> None:
        match method:
            case "item/agentMessage/delta":
                self._streamed.add(params["itemId"])
                self._say(params["itemId"], params["delta"])
            case "item/reasoning/textDelta" | "item/reasoning/summaryTextDelta":
                self.tell(Thinking(params["delta"]))
            case "item/started":
                self._begun(params["item"])
            case "item/completed":
                item = params["item"]
                self.board.wipe(item.get("id"))
                if item.get("type") == "agentMessage" and item["id"] not in self._streamed:
                    self._say(item["id"], item.get("text") or "")
            case "error":
                _LOG.warning("Codex: %s", params.get("error"))
            case _:
                pass

    def _say(self, item: str, text: str) -> None:
        if text:
            apart = "\n\n" if self.said and item != self._item else ""
            self._item = item
            self.said.append(apart + text)
            self.tell(Text(apart + text))

    def _begun(self, item: Mapping[str, Any]) -> None:
        say = self.board.line(item.get("id"))
        match item.get("type"):
            case "commandExecution":
                say(f"running {item.get('command', '')}"[:200])
            case "fileChange":
                paths = [str(change.get("path", "")) for change in item.get("changes") or ()]
                self._changes[item["id"]] = "\n".join(paths)
                say(f"changing {', '.join(Path(path).name for path in paths)}"[:200])
            case "mcpToolCall":
                say(f"using {item.get('tool', 'a tool')}"[:200])

    async def _answer(self, server: AppServer, message: Message) -> None:
        """Answer what Codex asks; what is no question for a person is declined."""
        method, params = message.method, message.params
        if method in _APPROVALS:
            decision = "accept" if await self._allowed(self._question(method, params)) else "decline"
            await server.reply(message, {"decision": decision})
        elif method == "mcpServer/elicitation/request":
            meta = params.get("_meta") or {}
            tool = meta.get("codex_approval_kind") == "mcp_tool_call"
            action = "accept" if tool and await self._allowed(_tool(params, meta)) else "decline"
            await server.reply(message, {"action": action, **({"content": {}} if action == "accept" else {})})
        elif method == "item/permissions/requestApproval":
            await server.reply(message, {"permissions": {}})
        else:
            await server.reply(message, None)

    async def _allowed(self, asked: str) -> bool:
        reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.tell(Ask(asked, (ALLOW, REFUSE), reply))
        return await reply == ALLOW

    def _question(self, method: str, params: Mapping[str, Any]) -> str:
        why = str(params.get("reason") or "")
        if method == _APPROVALS[0]:
            return question("Codex wants to run", str(params.get("command") or ""), why)
        return question("Codex wants to change", self._changes.get(params["itemId"], "files"), why)


def _tool(params: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    shown = json.dumps(meta.get("tool_params") or {}, ensure_ascii=False, indent=1)
    return question(f"Codex wants to use {meta.get('tool_name') or 'a tool'} of {params.get('serverName')}", shown, "")


def question(what: str, shown: str, why: str) -> str:
    """What a person has to decide, as Markdown: all of it, and as it is. What is too long for that is not asked."""
    text = visible(shown)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    reason = f"\n\n{visible(why)[:500]}" if why else ""
    return f"{what}:\n\n{fence}\n{text}\n{fence}{reason}"


def visible(text: str) -> str:
    """A text in which nothing is hidden: no control characters, none that turn it around."""
    return "".join(one if one.isprintable() or one == "\n" else f"\\u{ord(one):04x}" for one in text)


def _check(turn: Mapping[str, Any]) -> None:
    if turn.get("status") != "completed":
        raise CodexError(f"its turn is {turn.get('status')}: {(turn.get('error') or {}).get('message')}")


def _item(turn: Turn) -> dict[str, object]:
    """A turn as an item of the Responses API."""
    kind = "output_text" if turn.role == "assistant" else "input_text"
    return {"type": "message", "role": turn.role, "content": [{"type": kind, "text": turn.text}]}
