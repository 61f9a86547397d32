"""What begins with a slash. Each can be carried out twice and is then as if once: an interruption may repeat it."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from swapper import __version__
from swapper.telegram.agent.base import UnforgottenError
from swapper.telegram.api import Button
from swapper.telegram.catalog import Model, NoModels, find
from swapper.telegram.incoming import Message
from swapper.telegram.office import Office
from swapper.telegram.settings import VOICES
from swapper.telegram.text import Block, Piece, compose
from swapper.telegram.text.spans import Span

LISTED: Mapping[str, str] = {
    "new": "begin a new conversation",
    "model": "choose the model that answers",
    "models": "all models, and what they are doing",
    "retry": "ask the last question again",
    "stop": "stop the answer",
    "voice": "spoken answers: on, off, auto",
    "system": "tell the model how to be",
    "status": "what is set here",
    "forget": "delete everything of this chat",
    "help": "what this bot can do",
}
"""What the app offers, in this order."""

EXPRESS = frozenset({"start", "help", "models", "model", "status", "stop", "voice", "system"})
"""Commands that do not wait for the answer before them."""

CLEARING = frozenset({"new", "forget"})
"""Commands that nobody wants to wait for what came before them: that is given up."""

PRESS = "model:"
"""How a button's data begins that chooses a model, or turns the pages of the list of them."""

PAGE = 40
"""Models on a page. Telegram takes 100 buttons below a message, and who reads them takes fewer."""

_TURN = f"{PRESS}page "

_LOG = logging.getLogger(__name__)
_UNREACHABLE = "The model server does not answer. Try again in a moment."


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command answers."""

    text: str
    buttons: Sequence[Button] = ()

    @property
    def pieces(self) -> Sequence[Piece]:
        """As messages: one, unless it is long. The buttons belong to the last."""
        return [piece for piece in compose([Block((Span(self.text),))]) if isinstance(piece, Piece)]


async def run(office: Office, message: Message) -> Reply:
    """Carry out a command; what it answers."""
    handler = _HANDLERS.get(message.command)
    if handler is None:
        return Reply(f"There is no /{message.command}. /help says what there is.")
    try:
        return await handler(office, message)
    except NoModels:
        return Reply(_UNREACHABLE)


async def _help(office: Office, _: Message) -> Reply:
    commands = "\n".join(f"/{name}: {text}" for name, text in LISTED.items())
    mention = f"In groups, mention me (@{office.me.username}) or reply to me."
    return Reply(f"Send me text, voice messages, photos or documents, and I answer.\n\n{commands}\n\n{mention}")


async def _models(office: Office, _: Message) -> Reply:
    models = await office.catalog.models()
    lines = [f"{model.label}: {model.state}" for model in models]
    return Reply("\n".join(lines) or "The model server has no models.")


async def _model(office: Office, message: Message) -> Reply:
    models = await office.catalog.chats()
    if not message.text:
        return choice(models, await office.model(message.lane))
    found = find(models, message.text)
    if found is None:
        return Reply(f"There is no model {message.text[:100]!r}. /model shows those that there are.")
    office.conversations.set(message.lane, "model", found.name)
    return Reply(f"{found.name} answers from now on.")


def choice(models: Sequence[Model], now: str, page: int | None = None) -> Reply:
    """Models to choose from.

    Args:
        models: All of them.
        now: The one that answers.
        page: Which of the list's; None: where that one stands.
    """
    place = next((index for index, model in enumerate(models) if now in model.names), 0)
    last = max(0, len(models) - 1) // PAGE
    page = place // PAGE if page is None else min(max(page, 0), last)
    buttons = [
        (f"{model.label}{' ✓' if now in model.names else ''}", PRESS + model.token)
        for model in models[page * PAGE : (page + 1) * PAGE]
    ]
    buttons += [(f"◀ page {page}", f"{_TURN}{page - 1}")] if page > 0 else []
    buttons += [(f"page {page + 2} ▶", f"{_TURN}{page + 1}")] if page < last else []
    where = f" (page {page + 1} of {last + 1})" if last else ""
    return Reply(f"{now} answers here. Choose another{where}:", buttons)


def page(data: str) -> int | None:
    """Which page a button turns to; None for one that chooses a model."""
    number = data.removeprefix(_TURN)
    return int(number) if number != data and re.fullmatch(r"[0-9]{1,4}", number) else None


async def _voice(office: Office, message: Message) -> Reply:
    word = message.text.lower()
    meanings = {"on": "answers are spoken too", "off": "no answer is spoken", "auto": "who speaks is spoken to"}
    if word in VOICES:
        office.conversations.set(message.lane, "voice", word)
        return Reply(f"/voice {word}: {meanings[word]}.")
    now = office.conversations.setting(message.lane, "voice") or office.settings.voice
    return Reply(f"/voice is {now}: {meanings[now]}. /voice on, /voice off or /voice auto change that.")


async def _system(office: Office, message: Message) -> Reply:
    if message.text == "-":
        office.conversations.set(message.lane, "system", None)
        return Reply("The model is told what it is told everywhere.")
    if message.text:
        office.conversations.set(message.lane, "system", message.text)
        return Reply("The model is told that from now on. /system - takes it back.")
    now = office.conversations.setting(message.lane, "system") or office.settings.system
    return Reply(f"The model is told:\n\n{now}\n\n/system and a text replace that, /system - takes yours back.")


async def _new(office: Office, message: Message) -> Reply:
    office.conversations.begin_anew(message.lane)
    return Reply("A new conversation. What was said before is deleted.")


async def _forget(office: Office, message: Message) -> Reply:
    office.conversations.forget(message.lane)
    try:
        await office.workplaces.forget(str(office.moves.origin(message.lane)))
    except UnforgottenError as error:
        _LOG.error("%s is not forgotten: %s", message.lane, error)
        return Reply("What was said is deleted, but maybe not the files that Codex made here: say /forget again later.")
    return Reply("Everything of this chat is deleted from this server: what was said, files, and settings.")


async def _status(office: Office, message: Message) -> Reply:
    lane = message.lane
    try:
        name = await office.model(lane)
        found = find(await office.catalog.models(), name)
        state = found.state if found is not None else "not there any more: choose another with /model"
        first = f"Model: {name} ({state})"
    except NoModels:
        first = "Model: the model server does not answer"
    return Reply(
        f"{first}\n"
        f"Spoken answers: {office.conversations.setting(lane, 'voice') or office.settings.voice}\n"
        f"Remembered: {office.conversations.count(lane)} messages; models see the last {office.settings.history}\n"
        f"Your number: {message.sender}; this chat's: {lane.chat}\n"
        f"swapper {__version__}"
    )


_HANDLERS: Mapping[str, Callable[[Office, Message], Awaitable[Reply]]] = {
    "start": _help,
    "help": _help,
    "models": _models,
    "model": _model,
    "voice": _voice,
    "system": _system,
    "new": _new,
    "forget": _forget,
    "status": _status,
}
"""/stop and /retry are `desk.py`'s: they are about answers."""
