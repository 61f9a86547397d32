"""Who was let in by a code, beside those whom the configuration names.

`swapperctl telegram pair` leaves the code's digest in the state directory, as root; the bot finds it there. So letting
somebody in takes being root on this machine, and no port that does it is open to anybody. A code has forty random bits
and holds for ten minutes, during which Telegram would carry some ten thousand guesses: there is no need to count them.
"""

import hashlib
import hmac
import json
import time
from pathlib import Path

from swapper.telegram.store.database import Database

FILE = "pairing.json"
"""In the state directory: `{"sha256": …, "until": …}`, seconds since 1970."""

SECONDS = 600.0


def digest(code: str) -> str:
    """What is kept of a code; capitals, hyphens and spaces do not count."""
    return hashlib.sha256("".join(filter(str.isalnum, code)).upper().encode()).hexdigest()


class People:
    """Who was let in."""

    def __init__(self, database: Database, state: Path) -> None:
        """Know where things are.

        Args:
            database: Their numbers.
            state: The state directory, where codes are left.
        """
        self._database = database
        self._file = state / FILE

    def __contains__(self, number: int) -> bool:
        return self._database.value("SELECT 1 FROM people WHERE id = ?", number) is not None

    def let_in(self, number: int, name: str, code: str) -> bool:
        """Let a user (above zero) or a group (below) in, if the code is the one that was given out. It holds once."""
        try:
            expected = json.loads(self._file.read_text())
            good = hmac.compare_digest(digest(code), str(expected["sha256"])) and time.time() < float(expected["until"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if good:
            self._database.do("INSERT OR REPLACE INTO people VALUES (?, ?, ?)", number, name, time.time())
            self._file.unlink(missing_ok=True)
        return good
