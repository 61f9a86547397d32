"""The service as a whole: the database, the agent, port 4000 and the bot, from their beginning to their end."""

import asyncio
import contextlib
import shutil
import time
from pathlib import Path

import aiohttp

from swapper.client import Router
from swapper.host import notify
from swapper.outside.addresses import Allowed
from swapper.telegram.agent.admission import Admission
from swapper.telegram.agent.api import routes as agent_routes
from swapper.telegram.agent.base import Agent
from swapper.telegram.agent.codex import Codex, CodexAgent
from swapper.telegram.agent.loop import ToolAgent
from swapper.telegram.agent.tools import Bench
from swapper.telegram.agent.tools.page import page_door
from swapper.telegram.api import Api, TokenRefused
from swapper.telegram.bot import Bot, Given
from swapper.telegram.metrics import Metrics
from swapper.telegram.store import DATABASE, FILES, Database, Inbox, Moves
from swapper.telegram.web import Port, Status, own_routes

MADE = "made"
"""In the state directory: recordings that are still to be sent, and what other programs send to port 4000."""

KEPT = 86400.0
"""Seconds that such files are kept: an answer that is not sent by then is not sent any more."""

TIDY = 3600.0
"""Seconds between removals of what is not needed any more."""


async def run(given: Given, ending: asyncio.Event) -> None:
    """Run the bot until it is to end.

    Raises:
        TokenRefused: Telegram does not know the token, or does not any more.
        sqlite3.Error: The database cannot be used.
    """
    refused = False
    try:
        await _run(given, ending)
    except* TokenRefused:
        refused = True
    if refused:
        raise TokenRefused


async def _run(given: Given, ending: asyncio.Event) -> None:
    metrics, status = Metrics(), Status()
    async with contextlib.AsyncExitStack() as stack:
        database = stack.enter_context(contextlib.closing(Database(given.state / DATABASE)))
        moves = Moves(database, given.state / FILES)
        api = Api(given.token, given.settings.api, moves)
        stack.push_async_callback(api.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        inbox = Inbox(database)
        bench = _bench(given, session)
        stack.push_async_callback(bench.door.close)
        bot = Bot(given, api, session, _agent(given, bench), moves, metrics, status)
        served = agent_routes(Admission(given.keys), ToolAgent(bench, without={"speak"}), bench, given.settings.model)
        port = Port([*own_routes(status, metrics, inbox.waiting), *bot.routes(), *served])
        stack.push_async_callback(port.close)
        await port.open(given.sockets)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (bot.work(), _watchdog(), _tidy(inbox, bench.folder))]
            await _either(ending, bot.settled)
            notify.ready()
            await ending.wait()
            notify.stopping()
            for task in tasks:
                task.cancel()


def _agent(given: Given, bench: Bench) -> Agent:
    """Who answers in chats."""
    if given.settings.agent == "codex":
        return CodexAgent(bench, Codex(given.codex_key, given.settings.codex.approval))
    return ToolAgent(bench)


def _bench(given: Given, session: aiohttp.ClientSession) -> Bench:
    folder = given.state / MADE
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = given.settings
    return Bench(Router(session, settings.router, given.key), page_door(Allowed()), folder, settings.senses)


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _watchdog() -> None:
    interval = notify.watchdog_interval()
    while interval is not None:
        notify.watchdog()
        await asyncio.sleep(interval)


async def _tidy(inbox: Inbox, made: Path) -> None:
    while True:
        inbox.tidy()
        await asyncio.to_thread(_sweep, made, time.time() - KEPT)
        await asyncio.sleep(TIDY)


def _sweep(folder: Path, before: float) -> None:
    """Remove what was made before that: who was to take it was killed."""
    for left in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime >= before:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()
