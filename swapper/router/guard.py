"""Keeps what requests are judged by: reads the keys, applies the configuration, and says aloud what is amiss.

Keys are read when the router starts, and again at a reload. At a reload systemd's credentials are still those of the
start, unless the unit says `RefreshOnReload=credentials` (systemd 260 and later): else new ones take a restart.
"""

import logging
import socket
import time
from collections.abc import Iterable

from swapper import keys
from swapper.config import Config
from swapper.host import credentials
from swapper.keys import Key, Keyring, presented
from swapper.router.access import MAKE_KEYS, Access, Gate, Scope, is_local

CREDENTIAL = "swapper.keys"
"""How the names of credentials that hold keys begin."""

_LOG = logging.getLogger(__name__)


class Guard:
    """Keys and settings, in force.

    Attributes:
        access: Judges requests; another one after each change.
        gate: Counts requests of keys that have a limit.
    """

    def __init__(self, sealed: Iterable[str] = ()) -> None:
        """Without keys yet.

        Args:
            sealed: Names of credentials that lie encrypted. systemd leaves out what it cannot decrypt, and that must
                not look as if there were no keys.
        """
        self._sealed = frozenset(sealed)
        self._keyring = Keyring()
        self._wide: tuple[str, ...] = ()
        self.gate = Gate(time.monotonic)
        self.access = Access()

    def read(self) -> None:
        """Read the keys.

        Raises:
            OSError: They cannot be read.
        """
        files = credentials.read(CREDENTIAL)
        keyring = keys.read(files, self._sealed - files.keys())
        if keyring == self._keyring:
            return
        self._keyring = keyring
        for mistake in keyring.mistakes:
            _LOG.error("%s", mistake, extra={"CONFIG_FILE": mistake.file, "CONFIG_LINE": mistake.line})
        if keyring.mistakes:
            _LOG.error("no key of a file with a mistake is taken; correct it, then: systemctl restart swapper")
        if keyring.known is not None:
            names = [f"{key.name} ({'admin' if key.admin else 'inference'})" for _, key in keyring.known]
            _LOG.log(logging.INFO if names else logging.ERROR, "API keys of: %s", ", ".join(names) or "nobody")

    def apply(self, config: Config) -> None:
        """Bring a configuration into force."""
        self.access = Access(self._keyring.known, config.router.hosts, config.router.origins, config.keys)
        for name in sorted({key.name for key in config.keys} - {key.name for _, key in self._keyring.known or ()}):
            _LOG.warning("the configuration speaks of the key %r, and there is none of that name", name)

    def listens(self, sockets: Iterable[socket.socket]) -> None:
        """See whether others than this machine's clients can come."""
        self._wide = tuple(_address(each) for each in sockets if not is_local(each.getsockname()))
        if self._wide and not self.access.keyed:
            _LOG.error("listening on %s without API keys: whoever comes from elsewhere is refused. "
                       "Make a key, as root: %s", ", ".join(self._wide), "; ".join(MAKE_KEYS))  # fmt: skip

    def cors(self, origin: bytes) -> bytes:
        """See `Access.cors`, of the one in force now."""
        return self.access.cors(origin)

    def owner(self, authorization: bytes, api_key: bytes) -> Key:
        """Who shows this, see `presented`."""
        return self.access.owner(presented(authorization, api_key))

    def permit(self, key: Key, scope: Scope) -> None:
        """See `Access.permit`, of the one in force now."""
        self.access.permit(key, scope)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys that there are."""
        return tuple(key.name for _, key in self._keyring.known or ())

    @property
    def complaints(self) -> list[str]:
        """What an administrator should know at a glance; no secrets."""
        wide = f"no API keys, so nobody is let in on {', '.join(self._wide)}"
        return [
            *([wide] if self._wide and not self.access.keyed else []),
            *([f"API keys refused: {self._keyring.mistakes[0]}"] if self._keyring.mistakes else []),
            *(["API keys of nobody"] if self._keyring.known == () else []),
        ]


def _address(sock: socket.socket) -> str:
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
