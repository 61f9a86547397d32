"""The bot's work: it connects to Telegram, takes up what an earlier process left, and takes in what comes."""

import asyncio
import functools
import logging
import secrets
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from swapper.host import notify
from swapper.keys import Known
from swapper.telegram import commands
from swapper.telegram.access import Access
from swapper.telegram.agent.base import Agent
from swapper.telegram.agent.codex_server import CodexPlaces
from swapper.telegram.api import Api, Flooded, NotSent, Refused, Unsure
from swapper.telegram.catalog import Catalog
from swapper.telegram.delivery import Delivery
from swapper.telegram.desk import Desk
from swapper.telegram.ending import end, firmly
from swapper.telegram.incoming import Me
from swapper.telegram.intake import Intake
from swapper.telegram.media import Collector
from swapper.telegram.metrics import Metrics
from swapper.telegram.office import Office
from swapper.telegram.settings import Settings, Webhook
from swapper.telegram.store import FILES, Conversations, Inbox, Moves, Outbox, People
from swapper.telegram.web import Status, webhook_route

PATIENCE = 5.0
"""Seconds that a start waits for Telegram; after that it goes on without, and keeps trying."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts to reach Telegram."""

WATCH = 60.0
"""Seconds between looks at how Telegram fares with a webhook."""

UNREACHED = "Telegram is not reached"
WEBHOOK_REFUSED = "Telegram refuses the webhook"
WEBHOOK_FAILED = "Telegram does not get through to the webhook"
WEBHOOK_HINT = (
    "A webhook is called from the internet: its name has to resolve there, its port to be 443, 80, 88 or 8443, its "
    "certificate to be one that everybody trusts, and what has it has to pass calls on to http://127.0.0.1:4000, their "
    "path unchanged. Without `webhook:` in /etc/swapper/telegram.yaml the bot asks Telegram for news itself"
)
"""What to do, by core.telegram.org/bots/webhooks."""

STORE_PAUSE = 10.0
"""Seconds between attempts to store what Telegram sent."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    """What the service is started with.

    Attributes:
        settings: The configuration.
        token: The bot's.
        key: The router's API key, or empty.
        codex_key: The one that Codex gets.
        keys: Those that port 4000 asks for: the router's; None where nobody made keys.
        state: The state directory.
        sockets: Port 4000.
    """

    settings: Settings
    token: str
    key: str
    codex_key: str
    keys: Sequence[Known] | None
    state: Path
    sockets: Sequence[socket.socket]


class Bot:
    """One run of the bot."""

    def __init__(
        self,
        given: Given,
        api: Api,
        session: aiohttp.ClientSession,
        agent: Agent,
        moves: Moves,
        metrics: Metrics,
        status: Status,
    ) -> None:
        self._given = given
        self._api = api
        self._session = session
        self._agent = agent
        self._moves = moves
        self._metrics = metrics
        self._status = status
        self._secret = secrets.token_urlsafe(32)
        self._intake: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
        self._name = ""
        self._told = ""
        self._heard = time.time()  # since then Telegram has got through to a webhook, as far as is known
        self.settled = asyncio.Event()
        """Set once Telegram knows the bot, or is not to be reached."""

    def routes(self) -> Iterable[web.RouteDef]:
        """What is served on port 4000 because of the chat."""
        webhook = self._given.settings.webhook
        if webhook is not None:
            yield webhook_route(webhook.path, self._secret, self._called)

    def _called(self, updates: Sequence[Mapping[str, Any]]) -> None:
        if not self._intake.done():
            raise web.HTTPServiceUnavailable  # it is not known yet who the bot is; Telegram calls again
        self._intake.result().take(updates)
        self._heard = time.time()
        self._reached(UNREACHED, WEBHOOK_REFUSED, WEBHOOK_FAILED)

    async def work(self) -> None:
        """Connect to Telegram, take up what an earlier process left, and take in what comes."""
        me = await firmly(self._connect())
        office = self._office(me)
        desk = Desk(office)
        intake = Intake(office, desk)
        try:
            self._intake.set_result(intake)
            desk.resume()
            self.settled.set()
            working = [asyncio.create_task(desk.refused()), asyncio.create_task(self._listen(intake))]
            try:
                done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await end(working)
        finally:
            await desk.close()

    async def _connect(self) -> Me:
        asyncio.get_running_loop().call_later(PATIENCE, self.settled.set)
        me = await self._persist(self._api.open)
        self._name = f"@{me.username}"
        self._reached(UNREACHED)
        return me

    async def _listen(self, intake: Intake) -> None:
        """Tell Telegram how updates come, and which commands there are; then take in what comes."""
        webhook = self._given.settings.webhook
        introduce = functools.partial(self._api.set_commands, commands.LISTED)
        if webhook is None:
            await self._persist(self._api.delete_webhook)
            await self._persist(introduce)
            await self._poll(intake)
        else:
            await self._set(webhook)
            await self._persist(introduce)
            await self._watch(webhook)

    async def _set(self, webhook: Webhook) -> None:
        await self._persist(functools.partial(self._api.set_webhook, webhook.url, self._secret), WEBHOOK_REFUSED)

    async def _watch(self, webhook: Webhook) -> None:
        """See now and then whether Telegram gets through, which it tells nobody but who asks."""
        told = 0
        while True:
            info = await self._persist(self._api.webhook_info)
            if info.url != webhook.url:
                _LOG.warning("the webhook was another one: %r. Does something else run with this token?", info.url)
                await self._set(webhook)
            elif info.failed > max(told, self._heard):
                told = info.failed
                self._lost(f"{webhook.url}: {info.why}", WEBHOOK_FAILED)
            await asyncio.sleep(WATCH)

    async def _poll(self, intake: Intake) -> None:
        """Ask for updates, for ever. Those that are stored are confirmed by the next question, and by that one only.

        So nothing depends on numbers of long ago: Telegram may count anew after a week without updates.
        """
        offset: int | None = None
        while True:
            updates = await self._persist(functools.partial(self._api.updates, offset))
            try:
                intake.take(updates)
            except sqlite3.Error:
                _LOG.exception("updates cannot be stored")
                await asyncio.sleep(STORE_PAUSE)
                continue  # unconfirmed, so they come again
            offset = max((int(update["update_id"]) for update in updates), default=-1) + 1 or None

    async def _persist[T](self, call: Callable[[], Awaitable[T]], refused: str = UNREACHED) -> T:
        """Call Telegram until it answers.

        Args:
            call: What is called.
            refused: What is the matter where Telegram answers, but does not do it.

        Raises:
            TokenRefused: It answers that it does not know the token.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                result = await call()
            except Refused as trouble:
                self._lost(str(trouble), refused)
            except (Flooded, NotSent, Unsure) as trouble:
                self._lost(str(trouble))
            else:
                self._reached(UNREACHED, refused)
                return result
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _reached(self, *cleared: str) -> None:
        """All is well, if nothing but such a trouble was the matter."""
        if self._status.trouble not in cleared or not self._name:
            return
        _LOG.info("Telegram is reached: %s", self._name)
        notify.status(f"{self._name} listens")
        self._told = self._status.trouble = ""
        self._metrics.connected.set(1)

    def _lost(self, why: str, what: str = UNREACHED) -> None:
        if self._told != what:
            _LOG.warning("%s, and tried again: %s", what, why)
            if what != UNREACHED:
                _LOG.warning("%s", WEBHOOK_HINT)
            notify.status(what if what == UNREACHED else f"{what}: {why}")
        self._told = self._status.trouble = what
        self._metrics.connected.set(0)

    def _office(self, me: Me) -> Office:
        given, database = self._given, self._moves.database
        settings, outbox = given.settings, Outbox(database)
        people = People(database, given.state)
        return Office(
            settings=settings,
            me=me,
            api=self._api,
            agent=self._agent,
            workplaces=CodexPlaces(),
            catalog=Catalog(self._session, settings.router, given.key),
            collector=Collector(self._api),
            delivery=Delivery(self._api, outbox),
            database=database,
            inbox=Inbox(database),
            outbox=outbox,
            conversations=Conversations(database, given.state / FILES, self._moves),
            people=people,
            moves=self._moves,
            access=Access(settings, people, self._moves.now),
            metrics=self._metrics,
        )
