"""Who may ask: keys, and the Telegram bot."""

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path

from swapper import keys as keyring
from swapper.config import Config
from swapper.ctl.doctor.finding import Finding, Grade, said, shown

KEYS = "swapper.keys"
PLAIN, ENCRYPTED = Path("/etc/credstore"), Path("/etc/credstore.encrypted")
LOOPBACK = ("127.", "[::1]", "localhost", "/", "@")

BOT = "swapper-telegram.service"
_BOT_PORT = 4000


def keys(_: Config) -> Iterator[Finding]:
    """Files of keys that can be used; and none needed, or some there."""
    wide = [each for each in _addresses() if not each.startswith(LOOPBACK)]
    if os.geteuid() != 0:
        if wide:
            yield Finding(Grade.UNSEEN, f"whether there are keys, for {', '.join(wide)}: for root")
        return
    contents, missing = _files()
    found = keyring.read(contents, missing)
    for mistake in found.mistakes:
        yield Finding(Grade.WRONG, f"{mistake}: nobody is let in")
    if found.known is None and wide:
        yield Finding(Grade.WRONG, f"swapper.socket listens on {', '.join(wide)}, and there are no keys",
                      "'Who may ask': zless /usr/share/doc/swapper/README.md.gz")  # fmt: skip
    elif found.known:
        yield Finding(Grade.GOOD, f"{len(found.known)} API keys")
        if not any(key.admin for _, key in found.known):
            yield Finding(Grade.NOTE, "no key has the scope admin: nobody can load, unload, or read journals in /ui",
                          "a line such as: ops admin KEY")  # fmt: skip
    open_files = [path for path in (PLAIN / KEYS,) if path.exists() and path.stat().st_mode & 0o077]
    for path in open_files:
        yield Finding(Grade.WRONG, f"others may read {path}", f"chmod 600 {path}")


def telegram(_: Config) -> Iterator[Finding]:
    """Whether the bot, where it is installed and wanted, reaches Telegram."""
    found = shown(BOT, "LoadState", "ActiveState", "UnitFileState", "StatusText")
    if found.get("LoadState") != "loaded":
        return
    if found.get("ActiveState") == "failed":
        yield Finding(Grade.WRONG, "the Telegram bot has failed", f"journalctl -u {BOT} -n 20")
    elif found.get("ActiveState") != "active":
        if found.get("UnitFileState") == "enabled":
            yield Finding(Grade.WRONG, "the Telegram bot does not run", f"systemctl start {BOT}")
        return
    else:
        word = _health()
        if word == "ok":
            yield Finding(Grade.GOOD, f"the Telegram bot reaches Telegram: {found.get('StatusText')}")
        else:
            yield Finding(Grade.WRONG, f"the Telegram bot runs, and {word}", f"journalctl -u {BOT} -n 20")


def _health() -> str:
    connection = http.client.HTTPConnection("127.0.0.1", _BOT_PORT, timeout=5)
    try:
        connection.request("GET", "/health")
        return str(json.loads(connection.getresponse().read())["status"])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return f"port {_BOT_PORT} does not answer: {error}"
    finally:
        connection.close()


def _addresses() -> list[str]:
    """What the socket listens on: `127.0.0.1:8000 (Stream)`, a line each."""
    text = said("systemctl", "show", "swapper.socket", "--property=Listen", "--value").text
    return [line.rpartition(" (")[0] or line for line in text.splitlines() if line]


def _files() -> tuple[dict[str, bytes], list[str]]:
    """The contents of files of keys, and names of those that cannot be decrypted."""
    contents, missing = dict[str, bytes](), list[str]()
    if (PLAIN / KEYS).exists():
        contents[KEYS] = (PLAIN / KEYS).read_bytes()
    if (ENCRYPTED / KEYS).exists():
        answer = said("systemd-creds", "decrypt", str(ENCRYPTED / KEYS), "-")
        if answer.status:
            missing.append(KEYS)
        else:
            contents[f"{KEYS} (encrypted)"] = answer.text.encode()
    return contents, missing
