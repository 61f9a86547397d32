"""Keys: what a client shows, whom it belongs to, and the files that say so.

A file has one key a line, `NAME SCOPE KEY`, with scope `inference` or `admin`; a line that begins with `#` is a
comment. KEY is the key itself, or `sha256:` and its SHA-256 in hexadecimal digits. A file with a mistake opens nothing:
none of its keys is taken, and requests need keys all the same. So they do where a file has no keys at all.

Finding a key takes no time that depends on a secret. What is looked up is BLAKE2b of the key, keyed with random bytes
that nobody outside of this process knows: how far two such digests agree, in the table's hashes or in its comparison,
says nothing about how far the keys do, and nobody can choose a key for the digest that it will have. SHA-256 comes
before, for the files' sake. That is a plain hash without salt, which suffices: keys are long and random, and there is
no dictionary to try.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from swapper.config import ConfigError

KEY_LENGTH = 16
"""Fewest characters of a key: it must not be guessed, and there is no other protection against trying."""

NAME_LENGTH = 32
"""Most characters of a name: with its words in another order, a line with a good key is not taken for a good one."""

_NAME = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % NAME_LENGTH)
_KEY = re.compile(rb"[!-~]+")
_SCOPES = frozenset({b"inference", b"admin"})
_ENCRYPT = "systemd-creds encrypt --name=swapper.keys PLAIN /etc/credstore.encrypted/swapper.keys"


class Secret:
    """A key that a client shows. It cannot be printed by mistake."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


def presented(authorization: bytes, api_key: bytes) -> Secret | None:
    """The key that a request shows; None where it shows none.

    Args:
        authorization: The field of this name, empty without. What is neither Bearer (RFC 6750) nor Basic (RFC 7617,
            the key as password), or not well formed, is an empty key, which is nobody's.
        api_key: The field `x-api-key`, empty without; heeded where there is no Authorization.
    """
    if authorization:
        scheme, _, rest = authorization.partition(b" ")
        kind = scheme.lower()
        if kind == b"bearer":
            return Secret(rest.strip())
        return Secret(_password(rest.strip()) if kind == b"basic" else b"")
    return Secret(api_key) if api_key else None


def _password(encoded: bytes) -> bytes:
    from binascii import Error, a2b_base64  # noqa: PLC0415 - for people with browsers

    try:
        return a2b_base64(encoded, strict_mode=True).partition(b":")[2]
    except Error:
        return b""


@dataclass(frozen=True, slots=True)
class Key:
    """Who sends a request.

    Attributes:
        name: For records; empty where there are no keys, and for who shows none where none is needed.
        admin: Whether operations are allowed.
        concurrency: Most requests at once; None for no limit.
        priority: Of its requests, in steps above what is normal.
    """

    name: str
    admin: bool
    concurrency: int | None = None
    priority: int = 0


ANYBODY = Key("", admin=True)
"""Whoever it is, where there are no keys."""

NOBODY = Key("", admin=False)
"""Who shows no key, on a route that needs none."""


type Known = tuple[bytes, Key]
"""SHA-256 of a key, and what it is for."""


class Fingerprints:
    """Keys by a digest that only this process can make."""

    def __init__(self, keys: Iterable[Known]) -> None:
        """Know these."""
        import os  # noqa: PLC0415 - all three: a start without keys is quicker
        from hashlib import blake2b, sha256  # noqa: PLC0415
        from hmac import compare_digest  # noqa: PLC0415

        self._keyed = blake2b(key=os.urandom(64))
        self._sha256 = sha256
        self._same: Callable[[bytes, bytes], bool] = compare_digest
        self._keys = {digest: (digest, key) for digest, key in ((self._mark(each), key) for each, key in keys)}

    def find(self, secret: Secret) -> Key | None:
        """Whose key this is."""
        mark = self._mark(self._sha256(secret.value).digest())
        found = self._keys.get(mark)
        return found[1] if found is not None and self._same(found[0], mark) else None

    def _mark(self, digest: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(digest)
        return keyed.digest()


class Keyring(NamedTuple):
    """What the files say.

    Attributes:
        known: The keys; None where there is no file: nobody made keys. With files, an empty one lets nobody in.
        mistakes: What is wrong in the files.
    """

    known: tuple[Known, ...] | None = None
    mistakes: tuple[ConfigError, ...] = ()


class _WrongError(Exception):
    """A line cannot be understood."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def read(files: Mapping[str, bytes], missing: Iterable[str] = ()) -> Keyring:
    """Read the files.

    Args:
        files: Their content, by name.
        missing: Names of files that should be there too. What is missing is no reason to do without keys.
    """
    mistakes = [ConfigError(file, 0, "systemd could not decrypt these keys", _ENCRYPT) for file in sorted(missing)]
    if not files and not mistakes:
        return Keyring()
    known: list[Known] = []
    taken: dict[bytes, str] = {}
    for file, content in sorted(files.items()):
        found, wrong = _read_file(file, content, taken)
        mistakes += wrong
        if not wrong:
            known += found
    return Keyring(tuple(known), tuple(mistakes))


def _read_file(file: str, content: bytes, taken: dict[bytes, str]) -> tuple[list[Known], list[ConfigError]]:
    found: list[Known] = []
    wrong: list[ConfigError] = []
    for number, line in enumerate(content.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        try:
            digest, key = _read_line(words)
            _take(taken, words[0], digest, f"{file}:{number}")
        except _WrongError as error:
            wrong.append(ConfigError(file, number, error.message, error.hint))
        else:
            found.append((digest, key))
    return found, wrong


def _take(taken: dict[bytes, str], name: bytes, digest: bytes, where: str) -> None:
    for what, text in (("name", name), ("key", digest)):
        if text in taken:
            raise _WrongError(f"this {what} stands in {taken[text]} already", f"each {what} once")
        taken[text] = where


def _read_line(words: Sequence[bytes]) -> Known:
    """One line. No word of it is quoted in a complaint: with words in the wrong order it would be the key."""
    if len(words) != 3:
        raise _WrongError(f"a line is NAME SCOPE KEY, and this one has {len(words)} words", "comments begin with #")
    name, scope, key = words
    if not _NAME.fullmatch(name):
        raise _WrongError("the first word is no name", f"letters, digits, '.', '_' and '-', at most {NAME_LENGTH}")
    if scope not in _SCOPES:
        raise _WrongError("the second word is no scope", "inference or admin")
    return _digest(key), Key(name.decode(), admin=scope == b"admin")


def _digest(key: bytes) -> bytes:
    from hashlib import sha256  # noqa: PLC0415 - a start without keys is quicker

    if key.startswith(b"sha256:"):
        try:
            digest = bytes.fromhex(key[7:].decode())
        except ValueError:
            digest = b""
        if len(digest) != 32:
            raise _WrongError("sha256: wants 64 hexadecimal digits", "printf %s KEY | sha256sum")
        return digest
    if len(key) < KEY_LENGTH or not _KEY.fullmatch(key):
        raise _WrongError(f"a key is at least {KEY_LENGTH} printable ASCII characters", "systemd-id128 new")
    return sha256(key).digest()
