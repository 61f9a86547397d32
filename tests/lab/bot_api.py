"""Stands in for Telegram's Bot API servers (core.telegram.org/bots/api), which no test can have: on loopback, strict.

It refuses what the documented servers refuse: unknown tokens and methods, bad HTML, unknown parse modes, empty and
over-long texts, changes that change nothing, files above 20 MB, and too many messages a second (in bursts of five at
most; groups 20 a minute). Beyond that it refuses arguments that a method does not have, which the servers ignore.

    with BotApi().serving() as telegram:           # in a thread; telegram.url is for the bot's configuration
        telegram.chats.text(42, "Hello!")
        telegram.chats.answered(42, "Hello")
"""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.lab.bot_chats import BOT, PATIENCE, Chats, Said, changed_text
from tests.lab.bot_html import BadHtml, parse

TOKEN = "7000:AAAAbbbbCCCCddddEEEEffffGGGGhhhhIII"  # noqa: S105 - nobody's
MOST_FILE = 20 << 20
_MESSAGE = {"chat_id", "message_thread_id", "reply_parameters", "reply_markup"}
_TEXT = {"text", "parse_mode", "link_preview_options"}
_ARGUMENTS = {
    "getme": set[str](),
    "getupdates": {"offset", "timeout", "allowed_updates", "limit"},
    "setwebhook": {"url", "secret_token", "allowed_updates"},
    "deletewebhook": set(),
    "getwebhookinfo": set(),
    "setmycommands": {"commands"},
    "sendmessage": _MESSAGE | _TEXT,
    "editmessagetext": {"chat_id", "message_id", "reply_markup"} | _TEXT,
    "sendmessagedraft": {"chat_id", "message_thread_id", "draft_id", "text", "parse_mode"},
    "senddocument": _MESSAGE | {"document", "caption", "parse_mode"},
    "sendvoice": _MESSAGE | {"voice", "duration", "caption", "parse_mode"},
    "sendchataction": {"chat_id", "message_thread_id", "action"},
    "answercallbackquery": {"callback_query_id", "text"},
    "getfile": {"file_id"},
}
_OBJECTS = {"allowed_updates", "commands", "link_preview_options", "reply_markup", "reply_parameters"}
_HARMLESS = {"Not Found", "Bad Request: message is not modified", "migrate_to_chat_id"}
"""What is no mistake of the bot's: a description, or what an answer says beside it."""

type Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - as the servers call it: `ok: false`
    """An answer that is an error."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.parameters = parameters
        self.harmless = bool(_HARMLESS & {description, *parameters})


class Rate:
    """So many at once, and so many a second on average."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._speed = burst, per_second
        self._level, self._at = burst, time.monotonic()

    def take(self) -> float:
        """Take one; seconds to be silent if it was one too many."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._speed)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / self._speed
        self._level -= 1
        return 0.0


@dataclass
class Gate:
    """Holds a method's call until it is opened, before it is carried out or after; lets so many pass first."""

    after: bool
    skip: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    passed: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        """Let the call go on; when this returns, it has been carried out."""
        self.opened.set()
        assert self.passed.wait(PATIENCE), "the call that was held is not carried out"


class BotApi:
    """The servers."""

    def __init__(self, *, drafts: bool = True) -> None:
        """Begin with no chats.

        Args:
            drafts: Whether they have sendMessageDraft, as since Bot API 9.3.
        """
        self.chats = Chats()
        self.calls: list[tuple[str, Json]] = []
        self.floods: list[tuple[str, float]] = []
        """Answers the next calls of a method with "Too Many Requests": its name in lower case, and seconds."""
        self.refused: list[str] = []
        """What was refused for being wrong, rather than too fast: a test that does not want any looks here."""
        self.exceeded = 0
        """How often somebody was too fast."""
        self.webhook: Json = {}
        self.webhook_refused = ""
        """Why setWebhook is refused; empty: it is not."""
        self.webhook_failed = ""
        """Why the servers did not get through to the webhook just now; empty: they did."""
        self.revoked = False
        """Whether the token does not hold any more."""
        self.gates: dict[str, Gate] = {}
        self.port = 0
        self._held: list[Gate] = []
        self._drafts = drafts
        self._rates: dict[int, Rate] = {}
        self._everywhere = Rate(30, 30)
        self._ended = False
        self._asking: asyncio.Task[Any] | None = None

    @property
    def url(self) -> str:
        """What the bot is configured with."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def serving(self, port: int = 0) -> Iterator[Self]:
        """Serve in a thread."""
        loop, started, self._ended = asyncio.new_event_loop(), threading.Event(), False

        async def serve() -> web.AppRunner:
            app = web.Application(client_max_size=60 << 20)
            app.router.add_route("*", "/bot{token}/{method}", self._called)
            app.router.add_get("/file/bot{token}/{path:.+}", self._file)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port or self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            started.set()
            return runner

        def work() -> None:
            runner = loop.run_until_complete(serve())
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
            loop.close()

        thread = threading.Thread(target=work, name="telegram", daemon=True)
        thread.start()
        assert started.wait(PATIENCE)
        try:
            yield self
        finally:
            self._ended = True
            for gate in self._held:  # those too that somebody who failed did not come to open
                gate.opened.set()
            loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE)

    def hold(self, method: str, *, after: bool = False, skip: int = 0) -> Gate:
        """Hold the next call of a method (or one later) until its gate is opened; "file" is the fetching of a file."""
        gate = self.gates[method.lower()] = Gate(after, skip)
        self._held.append(gate)
        return gate

    def _gate(self, method: str) -> Gate | None:
        gate = self.gates.get(method)
        if gate is not None and gate.skip:
            gate.skip -= 1
            return None
        return self.gates.pop(method, None)

    # ---- calls -------------------------------------------------------------------------------------------------------

    async def _called(self, request: web.Request) -> web.Response:
        method = request.match_info["method"].lower()
        try:
            result = await self._result(method, request)
        except Refusal as refusal:
            return self._refuse(method, refusal)
        return web.json_response({"ok": True, "result": result})

    async def _result(self, method: str, request: web.Request) -> Any:  # noqa: ANN401
        if request.match_info["token"] != TOKEN or self.revoked:
            raise Refusal(401, "Unauthorized")
        if method not in _ARGUMENTS or (method == "sendmessagedraft" and not self._drafts):
            raise Refusal(404, "Not Found")
        arguments = await _arguments(request)
        self.calls.append((method, arguments))
        if unknown := arguments.keys() - _ARGUMENTS[method]:
            raise Refusal(400, f"Bad Request: {method} has no {sorted(unknown)}")
        if (moved := self.chats.moved.get(int(arguments.get("chat_id", 0)))) is not None:
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refusal(400, text, migrate_to_chat_id=moved)
        self._flood(method)
        handler, gate = getattr(self, f"_{method}"), self._gate(method)
        if gate is None:
            return await handler(arguments)
        try:
            result = await handler(arguments) if gate.after else None
            gate.reached.set()
            await asyncio.to_thread(gate.opened.wait)
            return result if gate.after else await handler(arguments)
        finally:
            gate.passed.set()

    def _refuse(self, method: str, refusal: Refusal) -> web.Response:
        if refusal.code == 429:
            self.exceeded += 1
        elif refusal.code not in {401, 409} and method in _ARGUMENTS and not refusal.harmless:
            self.refused.append(f"{method}: {refusal}")
        body: Json = {"ok": False, "error_code": refusal.code, "description": str(refusal)}
        if refusal.parameters:
            body["parameters"] = refusal.parameters
        return web.json_response(body, status=refusal.code)

    def _flood(self, method: str) -> None:
        for index, (name, seconds) in enumerate(self.floods):
            if name == method:
                del self.floods[index]
                raise Refusal(429, f"Too Many Requests: retry after {seconds:g}", retry_after=max(1, round(seconds)))

    def _paced(self, chat: int) -> None:
        """Too many messages: sent and changed ones count alike."""
        rate = self._rates.setdefault(chat, Rate(5, 1) if chat > 0 else Rate(20, 20 / 60))
        pause = rate.take() or self._everywhere.take()
        if pause:
            raise Refusal(429, "Too Many Requests", retry_after=int(pause) + 1)

    # ---- methods -----------------------------------------------------------------------------------------------------

    async def _getme(self, _: Json) -> Json:
        return {**BOT, "can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}

    async def _getupdates(self, arguments: Json) -> list[Json]:
        if self.webhook:
            raise Refusal(409, "Conflict: can't use getUpdates method while webhook is active")
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()  # the servers end the earlier one
        self._asking = asyncio.current_task()
        end, chats = time.monotonic() + int(arguments.get("timeout", 0)), self.chats
        with chats.changed:
            chats.updates = [one for one in chats.updates if one["update_id"] >= int(arguments.get("offset", 0))]
            chats.changed.notify_all()
        while not chats.updates and time.monotonic() < end and not self._ended:  # noqa: ASYNC110 - they come from another thread
            await asyncio.sleep(0.02)
        allowed = set(arguments["allowed_updates"])
        with chats.changed:
            return [one for one in chats.updates if allowed & one.keys()][:100]

    async def _setwebhook(self, arguments: Json) -> bool:
        if not arguments["url"].startswith("https://") or not re.fullmatch(r"[\w-]{1,256}", arguments["secret_token"]):
            raise Refusal(400, "Bad Request: bad webhook")
        if self.webhook_refused:
            raise Refusal(400, f"Bad Request: bad webhook: {self.webhook_refused}")
        self.webhook = arguments
        return True

    async def _getwebhookinfo(self, _: Json) -> Json:
        failed = {"last_error_date": int(time.time()) + 1, "last_error_message": self.webhook_failed}
        url = self.webhook.get("url", "")
        about = {"url": url, "has_custom_certificate": False, "pending_update_count": len(self.chats.updates)}
        return about | (failed if self.webhook_failed else {})

    async def _deletewebhook(self, _: Json) -> bool:
        self.webhook = {}
        return True

    async def _setmycommands(self, arguments: Json) -> bool:
        for command in arguments["commands"]:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", command["command"]) or not 1 <= len(command["description"]) <= 256:
                raise Refusal(400, "Bad Request: BOT_COMMAND_INVALID")
        return True

    async def _sendmessage(self, arguments: Json) -> Json:
        chat = self._chat(arguments)
        text, entities = _parsed(arguments)
        self._paced(chat)
        return _told(self.chats.put(_said(self.chats.number(), arguments, text=text, entities=entities)))

    async def _editmessagetext(self, arguments: Json) -> Json:
        chat = self._chat(arguments)
        said = self.chats.said.get(int(arguments["message_id"]))
        if said is None or said.chat != chat:
            raise Refusal(400, "Bad Request: message to edit not found")
        text, entities = _parsed(arguments)
        self._paced(chat)
        changed = changed_text(said, text, entities, _buttons(arguments))
        if (changed.text, changed.entities, changed.buttons) == (said.text, said.entities, said.buttons):
            raise Refusal(400, "Bad Request: message is not modified")
        return _told(self.chats.put(changed))

    async def _sendmessagedraft(self, arguments: Json) -> bool:
        chat = self._chat(arguments)
        if chat < 0 or not int(arguments["draft_id"]):
            raise Refusal(400, "Bad Request: drafts are for private chats, and have a number")
        text, _ = _parsed(arguments)
        self._paced(chat)  # their limit is not documented: no faster than messages
        with self.chats.changed:
            self.chats.drafts.append((chat, text))
            self.chats.changed.notify_all()
        return True

    async def _senddocument(self, arguments: Json) -> Json:
        chat, (name, data) = self._chat(arguments), arguments["document"]
        if not data:
            raise Refusal(400, "Bad Request: file must be non-empty")
        self._paced(chat)
        return _told(self.chats.put(_said(self.chats.number(), arguments, kind="document", data=data, name=name)))

    async def _sendvoice(self, arguments: Json) -> Json:
        chat, (_, data) = self._chat(arguments), arguments["voice"]
        if not data.startswith(b"OggS"):
            raise Refusal(400, "Bad Request: a voice message is OGG/Opus")
        self._paced(chat)
        return _told(self.chats.put(_said(self.chats.number(), arguments, kind="voice", data=data)))

    async def _sendchataction(self, arguments: Json) -> bool:
        chat = self._chat(arguments)
        if arguments["action"] not in {"typing", "record_voice", "upload_voice", "upload_document"}:
            raise Refusal(400, "Bad Request: wrong parameter action in request")
        self.chats.actions.append((chat, arguments["action"]))
        return True

    async def _answercallbackquery(self, arguments: Json) -> bool:
        if len(arguments.get("text", "")) > 200:
            raise Refusal(400, "Bad Request: MESSAGE_TOO_LONG")
        with self.chats.changed:
            self.chats.presses[arguments["callback_query_id"]] = arguments.get("text", "")
            self.chats.changed.notify_all()
        return True

    async def _getfile(self, arguments: Json) -> Json:
        file = arguments["file_id"]
        if file not in self.chats.files:
            raise Refusal(400, "Bad Request: invalid file_id")
        if self.chats.sizes[file] > MOST_FILE:
            raise Refusal(400, "Bad Request: file is too big")
        size = self.chats.sizes[file]
        return {"file_id": file, "file_unique_id": f"u{file}", "file_size": size, "file_path": f"files/{file}"}

    async def _file(self, request: web.Request) -> web.Response:
        data = self.chats.files.get(request.match_info["path"].removeprefix("files/"))
        if gate := self._gate("file"):
            gate.reached.set()
            await asyncio.to_thread(gate.opened.wait)
            gate.passed.set()
        if request.match_info["token"] != TOKEN or data is None:
            raise web.HTTPNotFound
        return web.Response(body=data)

    def _chat(self, arguments: Json) -> int:
        chat = int(arguments["chat_id"])
        if chat in self.chats.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        return chat


async def _arguments(request: web.Request) -> Json:
    """A form, with files where it has several parts; objects in it are JSON ("Making requests")."""
    found: Json = {}
    for key, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            found[key] = (value.filename, value.file.read())
        else:
            found[key] = json.loads(value) if key in _OBJECTS else value
    return found


def _parsed(arguments: Json) -> tuple[str, tuple[tuple[str, str], ...]]:
    text, mode = str(arguments.get("text", "")), arguments.get("parse_mode")
    entities: tuple[tuple[str, str], ...] = ()
    if mode not in {None, "HTML"}:
        raise Refusal(400, f"Bad Request: unsupported parse_mode {mode!r}")
    if mode == "HTML":
        try:
            parsed = parse(text)
        except BadHtml as bad:
            raise Refusal(400, f"Bad Request: {bad}") from bad
        text, entities = parsed.text, parsed.entities
    if not text.strip():
        raise Refusal(400, "Bad Request: message text is empty")
    if len(text.encode("utf-16-le")) // 2 > 4096:
        raise Refusal(400, "Bad Request: message is too long")
    return text, entities


def _said(number: int, arguments: Json, **more: Any) -> Said:  # noqa: ANN401
    reply_to = arguments.get("reply_parameters", {}).get("message_id", 0)
    topic = int(arguments.get("message_thread_id", 0))
    return Said(number, int(arguments["chat_id"]), topic, reply_to=reply_to, buttons=_buttons(arguments), **more)


def _buttons(arguments: Json) -> tuple[tuple[str, str], ...]:
    rows = arguments.get("reply_markup", {}).get("inline_keyboard", [])
    buttons = tuple((button["text"], button["callback_data"]) for row in rows for button in row)
    if any(not 1 <= len(data.encode()) <= 64 for _, data in buttons):
        raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
    if len(buttons) > 100:
        raise Refusal(400, "Bad Request: REPLY_MARKUP_TOO_LONG")
    return buttons


def _told(said: Said) -> Json:
    chat = {"id": said.chat, "type": "private" if said.chat > 0 else "supergroup"}
    return {"message_id": said.number, "date": int(time.time()), "chat": chat, "from": BOT, "text": said.text}
