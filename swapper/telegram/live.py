"""An answer that is being made, as the chat sees it: a draft where Telegram has such, else a message that is changed.

Whatever is shown here is replaced by the whole answer in the end, so nothing here has to arrive, and whatever Telegram
does not take right now is left out. Only the first showing of a message has to be written down like any other.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from swapper.telegram.agent.base import Ask, Event, Progress, Text, Thinking
from swapper.telegram.api import Api, ApiTrouble, Flooded, Refused
from swapper.telegram.delivery import Delivery
from swapper.telegram.ending import end
from swapper.telegram.pacing import DRAFT
from swapper.telegram.places import Lane
from swapper.telegram.store import Uncertain
from swapper.telegram.text import Block, Piece, compose, render, thought
from swapper.telegram.text.spans import Span, Tag

FIRST = 0.6
"""Seconds before anything is shown: an answer that is whole by then needs no preview."""

TYPING = 4.5
"""Seconds between signs that somebody is writing; each is shown for five."""

PART = "live"
"""Which part of an answer the message is that is changed."""

_ITALIC = Tag("i")
_LOG = logging.getLogger(__name__)


class Live:
    """The preview of one answer."""

    def __init__(
        self, api: Api, delivery: Delivery, lane: Lane, head: int, reply_to: int, give_up: Callable[[], None]
    ) -> None:
        """Show nothing yet.

        Args:
            api: Where drafts are shown and messages changed.
            delivery: By which a message is sent that is then changed.
            lane: Where.
            head: Which update's answer it is.
            reply_to: The message that it answers; 0: none.
            give_up: Called where it is not known whether that message is there: no answer could take its place.
        """
        self._api = api
        self._give_up = give_up
        self._delivery = delivery
        self._lane = lane
        self._head = head
        self._reply_to = reply_to
        self._progress = ""
        self._thoughts: list[str] = []
        self._texts: list[str] = []
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._uncertain: Uncertain | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def text(self) -> str:
        """What the answer says so far, as Markdown."""
        return "".join(self._texts)

    @property
    def thoughts(self) -> str:
        """What the model thought so far."""
        return "".join(self._thoughts)

    def begin(self) -> None:
        """Show from now on."""
        self._tasks = [
            asyncio.create_task(self._paint(), name=f"live {self._head}"),
            asyncio.create_task(self._type(), name=f"typing {self._head}"),
        ]

    def take(self, event: Event) -> None:
        """There is more of it."""
        match event:
            case Progress(text):
                self._progress = text
            case Thinking(text):
                self._thoughts.append(text)
            case Text(text):
                self._texts.append(text)
                self._progress = ""
            case Ask():
                self._progress = "waiting for your decision"
            case _:
                return
        self._changed.set()

    async def end(self) -> None:
        """Show nothing more; whatever is on its way has arrived before this returns.

        Raises:
            Uncertain: The message that is to be changed may be there, or not.
        """
        self._ending.set()
        await asyncio.gather(*self._tasks)
        if self._uncertain is not None:
            raise self._uncertain

    async def abandon(self) -> None:
        """The same for who does not care any more, such as when the process ends."""
        await end(self._tasks)

    # ---- showing -----------------------------------------------------------------------------------------------------

    async def _paint(self) -> None:
        await self._pause(FIRST)
        shown = ""
        message: int | None = None
        while await self._something():
            await self._pause(DRAFT)
            while not self._ending.is_set() and (pause := self._api.preview_in(self._lane)):
                await self._pause(pause)
            piece = self._piece()
            if self._ending.is_set() or piece is None or piece.html == shown:
                continue
            try:
                message = await self._show(piece, message)
                shown = piece.html
            except Uncertain as uncertain:
                self._uncertain = uncertain
                self._give_up()
                return
            except Refused as refused:
                _LOG.info("no preview in %s: %s", self._lane, refused)
                return
            except Flooded:
                self._changed.set()
            except ApiTrouble as trouble:
                _LOG.warning("a preview was not shown: %s", trouble)
                self._changed.set()
                await self._pause(TYPING)

    async def _show(self, piece: Piece, message: int | None) -> int | None:
        if message is None and self._lane.private and await self._api.draft(self._lane, self._head, piece):
            return None
        if message is None:
            number = await self._delivery.say(self._lane, self._head, PART, piece, reply_to=self._reply_to)
            self._lane = self._api.now(self._lane)
            return number
        self._api.taken(self._lane)
        await self._api.edit(self._lane, message, piece)
        return message

    async def _type(self) -> None:
        try:
            while not self._ending.is_set() and not self._texts:
                await self._api.action(self._lane)
                await self._pause(TYPING)
        except ApiTrouble as trouble:
            _LOG.debug("no typing: %s", trouble)

    def _piece(self) -> Piece | None:
        """The end of what there is, as one message."""
        progress: Sequence[Block] = ()
        if self._progress:
            progress = (Block((Span(f"⏳ {self._progress}", (_ITALIC,)),)),)
        elif self._thoughts and not self._texts:
            progress = (Block((Span("💭 …", (_ITALIC,)),)),)
        blocks = (*progress, *thought(self.thoughts), *render(self.text))
        pieces = [piece for piece in compose(blocks) if isinstance(piece, Piece)]
        return pieces[-1] if pieces else None

    # ---- waiting -----------------------------------------------------------------------------------------------------

    async def _pause(self, seconds: float) -> None:
        """So long, or until the answer is whole."""
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return

    async def _something(self) -> bool:
        """Wait until there is more to be shown; False: the answer is whole."""
        waiting = [asyncio.create_task(self._changed.wait()), asyncio.create_task(self._ending.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        self._changed.clear()
        return not self._ending.is_set()
