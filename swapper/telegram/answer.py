"""One question, from what was sent to the last message of its answer.

    fetch files ─> note the question ─> ask the agent, shown live ─> keep the whole answer ─> deliver it ─> (done)

Whatever ends the process before the answer is kept, the question is asked once more; afterwards only what is missing of
the answer is delivered. So each step may be found half done, and can be taken again.
"""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swapper.telegram import albums
from swapper.telegram.agent.base import Ask, Event, Failed, Finished, Medium, Request, Spoken, Turn
from swapper.telegram.api import Refused
from swapper.telegram.asking import Asking
from swapper.telegram.catalog import NoModels
from swapper.telegram.incoming import Message
from swapper.telegram.live import PART, Live
from swapper.telegram.media import collect
from swapper.telegram.office import Office, Running
from swapper.telegram.places import Lane
from swapper.telegram.text import Attached, Block, Piece, compose, render, thought
from swapper.telegram.text.spans import Span

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        lane: Where.
        head: By which update.
        message: What the answer replies to; 0 in a private chat.
        turn: What was said.
        sender: By whom.
        notes: What is to be said before the answer, such as of files that could not be read.
        spoken: Whether it was asked by voice.
    """

    lane: Lane
    head: int
    message: int
    turn: Turn
    sender: int
    notes: tuple[str, ...] = ()
    spoken: bool = False


async def question(office: Office, message: Message, head: int) -> Question:
    """Fetch what came with a message."""
    attachments, notes = message.attachments, []
    if len(attachments) > albums.MOST:
        notes.append(f"I look at the first {albums.MOST} of these {len(attachments)} only.")
    media: tuple[Medium, ...] = ()
    complaints: tuple[str, ...] = ()
    if attachments:
        folder, room = office.conversations.folder(message.lane), await office.room(message.lane)
        media, complaints = await collect(office.collector, attachments[: albums.MOST], folder, room)
    return Question(
        lane=message.lane,
        head=head,
        message=0 if message.lane.private else message.number,
        turn=Turn("user", message.text, media),
        sender=message.sender,
        notes=(*notes, *complaints),
        spoken=any(medium.kind == "audio" for medium in media),
    )


async def answer(office: Office, asked: Question, running: Running) -> None:
    """Answer it.

    Raises:
        Uncertain: It is not known whether one of its messages was sent.
        Refused: The chat is closed to the bot.
    """
    kept = office.outbox.kept(asked.head)
    if kept is None:
        if not (asked.turn.text or asked.turn.media):
            kept = _kept(compose(_notes(asked.notes)), ())
        else:
            kept = await _make(office, asked, running)
    await _deliver(office, asked, kept)


async def _make(office: Office, asked: Question, running: Running) -> Mapping[str, Any]:
    """Ask the agent, and keep what it answers."""
    lane, head, began = asked.lane, asked.head, time.monotonic()
    office.conversations.ask(lane, head, asked.turn)
    live = Live(office.api, office.delivery, lane, head, asked.message, running.stop.set)
    asking = Asking(
        office.delivery, office.questions, lane, head, reply_to=asked.message, sender=asked.sender
    )
    await asking.interrupted(office.outbox)
    live.begin()
    spoken: list[Spoken] = []
    end: Finished | Failed | None = None
    try:
        async for event in _events(office, asked, running):
            live.take(event)
            if isinstance(event, Ask):
                asking.take(event)
            elif isinstance(event, Spoken):
                spoken.append(event)
            elif isinstance(event, Finished | Failed):
                end = event
    except BaseException:
        await asyncio.gather(live.abandon(), asking.abandon())
        raise
    await asking.end()
    await live.end()
    office.metrics.seconds.observe(time.monotonic() - began)
    office.metrics.answers.labels("stopped" if end is None else type(end).__name__.lower()).inc()
    blocks = (*_notes(asked.notes), *thought(live.thoughts), *render(live.text), *_closing(live.text, end))
    kept = _kept(compose(blocks), spoken)
    noted = end.noted if isinstance(end, Finished) else ()
    with office.database.transaction():
        office.outbox.keep(head, kept)
        if (text := live.text.strip()) and not isinstance(end, Failed):
            office.conversations.answer(lane, head, (*noted, Turn("assistant", text)))
    return kept


async def _events(office: Office, asked: Question, running: Running) -> AsyncIterator[Event]:
    """What the agent tells, until it has told all or somebody says /stop."""
    try:
        request = await _request(office, asked)
    except NoModels:
        yield Failed("router_unreachable", "The model server does not answer.", "Try /retry in a moment.")
        return
    async with contextlib.aclosing(office.agent.answer(request)) as events:  # type: ignore[type-var]
        while (event := await _unless(running.stop, anext(events, None))) is not None:
            yield event


async def _unless[T](stop: asyncio.Event, coming: Awaitable[T]) -> T | None:
    """What comes, or None if `stop` is set before: then nothing works on it any more."""
    stopped, task = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(coming)
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def _request(office: Office, asked: Question) -> Request:
    lane, conversations, settings = asked.lane, office.conversations, office.settings
    voice = conversations.setting(lane, "voice") or settings.voice
    return Request(
        model=await office.model(lane),
        system=conversations.setting(lane, "system") or settings.system,
        turns=conversations.turns(lane, asked.head, settings.history),
        speak=voice == "on" or (voice == "auto" and asked.spoken),
        place=str(office.moves.origin(lane)),
    )


def _notes(notes: Sequence[str]) -> tuple[Block, ...]:
    return tuple(Block((Span(f"⚠️ {note}"),)) for note in notes)


def _closing(text: str, end: Finished | Failed | None) -> tuple[Block, ...]:
    """What is said below the answer, where it is not simply whole."""
    if isinstance(end, Failed):
        return (Block((Span(f"⚠️ {end.message} {end.hint}".rstrip()),)),)
    if end is None:
        return (Block((Span("⏹ Stopped."),)),)
    return () if text.strip() else (Block((Span("The model had nothing to say. /retry asks again."),)),)


# ---- delivering ------------------------------------------------------------------------------------------------------


def _kept(pieces: Sequence[Piece | Attached], spoken: Sequence[Spoken]) -> Mapping[str, Any]:
    """As it is stored: JSON."""
    voices = [[str(voice.path), voice.seconds] for voice in spoken]
    return {"pieces": [dataclasses.asdict(piece) for piece in pieces], "voices": voices}


async def _deliver(office: Office, asked: Question, kept: Mapping[str, Any]) -> None:
    """Send what has not been sent. The first message takes the place of the preview, if that was one."""
    lane, head = asked.lane, asked.head
    preview = office.outbox.message(head, PART)
    for index, piece in enumerate(kept["pieces"]):
        part, reply_to = str(index), asked.message if index == 0 else 0
        if "name" in piece:
            await office.delivery.attach(lane, head, part, Attached(**piece), reply_to=reply_to)
        elif index or preview is None or not await _replace(office, office.moves.lane(lane), preview, Piece(**piece)):
            await office.delivery.say(lane, head, part, Piece(**piece), reply_to=reply_to)
    for index, (path, seconds) in enumerate(kept["voices"]):
        await _speak(office, asked, f"voice {index}", Path(path), seconds)


async def _replace(office: Office, lane: Lane, message: int, piece: Piece) -> bool:
    """Put an answer where its preview was; False where that has been deleted."""
    try:
        await office.delivery.change(lane, message, piece)
    except Refused as refused:
        if refused.gone:
            raise
        _LOG.info("the preview in %s is gone: %s", lane, refused)
        return False
    return True


async def _speak(office: Office, asked: Question, part: str, path: Path, seconds: float) -> None:
    if office.outbox.message(asked.head, part) is not None:
        return  # the file is gone
    try:
        await office.delivery.once(
            asked.lane, asked.head, part, lambda: office.api.send_voice(asked.lane, path, seconds, asked.message)
        )
    except Refused as refused:
        if refused.gone:
            raise
        _LOG.warning("a spoken answer was refused: %s", refused)  # some forbid voice messages; the text is there
    await asyncio.to_thread(path.unlink, missing_ok=True)
