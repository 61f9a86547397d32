"""Who works on what: one task for each lane, so that lanes run side by side and each keeps its order.

What does not wait (`express`: buttons, most commands, strangers) has a task of its own. Every way out of an update is
here: done, told that it was interrupted, or left for the next process.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from swapper.telegram import albums, answer, asking, commands
from swapper.telegram.access import Strangers
from swapper.telegram.answer import Question
from swapper.telegram.api import Flooded, NotSent, Refused, TokenRefused, Unsure
from swapper.telegram.catalog import NoModels
from swapper.telegram.ending import end
from swapper.telegram.incoming import Message, Press, together
from swapper.telegram.office import Office, Running
from swapper.telegram.places import Lane
from swapper.telegram.store import Item, Uncertain
from swapper.telegram.text import Piece
from swapper.telegram.text.spans import Span, to_html

ATTEMPTS = 3
"""How often a question is begun. One that the process ended in so often may be what ends it."""

GRACE = 8.0
"""Seconds for what is on its way to Telegram, at the end."""

MOST_SAID = 200
"""Characters that who presses a button can be told ("answerCallbackQuery" in the manual)."""

_DEFECT = "Something went wrong here. Whoever runs this bot finds it in its journal."
_IN = "You are in. /help says what I can do."
_LOG = logging.getLogger(__name__)


class Desk:
    """Works on what has been taken in."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._lanes: dict[Lane, asyncio.Task[None]] = {}
        self._express: dict[asyncio.Task[None], Item] = {}
        self._running: dict[Lane, Running] = {}
        self._strangers = Strangers()
        self._refused = asyncio.Event()

    def resume(self) -> None:
        """Take up what an earlier process left."""
        for item in self._office.inbox.open_express():
            self.express(item)
        for lane in self._office.inbox.open_lanes():
            self.wake(lane)

    def wake(self, lane: Lane) -> None:
        """Something waits in a lane."""
        if lane not in self._lanes:
            task = self._lanes[lane] = asyncio.create_task(self._work(lane), name=f"lane {lane}")
            task.add_done_callback(self._complain)

    def express(self, item: Item) -> None:
        """Something that does not wait."""
        task = asyncio.create_task(self._one([item], Running(item.id)), name=f"update {item.id}")
        self._express[task] = item
        task.add_done_callback(self._express.pop)
        task.add_done_callback(self._complain)

    async def refused(self) -> None:
        """Wait until Telegram does not know the token any more.

        Raises:
            TokenRefused: Then.
        """
        await self._refused.wait()
        raise TokenRefused("Telegram does not know the token any more")

    def stop(self, lane: Lane, number: int) -> bool:
        """End the answer that is being made, or was when the process ended; whether there was one.

        Args:
            lane: Where.
            number: The update that says so: what was asked afterwards is not meant.
        """
        running = self._answering(lane)
        if running is not None:
            running.stop.set()
        return self._office.inbox.stop(lane, number) or running is not None

    def clear(self, lane: Lane, number: int) -> None:
        """Give up what came before an update: what waits is done without an answer, what runs is stopped."""
        running = self._answering(lane)
        earlier = [item for item in self._office.inbox.earlier(lane, number) if not item.begun]
        self._office.inbox.done(earlier)
        if running is not None and running.number < number:
            running.stop.set()

    async def close(self) -> None:
        """Leave everything to the next process, but for what is on its way to Telegram right now."""
        await end([*self._lanes.values(), *self._express])
        await self._office.delivery.close(GRACE)

    # ---- one after the other -----------------------------------------------------------------------------------------

    def _answering(self, lane: Lane) -> Running | None:
        """What is being answered in a lane, under whatever number it was begun."""
        now = self._office.moves.lane
        return next((running for one, running in self._running.items() if now(one) == lane), None)

    async def _predecessors(self, lane: Lane) -> None:
        """What is still being answered under an earlier number of the chat comes first."""
        now = self._office.moves.lane
        while earlier := [task for one, task in self._lanes.items() if one != lane and now(one) == lane]:
            await asyncio.wait(earlier)

    async def _work(self, lane: Lane) -> None:
        try:
            await self._predecessors(lane)
            while (item := self._office.inbox.next(lane)) is not None:
                await self._settle(lane, item.id)
                if items := await self._complete(item):
                    running = self._running[lane] = Running(items[0].id)
                    await self._one(items, running)
                    del self._running[lane]
            if (now := self._office.moves.lane(lane)) != lane:
                self.wake(now)
        finally:
            self._running.pop(lane, None)
            # No await since the look that found nothing: whoever stores another one afterwards wakes the lane anew.
            del self._lanes[lane]

    async def _settle(self, lane: Lane, number: int) -> None:
        """What does not wait for others is waited for: who chose a model and then asks, asks that one."""
        while earlier := [task for task, item in self._express.items() if item.lane == lane and item.id < number]:
            await asyncio.wait(earlier)

    async def _complete(self, item: Item) -> Sequence[Item]:
        """An update with all that belongs to the same album; nothing, where it was given up meanwhile."""
        if not item.album:
            return [item]
        items = self._office.inbox.album(item)
        while items and not item.begun and (pause := albums.wait((one.arrived for one in items), time.time())):
            await asyncio.sleep(pause)
            items = self._office.inbox.album(item)
        return items

    async def _one(self, items: Sequence[Item], running: Running) -> None:
        """Work on one update, or an album, until it is done."""
        first = items[0]
        lane, head = first.lane, first.id
        if not self._office.inbox.begin(items):
            return
        try:
            if first.attempts >= ATTEMPTS:
                await self._interrupted(lane, head)
            else:
                await self._handle(items, running)
        except Uncertain:
            await self._interrupted(lane, head)
        except Refused as refused:
            _LOG.warning("update %d in %s: %s", head, lane, refused)
            if not refused.gone:
                await self._last_word(lane, head, _DEFECT)
        except (asyncio.CancelledError, TokenRefused):
            self._office.inbox.leave(items)
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the others go on
            _LOG.exception("update %d in %s", head, lane)
            await self._last_word(lane, head, _DEFECT)
        self._office.inbox.done(items)

    async def _interrupted(self, lane: Lane, head: int) -> None:
        _LOG.warning("update %d in %s was interrupted", head, lane)
        self._office.metrics.answers.labels("interrupted").inc()
        await self._last_word(lane, head, "I was interrupted, and something may be missing here. /retry asks again.")

    async def _last_word(self, lane: Lane, head: int, text: str) -> None:
        try:
            await self._office.delivery.say(lane, head, "last word", _piece(text))
        except (Refused, Uncertain) as error:
            _LOG.warning("update %d in %s: %s", head, lane, error)

    # ---- what it is --------------------------------------------------------------------------------------------------

    async def _handle(self, items: Sequence[Item], running: Running) -> None:
        office, head = self._office, items[0].id
        meant = [meaning for item in items if (meaning := office.understand(item.body)) is not None]
        if meant and isinstance(meant[0], Press):
            await self._press(meant[0])
            return
        messages = [one for one in meant if isinstance(one, Message)]
        if not messages or not (message := together(messages)).addressed:
            return
        if office.people.let_in_by(head):
            await self._reply(message, head, _IN)  # it ended between letting in and saying so
        elif not office.access.open_to(message.sender, message.lane):
            await self._stranger(message, head)
        elif message.command:
            await self._command(message, head, running)
        elif message.strange and not message.text:
            kind = message.strange.replace("_", " ")
            await self._reply(message, head, f"A {kind} is nothing that I know. Send text, voice, photos or documents.")
        elif not message.text and not message.attachments:
            await self._reply(message, head, "Yes? Say something with it.")
        else:
            await answer.answer(office, await answer.question(office, message, head), running)

    async def _command(self, message: Message, head: int, running: Running) -> None:
        office, lane = self._office, message.lane
        if message.command == "stop":
            if not self.stop(lane, head):
                await self._reply(message, head, "Nothing is being answered here.")
        elif message.command == "retry":
            await self._retry(message, head, running)
        else:
            reply = await commands.run(office, message)
            await self._tell(message, head, reply)

    async def _retry(self, message: Message, head: int, running: Running) -> None:
        office, lane = self._office, message.lane
        found = office.conversations.question(lane)
        if found is None:
            await self._reply(message, head, "There is no question to ask again.")
            return
        earlier, turn = found
        if earlier != head:
            office.conversations.move(lane, earlier, head, turn)
        spoken = any(medium.kind == "audio" for medium in turn.media)
        reply_to = 0 if lane.private else message.number
        await answer.answer(office, Question(lane, head, reply_to, turn, message.sender, spoken=spoken), running)

    async def _stranger(self, message: Message, head: int) -> None:
        """Somebody who was not let in: with the right code they are, else they are told their number."""
        office, lane = self._office, message.lane
        number = message.sender if lane.private else lane.chat
        if office.people.let_in(number, message.name, head, message.text):
            _LOG.info("%d was let in by a code", number)
            await self._reply(message, head, _IN)
        elif self._strangers.tell(number, time.monotonic()):
            what = "Your number is" if lane.private else "This group's number is"
            await self._reply(message, head, f"{what} {number}.")

    async def _press(self, press: Press) -> None:
        """A model was chosen by its button, or what an agent asked was decided."""
        office, text = self._office, ""
        if office.access.open_to(press.sender, press.lane):
            if press.data.startswith(commands.PRESS):
                text = await self._choose(press)
            elif press.data.startswith(asking.PRESS):
                text = office.questions.press(press)
        try:
            await office.api.answer_press(press.query, text)
        except (Refused, Flooded, NotSent, Unsure) as trouble:  # such as one that was pressed too long ago
            _LOG.info("a button in %s: %s", press.lane, trouble)

    async def _choose(self, press: Press) -> str:
        office = self._office
        try:
            models, now = await office.catalog.chats(), await office.model(press.lane)
        except NoModels:
            return "The model server does not answer."
        if (page := commands.page(press.data)) is not None:
            await self._turn(press, commands.choice(models, now, page))
            return ""
        chosen = next((model for model in models if commands.PRESS + model.token == press.data), None)
        if chosen is None:
            return "This model is not there any more."
        office.conversations.set(press.lane, "model", chosen.name)
        try:
            await office.delivery.change(press.lane, press.message, _piece(f"{chosen.name} answers from now on."))
        except Refused as refused:
            _LOG.info("the list in %s is gone: %s", press.lane, refused)
        return chosen.name[:MOST_SAID]

    async def _turn(self, press: Press, page: commands.Reply) -> None:
        try:
            await self._office.delivery.change(press.lane, press.message, page.pieces[0], page.buttons)
        except Refused as refused:
            _LOG.info("the list in %s is gone: %s", press.lane, refused)

    async def _tell(self, message: Message, head: int, reply: commands.Reply) -> None:
        """What a command answers."""
        pieces, reply_to = reply.pieces, 0 if message.lane.private else message.number
        for index, piece in enumerate(pieces):
            buttons = reply.buttons if index == len(pieces) - 1 else ()
            await self._office.delivery.say(
                message.lane, head, str(index), piece, reply_to=0 if index else reply_to, buttons=buttons
            )

    async def _reply(self, message: Message, head: int, text: str) -> None:
        reply_to = 0 if message.lane.private else message.number
        await self._office.delivery.say(message.lane, head, "0", _piece(text), reply_to=reply_to)

    def _complain(self, task: asyncio.Task[None]) -> None:
        """Whatever ended a task is told; its updates are taken up when something comes in, or by the next process."""
        if task.cancelled() or (exc := task.exception()) is None:
            return
        if isinstance(exc, TokenRefused):
            self._refused.set()
        else:
            _LOG.error("%s failed", task.get_name(), exc_info=exc)


def _piece(text: str) -> Piece:
    return Piece(to_html([Span(text)]), text)
