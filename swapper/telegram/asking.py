"""What an agent asks before it goes on: a message with a button for each option.

Whoever asked the question that is being answered decides, and nobody else, in a group too: it is done for them.
No answer within some minutes, /stop, and the end of the answer are a refusal, and the message says so. What is open is
known to this process alone: after a restart the question is answered anew, so an old message is only told to be one.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from swapper.telegram.agent.base import Ask
from swapper.telegram.api import Refused
from swapper.telegram.delivery import Delivery
from swapper.telegram.ending import end
from swapper.telegram.incoming import Press
from swapper.telegram.places import Lane
from swapper.telegram.store import Outbox, Uncertain
from swapper.telegram.text import LIMIT, Block, Piece, compose, render
from swapper.telegram.text.spans import Span

PRESS = "ask:"
"""How a button's data begins that answers such a question."""

PATIENCE = 300.0
"""Seconds until nobody is going to answer."""

PART = "ask "
"""How the parts of an answer begin that are such messages; then comes what no other process calls its own."""

ROOM = 100
"""UTF-16 units for what is said of the decision."""

LATE = "⏳ Nobody answered in time: refused."
OVER = "⏹ The answer ended: refused."
INTERRUPTED = "⏹ I was interrupted, and begin again."
CLOSED = "This is not asked any more."
FOREIGN = "Only who asked can decide that."

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Open:
    """A question that waits.

    Attributes:
        ask: What is asked.
        sender: Who may answer.
    """

    ask: Ask
    sender: int


@dataclass(frozen=True, slots=True)
class Questions:
    """All that is asked at the moment."""

    _open: dict[str, _Open] = field(default_factory=dict)

    def open(self, ask: Ask, sender: int) -> str:
        """Something is asked; by which name the buttons have it."""
        token = secrets.token_urlsafe(9)
        self._open[token] = _Open(ask, sender)
        return token

    def close(self, token: str) -> None:
        """It is not asked any more."""
        self._open.pop(token, None)

    def press(self, press: Press) -> str:
        """A button was pressed; what is said to who did."""
        token, _, number = press.data.removeprefix(PRESS).rpartition(":")
        found = self._open.get(token)
        choices = {str(index): option for index, option in enumerate(found.ask.options)} if found else {}
        if found is None or found.ask.reply.done() or number not in choices:
            return CLOSED
        if press.sender != found.sender:
            return FOREIGN
        choice = choices[number]
        found.ask.reply.set_result(choice)
        return choice


class Asking:
    """The questions of one answer."""

    def __init__(
        self, delivery: Delivery, questions: Questions, lane: Lane, head: int, *, reply_to: int, sender: int,
        patience: float = PATIENCE,
    ) -> None:
        """Nothing is asked yet.

        Args:
            delivery: By which messages are sent and changed.
            questions: Where presses find what is asked.
            lane: Where.
            head: Which update's answer it is.
            reply_to: The message that is answered; 0: none.
            sender: Who may decide.
            patience: Seconds in which they have to.
        """
        self._patience = patience
        self._delivery = delivery
        self._questions = questions
        self._lane = lane
        self._head = head
        self._reply_to = reply_to
        self._sender = sender
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def interrupted(self, outbox: Outbox) -> None:
        """Tell what an earlier process asked for this answer to be over."""
        for message in outbox.messages(self._head, PART):
            await self._change(message, (_said(INTERRUPTED),))

    def take(self, ask: Ask) -> None:
        """Something is asked."""
        name = f"ask {self._head}/{len(self._tasks)}"
        self._tasks.append(asyncio.create_task(self._ask(ask), name=name))

    async def end(self) -> None:
        """The answer is over: so is what is still asked."""
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def abandon(self) -> None:
        """The same for who does not care any more, such as when the process ends."""
        await end(self._tasks)

    async def _ask(self, ask: Ask) -> None:
        blocks = render(ask.question)
        token = self._questions.open(ask, self._sender)
        try:
            message = await self._send(token, blocks, ask.options)
            verdict = "" if message is None else await self._decided(ask)
        finally:
            self._questions.close(token)
            if not ask.reply.done():
                ask.reply.set_result(ask.options[-1])
        if message is not None:
            await self._change(message, (*blocks, _said(verdict)))

    async def _send(self, token: str, blocks: Sequence[Block], options: Sequence[str]) -> int | None:
        """The message's number; None where it cannot be sent, so that nobody is going to answer."""
        pieces = compose(blocks, LIMIT - ROOM)
        piece = pieces[0] if pieces else None
        if len(pieces) != 1 or not isinstance(piece, Piece):
            _LOG.warning("a question in %s is refused: what cannot be shown whole is not decided on", self._lane)
            return None
        buttons = [(option, f"{PRESS}{token}:{number}") for number, option in enumerate(options)]
        try:
            return await self._delivery.say(
                self._lane, self._head, PART + token, piece, reply_to=self._reply_to, buttons=buttons
            )
        except (Refused, Uncertain) as trouble:
            _LOG.warning("a question in %s was not asked: %s", self._lane, trouble)
            return None

    async def _decided(self, ask: Ask) -> str:
        """Wait for a decision; what is said of it."""
        over = asyncio.ensure_future(self._over.wait())
        waiting: list[asyncio.Future[Any]] = [ask.reply, over]
        try:
            await asyncio.wait(waiting, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        if ask.reply.done() and not ask.reply.cancelled():
            choice = ask.reply.result()
            return f"{'🚫' if choice == ask.options[-1] else '✅'} {choice}"
        return OVER if self._over.is_set() or ask.reply.cancelled() else LATE

    async def _change(self, message: int, blocks: Sequence[Block]) -> None:
        try:
            await self._delivery.change(self._lane, message, _piece(blocks))
        except Refused as refused:
            _LOG.info("a question in %s is gone: %s", self._lane, refused)


def _said(text: str) -> Block:
    return Block((Span(text),))


def _piece(blocks: Sequence[Block]) -> Piece:
    (piece,) = compose(blocks)
    assert isinstance(piece, Piece)  # noqa: S101 - as it was before, and a few words
    return piece
