"""The last head of a connection: the next one often differs from it in nothing but its Content-Length.

Whoever keeps a connection sends the same lines again, in the same order. What was understood of them then is true now,
so only the number is read. It is remembered with the connection, and no longer: there may be a key among the lines.
"""

import re

_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]{1,15})\r\n", re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9]{1,15}\r\n")

LONGEST = 2048
"""Bytes of a head that is remembered."""


class Likeness[Head]:
    """One connection's last head."""

    __slots__ = ("_after", "_before", "_head", "_length", "_raw")

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._head: Head | None = None
        self._raw = self._before = self._after = b""
        self._length = 0

    def look(self, raw: bytes) -> tuple[Head, int] | None:
        """What a head like this one was understood as, and its own Content-Length; None where it is another one."""
        if self._head is None:
            return None
        if raw == self._raw:
            return self._head, self._length
        before, after = self._before, self._after
        if not raw.startswith(before) or not raw.endswith(after):
            return None
        number = _NUMBER.match(raw, len(before))
        if number is None or len(raw) - len(after) != number.end() - 2:
            return None
        return self._head, int(raw[len(before) : number.end() - 2])

    def keep(self, raw: bytes, head: Head, length: int | None) -> None:
        """Remember what a head was understood as, if that is its one Content-Length, and is written plainly."""
        found = _LENGTH.search(raw) if length is not None and len(raw) <= LONGEST else None
        if found is None or length is None or int(found[1]) != length or raw.lower().count(b"content-length") > 1:
            self._head = None
            return
        self._head, self._raw, self._length = head, raw, length
        self._before, self._after = raw[: found.start(1)], raw[found.end(1) :]
