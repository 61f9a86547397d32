"""Who was let in by a code, beside those whom the configuration names."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swapper.telegram import pairing
from swapper.telegram.store.database import Database


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was let in.

    Attributes:
        number: Of a user (above zero) or a group (below).
        name: How they were called then, in their own words.
        since: Seconds since 1970.
    """

    number: int
    name: str
    since: float

    @property
    def shown(self) -> str:
        """The name as part of a line: it is a stranger's, and must not do anything to a terminal."""
        return "".join(character if character.isprintable() else " " for character in self.name)[:60].strip()


class People:
    """Who was let in."""

    def __init__(self, database: Database, state: Path) -> None:
        """Know where things are.

        Args:
            database: Their numbers.
            state: The state directory, where codes are left.
        """
        self._database = database
        self._state = state

    def __contains__(self, number: object) -> bool:
        return self._database.value("SELECT 1 FROM people WHERE id = ?", number) is not None

    def all(self) -> Sequence[Person]:
        """Everybody, those who came first before the others."""
        rows = self._database.rows("SELECT id, name, since FROM people ORDER BY since, id")
        return [Person(int(str(number)), str(name), float(str(since))) for number, name, since in rows]

    def remove(self, number: int) -> bool:
        """Let somebody out again; False where they were not in."""
        return bool(self._database.do("DELETE FROM people WHERE id = ?", number))

    def let_in_by(self, head: int) -> bool:
        """Whether it was this update that let somebody in."""
        return self._database.value("SELECT 1 FROM people WHERE head = ?", head) is not None

    def let_in(self, number: int, name: str, head: int, code: str) -> bool:
        """Let a user (above zero) or a group (below) in, if the code is the one that was given out. It holds once.

        Args:
            number: Whom.
            name: How they are called.
            head: The update that brought the code.
            code: What they said.
        """
        with self._database.transaction():
            good = pairing.redeem(self._state, code, time.time())
            if good:
                values = (number, name, head, time.time())
                self._database.do("INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)", *values)
        return good
