"""Groups that Telegram gave another number: a group that becomes a supergroup is another chat from then on.

What is stored goes to the new number; what was begun under the old one, and what an administrator wrote, is led there
by what is remembered here. ("migrate_to_chat_id" in "Message" and "ResponseParameters", core.telegram.org/bots/api)
"""

import contextlib
import shutil
from pathlib import Path

from swapper.telegram.places import Lane
from swapper.telegram.store.database import Database


class Moves:
    """Which chat has become which."""

    def __init__(self, database: Database, files: Path) -> None:
        """Know where things are, and take along what an earlier process began in a chat that has moved.

        Args:
            database: All that is stored by a chat's number.
            files: The folder in which each lane has one.
        """
        self.database = database
        self._files = files
        self._known = dict[int, int]()
        for old, new in database.rows("SELECT old, new FROM moves"):
            if isinstance(old, int) and isinstance(new, int):
                self._known[old] = new
                database.do("UPDATE updates SET chat = ? WHERE chat = ? AND state != 'done'", new, old)

    def now(self, chat: int) -> int:
        """A chat's number of today."""
        return self._known.get(chat, chat)

    def lane(self, lane: Lane) -> Lane:
        """A lane as it is called today."""
        return Lane(self.now(lane.chat), lane.topic)

    def origin(self, lane: Lane) -> Lane:
        """A lane as it was called first: for what is kept elsewhere under its name, and does not go along.

        Groups have numbers closer to zero than the supergroups that they become.
        """
        chat = self.now(lane.chat)
        return Lane(max((old for old, new in self._known.items() if new == chat), default=chat), lane.topic)

    def move(self, old: int, new: int) -> bool:
        """A chat has another number; False where that was known. Within no transaction.

        What waits there goes along. What is begun stays with who works on it.
        """
        if self.now(old) == new or old == new or self.now(new) == old:
            return False
        with self.database.transaction():
            self.database.do("INSERT OR REPLACE INTO moves VALUES (?, ?)", old, new)
            self.database.do("UPDATE moves SET new = ? WHERE new = ?", new, old)
            self.database.do("UPDATE turns SET chat = ? WHERE chat = ?", new, old)
            self.database.do("UPDATE OR REPLACE settings SET chat = ? WHERE chat = ?", new, old)
            self.database.do("UPDATE OR REPLACE people SET id = ? WHERE id = ?", new, old)
            # Messages have other numbers there: no preview of before can be changed any more.
            self.database.do(
                "DELETE FROM sent WHERE part = 'live' AND message IS NOT NULL"
                " AND head IN (SELECT id FROM updates WHERE chat = ?)",
                old,
            )
            self.database.do("UPDATE updates SET chat = ? WHERE chat = ? AND state = 'waiting'", new, old)
        self._known = {chat: new if now == old else now for chat, now in self._known.items()} | {old: new}
        self._take_along(self._files / str(Lane(old)), self._files / str(Lane(new)))
        return True

    def _take_along(self, old: Path, new: Path) -> None:
        """Files. A link remains: what is stored, and what is under way, has their paths."""
        if old.is_symlink() or not old.is_dir():
            return
        if new.exists():
            for file in old.iterdir():
                file.replace(new / file.name)
            shutil.rmtree(old)
        else:
            old.rename(new)
        with contextlib.suppress(FileExistsError):
            old.symlink_to(new.name)
