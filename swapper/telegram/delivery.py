"""Messages on their way: each written down, sent, and written down again (`store/outbox.py` says why)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from swapper.telegram.api import Api, Button, Flooded, NotSent, Refused, TokenRefused, Unsure
from swapper.telegram.places import Lane
from swapper.telegram.store import Outbox, Uncertain
from swapper.telegram.text import Attached, Piece

_LOG = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts to reach Telegram."""


class Delivery:
    """Sends what belongs to an update."""

    def __init__(self, api: Api, outbox: Outbox) -> None:
        self._api = api
        self._outbox = outbox
        self._sending: set[asyncio.Task[int]] = set()

    async def say(
        self, lane: Lane, head: int, part: str, piece: Piece, *, reply_to: int = 0, buttons: Sequence[Button] = ()
    ) -> int:
        """Send a message, unless it was sent before; its number.

        Args:
            lane: Where.
            head: Which update's answer it belongs to.
            part: Which of that answer's messages it is.
            piece: What it says.
            reply_to: The message that it answers; 0: none.
            buttons: What stands below it.

        Raises:
            Refused: Telegram does not take it.
            Uncertain: It may have been sent, so it must not be sent again.
        """
        return await self._once(lane, head, part, lambda: self._api.send(lane, piece, reply_to, buttons))

    async def attach(self, lane: Lane, head: int, part: str, file: Attached, *, reply_to: int = 0) -> int:
        """Send a file, likewise."""
        data = file.text.encode()
        return await self._once(lane, head, part, lambda: self._api.send_file(lane, file.name, data, reply_to))

    async def once(self, lane: Lane, head: int, part: str, send: Callable[[], Awaitable[int]]) -> int:
        """Send anything else, likewise."""
        return await self._once(lane, head, part, send)

    async def change(self, lane: Lane, message: int, piece: Piece, buttons: Sequence[Button] = ()) -> None:
        """Change a message for good, however long that takes.

        Raises:
            Refused: It is not there any more.
        """
        pause = FIRST_PAUSE
        while True:
            await self._api.turn(lane)
            try:
                await self._api.edit(lane, message, piece, buttons)
            except Flooded:
                continue
            except (NotSent, Unsure) as error:
                _LOG.warning("a message could not be changed: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            return

    async def close(self, patience: float) -> None:
        """Wait for what is on its way right now."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=patience)

    async def _once(self, lane: Lane, head: int, part: str, send: Callable[[], Awaitable[int]]) -> int:
        pause = FIRST_PAUSE
        while True:
            await self._api.turn(lane)
            # Whoever is cancelled leaves this running: what is on its way arrives, and that it did is written down.
            task = asyncio.create_task(self._attempt(head, part, send), name=f"send {head}/{part}")
            self._sending.add(task)
            task.add_done_callback(self._ended)
            try:
                return await asyncio.shield(task)
            except Flooded:
                continue
            except NotSent as error:
                _LOG.warning("Telegram cannot be reached: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _ended(self, task: asyncio.Task[int]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may, at the end

    async def _attempt(self, head: int, part: str, send: Callable[[], Awaitable[int]]) -> int:
        if (known := self._outbox.intend(head, part)) is not None:
            return known
        try:
            number = await send()
        except (Flooded, NotSent, Refused, TokenRefused):
            self._outbox.retract(head, part)
            raise
        except Unsure as error:
            _LOG.error("a message may have been sent, or not: %s", error)
            raise Uncertain(part) from error
        self._outbox.confirm(head, part, number)
        return number
