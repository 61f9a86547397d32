"""Conversations, what was set in them, and the files that belong to them; each lane's own.

A question that got no answer stays out of what models are shown: many refuse two questions in a row.
"""

import itertools
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from swapper.telegram.agent.base import Medium, Turn
from swapper.telegram.places import Lane
from swapper.telegram.store.database import Database
from swapper.telegram.store.moves import Moves

FILES = "files"
"""In the state directory: the folder in which each lane has one."""


class Conversations:
    """What is remembered of each lane."""

    def __init__(self, database: Database, files: Path, moves: Moves) -> None:
        """Know where things are.

        Args:
            database: The turns and settings.
            files: The folder in which each lane has one.
            moves: Under which number a chat is to be found by now.
        """
        self._database = database
        self._files = files
        self._moves = moves

    def folder(self, lane: Lane) -> Path:
        """Where a lane's files are; is there."""
        folder = self._files / str(self._moves.lane(lane))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def ask(self, lane: Lane, head: int, turn: Turn) -> None:
        """Note a question; one that is noted already is not noted again."""
        with self._database.transaction():
            if self._database.value("SELECT 1 FROM turns WHERE head = ?", head) is None:
                self._add(lane, head, turn)

    def answer(self, lane: Lane, head: int, turns: Iterable[Turn]) -> None:
        """Note the answer to it, and what else came of it. Within a transaction of the caller's."""
        for turn in turns:
            self._add(lane, head, turn)

    def turns(self, lane: Lane, head: int, most: int) -> tuple[Turn, ...]:
        """What a model is shown: answered questions with their answers, and the question that is being asked.

        Begins with a question, as models expect it.

        Args:
            lane: Whose conversation.
            head: The question that is being asked.
            most: Turns at most.
        """
        rows = self._database.rows(
            "SELECT role, text, media FROM turns AS turn WHERE chat = ? AND topic = ? AND (head = ? OR EXISTS"
            " (SELECT 1 FROM turns WHERE head = turn.head AND role = 'assistant')) ORDER BY id DESC LIMIT ?",
            *(*self._key(lane), head, most),
        )
        turns = map(_turn, reversed(rows))
        return tuple(itertools.dropwhile(lambda turn: turn.role != "user", turns))

    def question(self, lane: Lane) -> tuple[int, Turn] | None:
        """The last question, and which update asked it."""
        rows = self._database.rows(
            "SELECT role, text, media, head FROM turns WHERE chat = ? AND topic = ? AND role = 'user'"
            " AND head = (SELECT max(head) FROM turns WHERE chat = ? AND topic = ?) ORDER BY id LIMIT 1",
            *(*self._key(lane), *self._key(lane)),
        )
        return (int(str(rows[0][3])), _turn(rows[0])) if rows else None

    def move(self, lane: Lane, earlier: int, head: int, turn: Turn) -> None:
        """A question is asked again by another update: what came of it is taken out of the conversation."""
        with self._database.transaction():
            self._database.do("DELETE FROM turns WHERE chat = ? AND topic = ? AND head = ?", *self._key(lane), earlier)
            self._add(lane, head, turn)

    def lanes(self, chat: int) -> Sequence[Lane]:
        """All lanes of a chat of which something is remembered."""
        chat = self._moves.now(chat)
        rows = self._database.rows(
            "SELECT topic FROM turns WHERE chat = ? UNION SELECT topic FROM settings WHERE chat = ?", chat, chat
        )
        names = [folder.name.split(".") for folder in self._files.glob("*")]
        topics = {str(topic) for (topic,) in rows} | {(name[1:] or ["0"])[0] for name in names if name[0] == str(chat)}
        return [Lane(chat, int(topic)) for topic in sorted(topics)]

    def count(self, lane: Lane) -> int:
        """How many turns are remembered."""
        found = self._database.value("SELECT count(*) FROM turns WHERE chat = ? AND topic = ?", *self._key(lane))
        return int(str(found))

    def begin_anew(self, lane: Lane) -> None:
        """Forget what was said, and the files; what was set stays."""
        with self._database.transaction():
            self._database.do("DELETE FROM turns WHERE chat = ? AND topic = ?", *self._key(lane))
        self._database.forget()
        shutil.rmtree(self._files / str(self._moves.lane(lane)), ignore_errors=True)

    def forget(self, lane: Lane) -> None:
        """Forget all of it: nothing remains on disk."""
        with self._database.transaction():
            self._database.do("DELETE FROM settings WHERE chat = ? AND topic = ?", *self._key(lane))
        self.begin_anew(lane)

    def setting(self, lane: Lane, name: str) -> str | None:
        """What was set here."""
        found = self._database.value(
            "SELECT value FROM settings WHERE chat = ? AND topic = ? AND name = ?", *self._key(lane), name
        )
        return found if isinstance(found, str) else None

    def set(self, lane: Lane, name: str, value: str | None) -> None:
        """Set something here; None takes it back."""
        key = (*self._key(lane), name)
        if value is None:
            self._database.do("DELETE FROM settings WHERE chat = ? AND topic = ? AND name = ?", *key)
        else:
            self._database.do("INSERT OR REPLACE INTO settings VALUES (?, ?, ?, ?)", *key, value)

    def _add(self, lane: Lane, head: int, turn: Turn) -> None:
        media = json.dumps([[medium.kind, medium.mime, medium.name, str(medium.path)] for medium in turn.media])
        self._database.do(
            "INSERT INTO turns (chat, topic, head, role, text, media) VALUES (?, ?, ?, ?, ?, ?)",
            *(*self._key(lane), head, turn.role, turn.text, media),
        )

    def _key(self, lane: Lane) -> tuple[int, int]:
        return self._moves.now(lane.chat), lane.topic


def _turn(row: Sequence[object]) -> Turn:
    media = tuple(Medium(kind, mime, name, Path(path)) for kind, mime, name, path in json.loads(str(row[2])))
    return Turn(str(row[0]), str(row[1]), media)
