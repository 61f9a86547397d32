"""Media of a question as text, before it is asked: what the recordings say and the pictures show."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from swapper.telegram.agent.base import Failed, Turn
from swapper.telegram.agent.board import Board
from swapper.telegram.agent.marks import data
from swapper.telegram.agent.shelf import Item, Shelf
from swapper.telegram.agent.telling import GaveUpError
from swapper.telegram.agent.tools.base import Bench, NobodyError, ToolError
from swapper.telegram.agent.tools.listen import hear
from swapper.telegram.agent.tools.look import DESCRIBE, look

_MISSING = "Add one to the models of this server, or send it as text."
_UNREADABLE = "Send it in another form, or write what it says."
_UNHEARD = "Say it once more, closer to the microphone, or write it."


@dataclass(slots=True)
class Senses:
    """Hears and sees for an answer; each medium once, however often the answer is begun.

    Attributes:
        bench: What tools work with.
        shelf: What was sent.
        turns: The conversation; the last one is the question.
        board: Where it is said what is done.
    """

    bench: Bench
    shelf: Shelf
    turns: Sequence[Turn]
    board: Board
    _known: dict[str, str] = field(default_factory=dict)

    async def texts(self, *, sees: bool, room: int) -> Sequence[Turn]:
        """What is to be noted of the question's media.

        Args:
            sees: Whether whoever answers is shown the pictures.
            room: Most characters of each text.

        Raises:
            GaveUpError: Nobody hears or sees it.
            RouterError: The router could not do its part.
        """
        last = len(self.turns) - 1
        recordings = self.shelf.of(last, "audio")
        pictures = () if sees else self.shelf.of(last, "image")
        try:
            async with asyncio.TaskGroup() as group:
                for item in recordings:
                    group.create_task(self._hear(item), name=f"hear {item.id}")
                if pictures:
                    group.create_task(self._look(pictures), name="look")
        except ExceptionGroup as errors:
            first = errors.exceptions[0]
            if not isinstance(first, ToolError):
                raise first from errors
            hint = _MISSING if isinstance(first, NobodyError) else _UNREADABLE
            raise GaveUpError(Failed("unreadable", str(first), hint)) from errors
        return [*self._heard(recordings, room), *self._seen(pictures, room)]

    async def _hear(self, item: Item) -> None:
        if item.id not in self._known:
            self._known[item.id] = await hear(self.bench, item.medium, self.board.line(item.id))
            self.board.wipe(item.id)

    async def _look(self, pictures: Sequence[Item]) -> None:
        key = " ".join(item.id for item in pictures)
        if key not in self._known:
            asked = self.turns[-1].text.strip()
            question = f"{DESCRIBE} Somebody asks about it: {asked[:1000]}" if asked else DESCRIBE
            media = [item.medium for item in pictures]
            self._known[key] = await look(self.bench, media, question, self.board.line(key))
            self.board.wipe(key)

    def _heard(self, recordings: Sequence[Item], room: int) -> Sequence[Turn]:
        """Transcripts. A voice message alone is what the person says; with a text it is material."""
        alone = not self.turns[-1].text.strip()
        for item in recordings:
            if alone and not self._known[item.id]:
                raise GaveUpError(Failed("unheard", f"Nothing is said in {item.medium.name}.", _UNHEARD))
        if alone:
            return [Turn("user", self._known[item.id]) for item in recordings]
        return [Turn("user", data(self._known[item.id], f"recording {item.id}", room)) for item in recordings]

    def _seen(self, pictures: Sequence[Item], room: int) -> Sequence[Turn]:
        key = " ".join(item.id for item in pictures)
        return [Turn("user", data(self._known[key], f"pictures {key}", room))] if pictures else []
