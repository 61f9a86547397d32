"""`python3 -m swapper.telegram`: the service behind swapper-telegram.socket; with `check`, only its configuration.

Exit status 78 where another try would end the same: there is no token, Telegram does not know it, or the configuration
has a mistake (EX_CONFIG of sysexits.h(3); the unit is not restarted then).
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swapper import keys
from swapper.config.errors import ConfigErrors
from swapper.host import activation, credentials, journal, notify
from swapper.telegram.agent.codex_unit import INSTALL
from swapper.telegram.settings import FILE, Settings, load

if TYPE_CHECKING:
    from swapper.telegram.bot import Given

EX_CONFIG = 78
PORT = 4000
CREDENTIALS = "swapper-telegram."
TOKEN, KEY, CODEX_KEY = (f"{CREDENTIALS}{name}" for name in ("token", "key", "codex-key"))
KEYS = "swapper.keys"
"""How the names of the router's begin."""

STORE = (
    'systemd-ask-password -n "Token of the bot:" | systemd-creds encrypt --name=swapper-telegram.token'
    " - /etc/credstore.encrypted/swapper-telegram.token"
)
START = "systemctl enable --now swapper-telegram"
AGAIN = "systemctl restart swapper-telegram"
"""What is to be typed, by root."""

_LOG = logging.getLogger("swapper.telegram")


class Redacting(logging.Formatter):
    """Leaves secrets out of whatever is logged, stack traces included: URLs of the Bot API have the token in them."""

    def __init__(self, *secrets: str) -> None:
        super().__init__("%(message)s")
        self._secrets = tuple(filter(None, secrets))

    def format(self, record: logging.LogRecord) -> str:
        """The text of an entry."""
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def main(words: list[str]) -> int:
    """Run the bot, or check its configuration; returns the exit status."""
    if words not in ([], ["check"]):
        print("usage: python3 -m swapper.telegram [check]", file=sys.stderr)
        return 64
    if words:
        logging.basicConfig(format="%(message)s")  # to who typed it
    else:
        journal.install(identifier="swapper-telegram")
    for name in ("httpx", "httpcore", "telegram"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = load()
    except ConfigErrors as errors:
        for error in errors.errors:
            _LOG.critical("%s", error)
        return EX_CONFIG
    if settings.agent == "codex" and shutil.which(settings.codex.program) is None:
        return _no_codex(settings.codex.program)
    if words:
        print(f"{FILE}: no mistakes")
        return 0
    return _serve(settings)


def _serve(settings: Settings) -> int:
    found = {name: value.decode(errors="replace").strip() for name, value in credentials.read(CREDENTIALS).items()}
    token, key = found.get(TOKEN, ""), found.get(KEY, "")
    codex_key = found.get(CODEX_KEY, key)
    _redact(token, key, codex_key)
    if not token:
        return _refused("There is no token", START)
    handed = activation.handed()
    sockets = handed.sockets or (socket.create_server(("127.0.0.1", PORT)),)
    known = _keys(handed.files)

    # Late: they bring the libraries, for which no mistake above need wait.
    from swapper.telegram.api import TokenRefused  # noqa: PLC0415
    from swapper.telegram.bot import Given  # noqa: PLC0415

    state = Path(os.environ.get("STATE_DIRECTORY", "."))
    try:
        asyncio.run(_run(Given(settings, token, key, codex_key, known, state, sockets)))
    except TokenRefused:
        return _refused("Telegram does not know the token that is stored", AGAIN)
    except sqlite3.Error as error:
        _LOG.critical("the database in %s cannot be used: %s", state, error)
        return 1
    except Exception:  # noqa: BLE001 - its trace may have the token in it, so it goes through the journal
        _LOG.critical("the bot ends because of a defect", exc_info=True)
        return 1
    return 0


def _keys(sealed: Iterable[str]) -> Sequence[keys.Known] | None:
    """The keys that the router asks for hold on port 4000 too, where they are handed to this unit."""
    files = credentials.read(KEYS)
    keyring = keys.read(files, frozenset(sealed) - files.keys())
    for mistake in keyring.mistakes:
        _LOG.error("%s", mistake, extra={"CONFIG_FILE": mistake.file, "CONFIG_LINE": mistake.line})
    return keyring.known


def _redact(*secrets: str) -> None:
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Redacting(*secrets))


async def _run(given: "Given") -> None:
    from swapper.telegram.service import run  # noqa: PLC0415

    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    await run(given, ending)


def _no_codex(program: str) -> int:
    why = f"{FILE}: agent: codex, and there is no program {program!r}"
    _LOG.critical("%s that this unit can reach. To install it, type, as root:", why)
    _LOG.critical("    %s", INSTALL)
    _LOG.critical("    %s", AGAIN)
    _LOG.critical("It may also stand in codex: {program: /…}, where no home and no folder of root's alone is seen.")
    notify.status("Codex is not installed: journalctl -u swapper-telegram says what to type")
    journal.flush()
    return EX_CONFIG


def _refused(why: str, then: str) -> int:
    """What to type, in the journal and in `systemctl status`."""
    _LOG.critical("%s. @BotFather gives one in Telegram; then type, as root:", why)
    _LOG.critical("    %s", STORE)
    _LOG.critical("    %s", then)
    notify.status(f"{why}: journalctl -u swapper-telegram says what to type")
    journal.flush()
    return EX_CONFIG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
