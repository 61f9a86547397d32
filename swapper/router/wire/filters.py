"""Sets and strips keys of a JSON object without reading it into memory, or changing a byte of what is kept.

The object has been scanned before (`scan`), so what comes here is valid JSON: it is enough to follow strings and
nesting. All cuts and insertions are ranges of the body, which `body.splice` puts together.
"""

import json
import re
from typing import NamedTuple

from swapper.config import Filters

_OUTSIDE = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["\\]')
_KEY_LIMIT = 64 * 1024
_OPEN = frozenset(b"{[")
_QUOTE, _BACKSLASH, _COMMA = b'"\\,'


class Edit(NamedTuple):
    """A range of the body, and what takes its place."""

    start: int
    end: int
    instead: bytes


class FilterScanner:
    """Finds what a filter changes: `feed` each piece of the body, then `edits`."""

    def __init__(self, filters: Filters) -> None:
        self._names = {name for name, _ in filters.set} | set(filters.strip)
        self._set = b",".join(b"%b:%b" % (json.dumps(name).encode(), value.encode()) for name, value in filters.set)
        self._base = 0  # where the piece at hand begins in the body
        self._depth = 0
        self._in_string = False
        self._escaped = False  # the piece before ended in a backslash
        self._key: bytearray | None = None  # the key at hand, at the top level
        self._wants_key = False
        self._opened = 0  # behind the brace that opens the object
        self._member = 0  # where the member at hand begins
        self._matches = False
        self._cut_from: int | None = None  # where a run of members that go begins
        self._kept_to = 0  # where the last member that stays ends
        self._kept = False
        self._edits: list[Edit] = []

    def feed(self, data: bytes) -> None:
        """The next piece of a valid JSON object."""
        position = 0
        while position < len(data):
            position = self._string(data, position) if self._in_string else self._mark(data, position)
        self._base += len(data)

    def edits(self) -> tuple[Edit, ...]:
        """What is to be changed, in ascending order; the body has ended."""
        if self._set:
            instead = self._set + b"," if self._kept else self._set
            self._edits.insert(0, Edit(self._opened, self._opened, instead))
        return tuple(self._edits)

    def _string(self, data: bytes, position: int) -> int:
        """Go on in a string; returns where it ends, or the data."""
        start = position
        if self._escaped:
            self._escaped = False
            position += 1
        while (match := _INSIDE.search(data, position)) is not None:
            position = match.end()
            if match[0][0] == _QUOTE:
                self._in_string = False
                self._keep_key(data[start : position - 1])
                self._key_ended()
                return position
            if position == len(data):
                self._escaped = True
                break
            position += 1
        self._keep_key(data[start:])
        return len(data)

    def _keep_key(self, data: bytes) -> None:
        if self._key is not None:
            self._key += data[: _KEY_LIMIT - len(self._key)]

    def _key_ended(self) -> None:
        if self._key is not None:
            key, self._key = bytes(self._key), None
            self._matches = len(key) < _KEY_LIMIT and json.loads(b'"%b"' % key) in self._names

    def _mark(self, data: bytes, position: int) -> int:
        """Go on to the next sign outside of strings; returns where it ends, or the data."""
        match = _OUTSIDE.search(data, position)
        if match is None:
            return len(data)
        sign, at = match[0][0], self._base + match.start()
        if sign == _QUOTE:
            self._in_string = True
            if self._wants_key:
                self._wants_key, self._key, self._member = False, bytearray(), at
        elif sign == _COMMA:
            if self._depth == 1:
                self._member_ended(at)
                self._wants_key = True
        elif sign in _OPEN:
            self._depth += 1
            if self._depth == 1:
                self._opened = self._kept_to = at + 1
                self._wants_key = True
        else:
            self._depth -= 1
            if self._depth == 0:
                self._object_ended(at)
        return match.end()

    def _member_ended(self, at: int) -> None:
        if self._matches:
            self._cut_from = self._member if self._cut_from is None else self._cut_from
            return
        if self._cut_from is not None:
            self._edits.append(Edit(self._cut_from, self._member, b""))
            self._cut_from = None
        self._kept, self._kept_to = True, at

    def _object_ended(self, at: int) -> None:
        if not self._wants_key:  # it is not empty
            self._member_ended(at)
        if self._cut_from is not None:
            self._edits.append(Edit(self._kept_to, at, b""))
