"""Telegram's Bot API by way of python-telegram-bot; the only file that imports it.

Methods are called by the names and with the arguments of Telegram's own manual (core.telegram.org/bots/api), through
`Bot.do_api_request`, so that what Telegram has and what one version of the library knows need not be the same. Method
names are case-insensitive ("Making requests"); they begin with a capital here, since the library warns of a name that
it has a method for.

What can become of a call is told by four exceptions, because of messages that must not be sent twice: `Refused`,
`Flooded` and `NotSent` are certain, `Unsure` is not.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from telegram import Bot, InputFile
from telegram.error import (
    BadRequest,
    ChatMigrated,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from swapper.telegram.incoming import ALLOWED_UPDATES, Me
from swapper.telegram.pacing import EVERYWHERE, RESERVE, Bucket, bucket
from swapper.telegram.places import Lane
from swapper.telegram.text import Piece

POLL = 50
"""Seconds that Telegram holds a question for updates open, if there are none."""

MOST_FILE = 20 << 20
"""Bytes of a file that a bot can fetch ("getFile")."""

MOST_DRAFTLESS = 1024
"""Chats of which it is remembered that they take no drafts."""

_UNSENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
"""httpx' exceptions before a request was written."""

_LOG = logging.getLogger(__name__)

type Button = tuple[str, str]
"""What stands on it, and what comes back when it is pressed."""


class ApiTrouble(Exception):  # noqa: N818 - the family; its members say what happened
    """A call that did not go well."""


class TokenRefused(ApiTrouble):
    """Telegram does not know the token."""


class Refused(ApiTrouble):
    """Telegram does not carry this out, however often it is asked.

    Attributes:
        gone: The chat is closed to the bot: it was blocked or removed.
    """

    def __init__(self, text: str, *, gone: bool = False) -> None:
        super().__init__(text)
        self.gone = gone


class Unknown(Refused):
    """This Bot API does not have such a method."""


class Flooded(ApiTrouble):
    """Too fast; nothing was done, and the chat's bucket is barred."""


class NotSent(ApiTrouble):
    """Telegram could not be reached; nothing was done."""


class Unsure(ApiTrouble):
    """Telegram was reached, and it is not known what it did."""


@dataclass(frozen=True, slots=True)
class WebhookInfo:
    """How Telegram fares with calling ("WebhookInfo" in the manual).

    Attributes:
        url: Whom it calls.
        failed: When it last did not get through, in seconds since 1970; 0: it always did.
        why: What was the matter then.
    """

    url: str
    failed: int
    why: str


class Moved(Protocol):
    """Knows of groups that Telegram gave another number."""

    def now(self, chat: int) -> int:
        """A chat's number of today."""

    def move(self, old: int, new: int) -> bool:
        """A chat has another number from now on."""


class Api:
    """The Bot API."""

    def __init__(self, token: str, base: str, moves: Moved) -> None:
        """Know whom to call.

        Args:
            token: Never appears in an exception of ours.
            base: Such as `https://api.telegram.org`.
            moves: Where chats are by now; is told of what Telegram tells.
        """
        self._token = token
        self._moves = moves
        request = HTTPXRequest(connection_pool_size=64, connect_timeout=10, read_timeout=30, pool_timeout=30)
        self._bot = Bot(token, f"{base}/bot", f"{base}/file/bot", request, HTTPXRequest(connect_timeout=10))
        self._everywhere = Bucket(EVERYWHERE, burst=25)
        self._buckets: dict[int, Bucket] = {}
        self._drafts = True  # whether this Bot API takes any; found out by trying
        self._draftless = set[int]()  # chats in which it does not

    async def open(self) -> Me:
        """Connect; who the bot is.

        Raises:
            TokenRefused: Nobody, with this token.
            NotSent: Telegram cannot be reached.
        """
        try:
            await self._bot.initialize()
        except InvalidToken:
            raise TokenRefused("Telegram does not know the token") from None
        except TelegramError as error:
            raise NotSent(self._said(error)) from None
        return Me(self._bot.id, self._bot.username)

    async def close(self) -> None:
        """Close all connections."""
        await self._bot.shutdown()

    # ---- updates -----------------------------------------------------------------------------------------------------

    async def updates(self, offset: int | None) -> Sequence[Mapping[str, Any]]:
        """Wait for updates; those before `offset` are forgotten by Telegram."""
        arguments = {"timeout": POLL, "allowed_updates": list(ALLOWED_UPDATES)}
        if offset is not None:
            arguments["offset"] = offset
        found: Sequence[Mapping[str, Any]] = await self._call("GetUpdates", arguments, patience=POLL + 20)
        return found

    async def set_webhook(self, url: str, secret: str) -> None:
        """Have Telegram call."""
        await self._call("SetWebhook", {"url": url, "secret_token": secret, "allowed_updates": list(ALLOWED_UPDATES)})

    async def webhook_info(self) -> WebhookInfo:
        """How Telegram fares with calling."""
        found = await self._call("GetWebhookInfo", {})
        return WebhookInfo(found["url"], found.get("last_error_date", 0), found.get("last_error_message", ""))

    async def delete_webhook(self) -> None:
        """Have Telegram wait to be asked; updates that wait are kept."""
        await self._call("DeleteWebhook", {})

    async def set_commands(self, commands: Mapping[str, str]) -> None:
        """What the app offers behind a slash."""
        listed = [{"command": name, "description": text} for name, text in commands.items()]
        await self._call("SetMyCommands", {"commands": listed})

    # ---- messages ----------------------------------------------------------------------------------------------------

    async def turn(self, lane: Lane) -> None:
        """Wait until a message may be sent there; it has to be sent then."""
        while pause := self._wait(lane, 0.0):  # noqa: ASYNC110 - time is what is waited for; others may be faster
            await asyncio.sleep(pause)
        self._take(lane)

    def preview_in(self, lane: Lane) -> float:
        """Seconds until something that is not important may be sent there."""
        return self._wait(lane, RESERVE)

    async def send(self, lane: Lane, piece: Piece, reply_to: int = 0, buttons: Sequence[Button] = ()) -> int:
        """Send a message; its number. Comes after `turn`."""
        arguments = {**self._to(lane, reply_to), **_keyboard(buttons), "link_preview_options": {"is_disabled": True}}
        sent = await self._written("SendMessage", arguments, piece, lane)
        number: int = sent["message_id"]
        return number

    async def edit(self, lane: Lane, message: int, piece: Piece, buttons: Sequence[Button] = ()) -> None:
        """Change a message. Comes after `turn`, or when `preview_in` is 0.0.

        Args:
            lane: As it was called when the message was sent: numbers of messages are others once that has changed.
            message: Its number.
            piece: What it is to say.
            buttons: What stands below it.
        """
        if self.now(lane) != lane:
            raise Refused("its chat has become another one")
        arguments = {"chat_id": lane.chat, "message_id": message, "link_preview_options": {"is_disabled": True}}
        try:
            await self._written("EditMessageText", arguments | _keyboard(buttons), piece, lane)
        except Refused as refused:
            if "not modified" not in str(refused):
                raise

    async def draft(self, lane: Lane, number: int, piece: Piece) -> bool:
        """Show what will be a message; False where that cannot be done, for all or for this chat.

        Raises:
            Refused: The chat is closed to the bot.
        """
        if not self._drafts or lane.chat in self._draftless:
            return False
        self._take(lane)
        try:
            await self._written("SendMessageDraft", {**self._to(lane), "draft_id": number}, piece, lane)
        except Refused as refused:
            if refused.gone:
                raise
            _LOG.info("no drafts in %s: %s", lane, refused)
            self._drafts = not isinstance(refused, Unknown)
            self._draftless = {*self._draftless, lane.chat} if len(self._draftless) < MOST_DRAFTLESS else {lane.chat}
            return False
        return True

    async def send_file(self, lane: Lane, name: str, data: bytes, reply_to: int = 0) -> int:
        """Send a file; the message's number. Comes after `turn`."""
        file = InputFile(data, filename=name)
        sent = await self._call("SendDocument", {**self._to(lane, reply_to), "document": file}, lane)
        number: int = sent["message_id"]
        return number

    async def send_voice(self, lane: Lane, path: Path, seconds: float, reply_to: int = 0) -> int:
        """Send an OGG/Opus file as a voice message; its number. Comes after `turn`."""
        file = InputFile(await asyncio.to_thread(path.read_bytes), filename="answer.ogg")
        arguments = {**self._to(lane, reply_to), "voice": file, "duration": round(seconds)}
        sent = await self._call("SendVoice", arguments, lane)
        number: int = sent["message_id"]
        return number

    async def action(self, lane: Lane, action: str = "typing") -> None:
        """Show that something is being done, for five seconds."""
        await self._call("SendChatAction", {**self._to(lane), "action": action}, lane)

    async def answer_press(self, query: str, text: str) -> None:
        """Say something briefly to who pressed a button."""
        await self._call("AnswerCallbackQuery", {"callback_query_id": query, "text": text})

    async def fetch(self, file: str, target: Path) -> None:
        """Fetch a file.

        Raises:
            Refused: It cannot be had, such as for its size.
        """
        found = await self._call("GetFile", {"file_id": file})
        if "file_path" not in found:
            raise Refused("there is no path to this file")
        url = f"{self._bot.base_file_url}/{found['file_path']}"
        try:
            data = await self._bot.request.retrieve(url, read_timeout=120)
        except TelegramError as error:
            raise NotSent(self._said(error)) from None
        await asyncio.to_thread(target.write_bytes, data)

    # ---- below -------------------------------------------------------------------------------------------------------

    async def _written(self, method: str, arguments: Mapping[str, Any], piece: Piece, lane: Lane) -> Mapping[str, Any]:
        """A call with a text. One whose formatting Telegram does not understand is sent without any."""
        try:
            sent = await self._call(method, {**arguments, "text": piece.html, "parse_mode": "HTML"}, lane)
        except Refused as refused:
            if "parse entities" not in str(refused):
                raise
            _LOG.error("Telegram does not understand what was made of a text: %s", refused)
            sent = await self._call(method, {**arguments, "text": piece.plain}, lane)
        found: Mapping[str, Any] = sent
        return found

    async def _call(
        self, method: str, arguments: Mapping[str, Any], lane: Lane | None = None, *, patience: float = 30
    ) -> Any:  # noqa: ANN401 - what the Bot API's manual says
        try:
            return await self._bot.do_api_request(method, api_kwargs=dict(arguments), read_timeout=patience)
        except RetryAfter as error:
            pause = error.retry_after
            seconds = pause.total_seconds() if isinstance(pause, timedelta) else float(pause)
            if lane is not None:
                self._bucket(lane).bar(asyncio.get_running_loop().time(), seconds)
            raise Flooded(f"{method}: {seconds:g} s") from None
        except ChatMigrated as error:
            if lane is None or "message_id" in arguments:
                raise Refused(self._said(error)) from None
            return await self._call(method, self._led(arguments, error.new_chat_id), lane, patience=patience)
        except TelegramError as error:
            raise self._trouble(method, error) from None

    def _trouble(self, method: str, error: TelegramError) -> ApiTrouble:
        """What an error of the library means."""
        # It makes the same of 404, and of 401, which is a token that does not hold any more.
        revoked = isinstance(error, EndPointNotFound) and "unauthorized" in str(error.__cause__).lower()
        if revoked or isinstance(error, InvalidToken):
            return TokenRefused("Telegram does not know the token any more")
        if isinstance(error, EndPointNotFound):
            return Unknown(f"{method}: there is no such method")
        if isinstance(error, Forbidden):
            return Refused(self._said(error), gone=True)
        if isinstance(error, BadRequest):
            return Refused(self._said(error), gone="chat not found" in str(error).lower())
        unsent = type(error.__cause__).__name__ in _UNSENT
        return (NotSent if unsent else Unsure)(self._said(error))

    def now(self, lane: Lane) -> Lane:
        """What a lane is called by now."""
        return Lane(self._moves.now(lane.chat), lane.topic)

    def _led(self, arguments: Mapping[str, Any], new: int) -> Mapping[str, Any]:
        """Arguments of a call to a group that has become another chat: Telegram has done nothing yet."""
        self._moves.move(arguments["chat_id"], new)
        return {key: value for key, value in arguments.items() if key != "reply_parameters"} | {"chat_id": new}

    def _said(self, error: Exception) -> str:
        return f"{type(error).__name__}: {error}".replace(self._token, "***")

    def _wait(self, lane: Lane, reserve: float) -> float:
        now = asyncio.get_running_loop().time()
        return max(self._bucket(lane).wait(now, reserve), self._everywhere.wait(now, reserve))

    def _take(self, lane: Lane) -> None:
        now = asyncio.get_running_loop().time()
        self._bucket(lane).take(now)
        self._everywhere.take(now)
        if len(self._buckets) > 256:
            self._buckets = {chat: one for chat, one in self._buckets.items() if not one.full(now)}

    def taken(self, lane: Lane) -> None:
        """Count a preview that was sent without `turn`."""
        self._take(lane)

    def _bucket(self, lane: Lane) -> Bucket:
        return self._buckets.setdefault(self.now(lane).chat, bucket(private=lane.private))

    def _to(self, lane: Lane, reply_to: int = 0) -> dict[str, Any]:
        """Where something is to be sent. A message of a chat that has become another one cannot be replied to."""
        now = self.now(lane)
        found: dict[str, Any] = {"chat_id": now.chat}
        if lane.topic:
            found["message_thread_id"] = lane.topic
        if reply_to and now == lane:
            found["reply_parameters"] = {"message_id": reply_to, "allow_sending_without_reply": True}
        return found


def _keyboard(buttons: Sequence[Button]) -> dict[str, Any]:
    """One button a row."""
    rows = [[{"text": text, "callback_data": data}] for text, data in buttons]
    return {"reply_markup": {"inline_keyboard": rows}} if rows else {}
