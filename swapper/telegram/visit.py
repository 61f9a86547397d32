"""What `swapperctl`, run by root, does in the bot's state directory while the bot runs.

The directory belongs to the bot, so nothing in it is trusted: root becomes the bot's user before it looks into it, for
good. The bot asks its database at every update who is let in, and so learns of it with the next one.
"""

import asyncio
import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from swapper.config.errors import ConfigErrors
from swapper.telegram import settings
from swapper.telegram.agent.base import UnforgottenError, Workplaces
from swapper.telegram.agent.codex_server import CodexPlaces
from swapper.telegram.pairing import STATE
from swapper.telegram.store import DATABASE, FILES, Conversations, Database, Moves, People, Person


def people(state: Path = STATE) -> Sequence[Person]:
    """Who was let in by a code, those who came first before the others.

    Raises:
        OSError: The directory is not there, is somebody else's, or its database cannot be used.
    """
    with _database(state) as database:
        return People(database, state).all()


def remove(number: int, *, forget: bool, state: Path = STATE, workplaces: Workplaces | None = None) -> bool:
    """Take back that somebody was let in; whether anything was there to be taken back.

    Args:
        number: A user's (above zero) or a group's (below).
        forget: Delete what was said in that chat, and what was set there.
        state: The state directory.
        workplaces: Where an agent works for that chat; None for Codex's.

    Raises:
        OSError: As above, or not all of it could be deleted.
    """
    with _database(state) as database:
        known = People(database, state).remove(number)
        if forget:
            moves = Moves(database, state / FILES)
            conversations = Conversations(database, state / FILES, moves)
            lanes = conversations.lanes(number)
            for lane in lanes:
                conversations.forget(lane)
            asyncio.run(_forget(workplaces or CodexPlaces(), [str(moves.origin(lane)) for lane in lanes]))
            known = known or bool(lanes)
        return known


async def _forget(workplaces: Workplaces, places: Sequence[str]) -> None:
    try:
        for place in places:
            await workplaces.forget(place)
    except UnforgottenError as error:
        raise OSError(f"what was said is deleted, but maybe not the files that Codex made there: {error}") from error


def named() -> frozenset[int]:
    """Who is let in by the configuration; nobody, where that has a mistake."""
    with contextlib.suppress(ConfigErrors):
        found = settings.load()
        return found.users | found.groups
    return frozenset()


@contextlib.contextmanager
def _database(state: Path) -> Iterator[Database]:
    owner = state.lstat()
    if not stat.S_ISDIR(owner.st_mode):
        raise NotADirectoryError(f"{state} is no directory")
    _become(owner)
    file = state / DATABASE
    file.lstat()  # it is not made here
    try:
        with contextlib.closing(Database(file)) as database:
            yield database
    except sqlite3.Error as error:
        raise OSError(f"{file}: {error}") from error


def _become(owner: os.stat_result) -> None:
    """Be the directory's owner, whatever one was, with that one's group alone."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
