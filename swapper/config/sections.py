"""One section of the configuration: what its table has is taken, and what that does not have is an unknown key."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from swapper.config.kinds import path_below
from swapper.config.nodes import Entry, Reader, Value, did_you_mean, is_null
from swapper.config.table import Key, Known, Part, Several, Table, keys_of


class Section:
    """The entries of one section, from however many files; where a key stands in several, the last one counts.

    A value that is wrong is noted by the reader, and the default is returned: reading goes on.
    """

    def __init__(self, reader: Reader, values: Iterable[Value], table: type[Table], what: str = "") -> None:
        """Gather what stands in `values`; `what` names the section in messages, but for the outermost."""
        self.reader = reader
        self.what = what or "the configuration"
        self._prefix = f"{what}: " if what else ""
        self._known = keys_of(table)
        self._entries: dict[str, list[Entry]] = {}
        for value in values:
            for entry in reader.entries(value, self.what):
                self._entries.setdefault(entry.name, []).append(entry)

    def values(self, key: Known) -> list[Value]:
        """Everything that stands at this key; a key with nothing behind it counts as not written."""
        if self._known[key.name] is not key:
            raise KeyError(key.name)
        return [entry.value for entry in self._entries.get(key.name, []) if not is_null(entry.value)]

    def written(self) -> Iterator[tuple[str, Value]]:
        """Each key that is written, and the value that counts."""
        for key, entries in self._entries.items():
            if not is_null(entries[-1].value):
                yield key, entries[-1].key

    def below(self, part: Part) -> "Section":
        """The section at this key."""
        return Section(self.reader, self.values(part), part.table, repr(part.name))

    def groups(self, several: Several) -> list[list[Entry]]:
        """All entries at this key, by the names and numbers that people chose."""
        found: dict[str, list[Entry]] = {}
        for value in self.values(several):
            for entry in self.reader.entries(value, repr(several.name)):
                found.setdefault(entry.name, []).append(entry)
        return list(found.values())

    def close(self) -> None:
        """Note keys that the table does not have."""
        for name in self._entries.keys() - self._known.keys():
            for entry in self._entries[name]:
                self.reader.wrong(entry.key, f"{self.what} has no {name!r}", did_you_mean(name, self._known))

    def take[T, D](self, key: Key[Any, D], read: Callable[[Value, str], T | None]) -> T | D:
        """What `read` makes of the value, for those that mean nothing by themselves; it notes mistakes itself."""
        values = self.values(key)
        found = read(values[-1], f"{self._prefix}{key.name!r}") if values else None
        return key.usual if found is None else found

    def get[T, D](self, key: Key[T, D]) -> T | D:
        """The value, or what is usual."""
        return self.take(key, lambda value, what: key.kind.read(self.reader, value, what))

    def span(self, key: Key[float, float | None]) -> float | None:
        """A time, where `never` is possible and None."""
        seconds = self.get(key)
        return None if seconds == math.inf else seconds

    def items(self, key: Key[Any, Any]) -> list[Value]:
        """The items of a list."""
        values = self.values(key)
        return self.reader.items(values[-1], f"{self._prefix}{key.name!r}") if values else []

    def each[T](self, key: Key[Any, Any], read: Callable[[Value, str], T | None]) -> tuple[T, ...]:
        """What `read` makes of each item of a list."""
        what = f"{self._prefix}{key.name!r}"
        return tuple(found for item in self.items(key) if (found := read(item, what)) is not None)

    def path(self, key: Key[Path, None], base: Path) -> Path | None:
        """A path; a relative one is below `base`."""
        return self.take(key, lambda value, what: path_below(self.reader, value, what, base))

    def variables(self, key: Key[Any, Any], check: Callable[[str], str | None]) -> tuple[tuple[str, str], ...]:
        """Names and values; `check` says what is wrong with a name, or nothing."""
        found: Mapping[str, str] = {}
        for value in self.values(key):
            what = f"{self._prefix}{key.name!r}"
            for entry in self.reader.entries(value, what):
                text = self.reader.text(entry.value, f"{what}: {entry.name!r}")
                if problem := check(entry.name):
                    self.reader.wrong(entry.key, f"{what} cannot have {entry.name!r}", problem)
                elif text is not None:
                    found = {**found, entry.name: text}
        return tuple(found.items())
