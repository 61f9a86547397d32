"""Messages that are sent exactly once, as far as that is possible.

The Bot API takes the same message twice, so that it is about to be sent is written down before, and its number after.
Where a process finds the first without the second, nobody can know whether it arrived: then it is not sent again, and
the chat is told that something may be missing. Changing a message that is there is harmless however often it is done.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from swapper.telegram.store.database import Database


class Uncertain(Exception):  # noqa: N818 - a state of knowledge rather than an error
    """A message may have been sent, or not."""


class Outbox:
    """What has been sent of the answers that are not done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def intend(self, head: int, part: str) -> int | None:
        """Write down that a message is about to be sent.

        Args:
            head: Which answer's.
            part: Which of its messages.

        Returns:
            Its number where it has been sent already: then it must not be sent again.

        Raises:
            Uncertain: Somebody was about to send it before.
        """
        if self._database.do("INSERT OR IGNORE INTO sent VALUES (?, ?, NULL)", head, part):
            return None
        message = self._database.value("SELECT message FROM sent WHERE head = ? AND part = ?", head, part)
        if not isinstance(message, int):
            raise Uncertain(part)
        return message

    def confirm(self, head: int, part: str, message: int) -> None:
        """It has been sent."""
        self._database.do("UPDATE sent SET message = ? WHERE head = ? AND part = ?", message, head, part)

    def retract(self, head: int, part: str) -> None:
        """It has certainly not been sent."""
        self._database.do("DELETE FROM sent WHERE head = ? AND part = ?", head, part)

    def message(self, head: int, part: str) -> int | None:
        """The number of a message that has been sent."""
        message = self._database.value("SELECT message FROM sent WHERE head = ? AND part = ?", head, part)
        return message if isinstance(message, int) else None

    def messages(self, head: int, begin: str) -> Sequence[int]:
        """The numbers of all that have been sent whose parts begin so."""
        rows = self._database.rows(
            "SELECT message FROM sent WHERE head = ? AND substr(part, 1, ?) = ? AND message IS NOT NULL",
            *(head, len(begin), begin),
        )
        return [int(str(message)) for (message,) in rows]

    def keep(self, head: int, answer: Mapping[str, Any]) -> None:
        """The answer is whole: from here on it is delivered, not made again. Within a transaction of the caller's."""
        self._database.do("INSERT OR REPLACE INTO answers VALUES (?, ?)", head, json.dumps(answer, ensure_ascii=False))

    def kept(self, head: int) -> Mapping[str, Any] | None:
        """The whole answer, where there is one."""
        body = self._database.value("SELECT body FROM answers WHERE head = ?", head)
        return json.loads(body) if isinstance(body, str) else None
