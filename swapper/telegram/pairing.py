"""Codes that let somebody in: `swapperctl telegram pair` makes one, whoever sends it to the bot is let in.

The command leaves the code's digest in the state directory, as root, and the bot finds it there. So letting anybody in
takes being root on this machine, and no port that does it is open to others. A code has forty random bits and holds for
ten minutes, in which Telegram would carry some ten thousand guesses: there is no need to count them.
"""

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

STATE = Path("/var/lib/swapper-telegram")
"""The state directory, as the unit has it."""

SECONDS = 600.0
"""How long a code holds."""

_FILE = "pairing.json"
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32: nothing that is mistaken for something else."""


def make() -> str:
    """A new code."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def leave(state: Path, code: str, now: float) -> None:
    """Leave a code for the bot; an earlier one does not hold any more.

    The directory belongs to the bot and this is done by root, so nothing in it is trusted: no link is followed.

    Raises:
        OSError: The directory is not there, or belongs to somebody else.
    """
    text = json.dumps({"sha256": _digest(code), "until": now + SECONDS})
    temporary = f".pairing-{secrets.token_hex(8)}"
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
        with os.fdopen(file, "w") as stream:
            os.fchmod(file, 0o644)  # for the bot; nobody else may look into its directory
            stream.write(text)
        os.rename(temporary, _FILE, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def redeem(state: Path, code: str, now: float) -> bool:
    """Whether this is the code that was left, and still holds; then it does not any more."""
    file = state / _FILE
    try:
        left = json.loads(file.read_text())
        good = hmac.compare_digest(_digest(code), str(left["sha256"])) and now < float(left["until"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if good:
        file.unlink(missing_ok=True)
    return good


def _digest(code: str) -> str:
    """Capitals, hyphens and spaces do not count."""
    return hashlib.sha256("".join(filter(str.isalnum, code)).upper().encode()).hexdigest()
