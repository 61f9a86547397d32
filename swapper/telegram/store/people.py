"""Who was let in by a code, beside those whom the configuration names."""

import time
from pathlib import Path

from swapper.telegram import pairing
from swapper.telegram.store.database import Database


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
