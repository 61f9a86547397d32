"""The bot's work: it connects to Telegram, takes up what an earlier process left, and takes in what comes."""

import asyncio
import functools
import logging
import secrets
import socket
import sqlite3
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
from swapper.telegram.api import Api, Flooded, NotSent, Refused, Unsure
from swapper.telegram.catalog import Catalog
from swapper.telegram.delivery import Delivery
from swapper.telegram.desk import Desk
from swapper.telegram.incoming import Me
from swapper.telegram.intake import Intake
from swapper.telegram.media import Collector
from swapper.telegram.metrics import Metrics
from swapper.telegram.office import Office
from swapper.telegram.settings import Settings
from swapper.telegram.store import Conversations, Database, Inbox, Outbox, People
from swapper.telegram.web import Status, webhook_route

FILES = "files"
"""In the state directory."""

PATIENCE = 10.0
"""Seconds that a start waits for Telegram; after that it goes on without, and keeps trying."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts to reach Telegram."""

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
        keys: Those that port 4000 asks for: the router's; None where nobody made keys.
        state: The state directory.
        sockets: Port 4000.
    """

    settings: Settings
    token: str
    key: str
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
        database: Database,
        metrics: Metrics,
        status: Status,
    ) -> None:
        self._given = given
        self._api = api
        self._session = session
        self._agent = agent
        self._database = database
        self._metrics = metrics
        self._status = status
        self._secret = secrets.token_urlsafe(32)
        self._intake: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
        self._name = ""
        self._told = False
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

    async def work(self) -> None:
        """Connect to Telegram, take up what an earlier process left, and take in what comes."""
        me = await self._connect()
        office = self._office(me)
        desk = Desk(office)
        intake = Intake(office, desk)
        try:
            self._intake.set_result(intake)
            desk.resume()
            self.settled.set()
            await self._introduce()
            if self._given.settings.webhook is None:
                await self._poll(intake)
            await asyncio.Event().wait()
        finally:
            await desk.close()

    async def _connect(self) -> Me:
        asyncio.get_running_loop().call_later(PATIENCE, self.settled.set)
        me = await self._persist(self._api.open)
        self._name = f"@{me.username}"
        self._reached()
        return me

    async def _introduce(self) -> None:
        """Tell Telegram how updates come, and which commands there are."""
        webhook = self._given.settings.webhook
        if webhook is None:
            await self._persist(self._api.delete_webhook)
        else:
            await self._persist(lambda: self._api.set_webhook(webhook.url, self._secret))
        await self._persist(lambda: self._api.set_commands(commands.LISTED))

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

    async def _persist[T](self, call: Callable[[], Awaitable[T]]) -> T:
        """Call Telegram until it answers.

        Raises:
            TokenRefused: It answers that it does not know the token.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                result = await call()
            except (Flooded, NotSent, Refused, Unsure) as trouble:
                self._lost(trouble)
            else:
                self._reached()
                return result
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _reached(self) -> None:
        if not self._status.telegram and self._name:
            _LOG.info("Telegram is reached: %s", self._name)
            notify.status(f"{self._name} listens")
        self._status.telegram = True
        self._metrics.connected.set(1)

    def _lost(self, trouble: Exception) -> None:
        if self._status.telegram or not self._told:
            _LOG.warning("Telegram is not reached, and tried again: %s", trouble)
            notify.status("Telegram is not reached")
        self._told, self._status.telegram = True, False
        self._metrics.connected.set(0)

    def _office(self, me: Me) -> Office:
        given, database = self._given, self._database
        settings, outbox = given.settings, Outbox(database)
        people = People(database, given.state)
        return Office(
            settings=settings,
            me=me,
            api=self._api,
            agent=self._agent,
            catalog=Catalog(self._session, settings.router, given.key),
            collector=Collector(self._api),
            delivery=Delivery(self._api, outbox),
            database=database,
            inbox=Inbox(database),
            outbox=outbox,
            conversations=Conversations(database, given.state / FILES),
            people=people,
            access=Access(settings, people),
            metrics=self._metrics,
        )
