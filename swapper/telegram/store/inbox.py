"""Updates: each is taken in once, and done when its answer is.

    waiting ──> begun ──> done        begun at start-up: the process ended in the middle of it

Telegram forgets an update when we ask for later ones, so it is stored before. Done ones are remembered, without what
they said, for as long as Telegram might repeat them.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swapper.telegram.places import Lane
from swapper.telegram.store.database import Database

KEPT = 8 * 86400.0
"""Seconds; Telegram keeps what nobody fetched for a day, and counts anew after a week ("Update" in the manual)."""


STOPPED = 1000
"""Attempts of what somebody stopped: more than anything is begun."""


@dataclass(frozen=True, slots=True)
class Item:
    """An update to be worked on.

    Attributes:
        id: Telegram's number.
        lane: Where it belongs.
        album: `media_group_id`, or empty.
        begun: Whether an earlier process began with it.
        head: The first of those that are answered together, once begun.
        attempts: How often it was begun.
        arrived: Seconds since 1970.
        body: What Telegram sent.
    """

    id: int
    lane: Lane
    album: str
    begun: bool
    head: int
    attempts: int
    arrived: float
    body: Mapping[str, Any]


_COLUMNS = "id, chat, topic, album, state, head, attempts, arrived, body"


class Inbox:
    """The updates."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_in(self, body: Mapping[str, Any], lane: Lane, *, album: str = "", express: bool = False) -> bool:
        """Store an update; False where it was known already. Within a transaction of the caller's."""
        number, text = int(body["update_id"]), json.dumps(body, ensure_ascii=False)
        return bool(
            self._database.do(
                "INSERT OR IGNORE INTO updates VALUES (?, ?, ?, ?, ?, 'waiting', 0, 0, ?, ?)",
                *(number, lane.chat, lane.topic, album, int(express), time.time(), text),
            )
        )

    def open_lanes(self) -> Sequence[Lane]:
        """Where something waits, or was begun."""
        found = self._database.rows("SELECT DISTINCT chat, topic FROM updates WHERE state != 'done' AND express = 0")
        return [Lane(*map(_int, row)) for row in found]

    def open_express(self) -> Sequence[Item]:
        """What does not wait for others, and is not done."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM updates WHERE state != 'done' AND express = 1 ORDER BY id")  # noqa: S608
        return [_item(row) for row in rows]

    def item(self, number: int) -> Item:
        """One update that is not done."""
        return _item(self._database.rows(f"SELECT {_COLUMNS} FROM updates WHERE id = ?", number)[0])  # noqa: S608

    def next(self, lane: Lane) -> Item | None:
        """What is to be done next in a lane: first what was begun."""
        query = (
            f"SELECT {_COLUMNS} FROM updates WHERE state != 'done' AND express = 0 AND chat = ? AND topic = ?"  # noqa: S608
            " ORDER BY state, id LIMIT 1"
        )
        rows = self._database.rows(query, lane.chat, lane.topic)
        return _item(rows[0]) if rows else None

    def album(self, item: Item) -> Sequence[Item]:
        """Those that belong to the same album as this one; of one that was begun, those that were begun with it."""
        query = (
            f"SELECT {_COLUMNS} FROM updates WHERE state != 'done' AND express = 0 AND chat = ? AND topic = ?"  # noqa: S608
            " AND album = ? AND head = ? ORDER BY id"
        )
        return [_item(row) for row in self._database.rows(query, *_key(item.lane), item.album, item.head)]

    def begin(self, items: Sequence[Item]) -> bool:
        """Work on these begins, again or for the first time; they are answered together. False: they were given up."""
        statement = (
            "UPDATE updates SET state = 'begun', head = ?, attempts = attempts + 1 WHERE id = ? AND state != 'done'"
        )
        with self._database.transaction():
            changed = [self._database.do(statement, items[0].id, item.id) for item in items]
        return bool(changed[0])

    def leave(self, items: Iterable[Item]) -> None:
        """The process ends in good order: that it began with these is held against nobody."""
        with self._database.transaction():
            for item in items:
                self._database.do("UPDATE updates SET attempts = attempts - 1 WHERE id = ?", item.id)

    def stop(self, lane: Lane, number: int) -> bool:
        """What is begun in a lane, and came before this update, is not begun once more; whether there is any."""
        statement = (
            "UPDATE updates SET attempts = ?"
            " WHERE state = 'begun' AND express = 0 AND chat = ? AND topic = ? AND id < ?"
        )
        return self._database.do(statement, STOPPED, *_key(lane), number) > 0

    def done(self, items: Iterable[Item]) -> None:
        """These are done, and what they said is not needed any more."""
        with self._database.transaction():
            for item in items:
                self._database.do("UPDATE updates SET state = 'done', body = '' WHERE id = ?", item.id)
                self._database.do("DELETE FROM sent WHERE head = ?", item.id)
                self._database.do("DELETE FROM answers WHERE head = ?", item.id)

    def earlier(self, lane: Lane, number: int) -> Sequence[Item]:
        """What is not done in a lane and came before this update."""
        query = (
            f"SELECT {_COLUMNS} FROM updates WHERE state != 'done' AND express = 0 AND chat = ? AND topic = ?"  # noqa: S608
            " AND id < ? ORDER BY id"
        )
        return [_item(row) for row in self._database.rows(query, *_key(lane), number)]

    def waiting(self) -> int:
        """How many are not done."""
        return _int(self._database.value("SELECT count(*) FROM updates WHERE state != 'done'"))

    def tidy(self) -> None:
        """Forget those that were done long ago."""
        self._database.do("DELETE FROM updates WHERE state = 'done' AND arrived < ?", time.time() - KEPT)


def _int(value: object) -> int:
    assert isinstance(value, int)  # noqa: S101 - the column's type
    return value


def _key(lane: Lane) -> tuple[int, int]:
    return lane.chat, lane.topic


def _item(row: Sequence[Any]) -> Item:
    number, chat, topic, album, state, head, attempts, arrived, body = row
    return Item(number, Lane(chat, topic), album, state == "begun", head, attempts, arrived, json.loads(body))
