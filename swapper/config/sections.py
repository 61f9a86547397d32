"""One section of the configuration: each key is taken once, and what nobody took is an unknown key."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from swapper.config.nodes import Entry, Reader, Value, did_you_mean, is_null
from swapper.config.quantities import duration


class Section:
    """The entries of one section, from however many files; where a key stands in several, the last one counts.

    A value that is wrong is noted by the reader, and the default is returned: reading goes on.
    """

    def __init__(self, reader: Reader, values: Iterable[Value], what: str = "") -> None:
        """Gather what stands in `values`; `what` names the section in messages, but for the outermost."""
        self.reader = reader
        self.what = what or "the configuration"
        self._prefix = f"{what}: " if what else ""
        self._entries: dict[str, list[Entry]] = {}
        self._known: set[str] = set()
        for value in values:
            for entry in reader.entries(value, self.what):
                self._entries.setdefault(entry.name, []).append(entry)

    def values(self, key: str) -> list[Value]:
        """Everything that stands at this key; a key with nothing behind it counts as not written."""
        self._known.add(key)
        return [entry.value for entry in self._entries.get(key, []) if not is_null(entry.value)]

    def below(self, key: str) -> "Section":
        """The section at this key."""
        return Section(self.reader, self.values(key), repr(key))

    def groups(self) -> list[list[Entry]]:
        """All entries by key, for sections whose keys are names and numbers that people chose."""
        self._known.update(self._entries)
        return list(self._entries.values())

    def close(self) -> None:
        """Note keys that nobody took."""
        for name in self._entries.keys() - self._known:
            for entry in self._entries[name]:
                self.reader.wrong(entry.key, f"{self.what} has no {name!r}", did_you_mean(name, self._known))

    def take[T, D](self, key: str, read: Callable[[Value, str], T | None], default: D) -> T | D:
        """What `read` makes of the value; it notes mistakes itself and returns None then."""
        values = self.values(key)
        found = read(values[-1], f"{self._prefix}{key!r}") if values else None
        return default if found is None else found

    def parsed[T, D](self, key: str, parse: Callable[[str], T], default: D) -> T | D:
        """What `parse` makes of the text; it raises ValueError with what it wanted."""
        return self.take(key, lambda value, what: self.reader.parsed(value, what, parse), default)

    def items(self, key: str) -> list[Value]:
        """The items of a list."""
        return self.take(key, self.reader.items, [])

    def each[T](self, key: str, read: Callable[[Value, str], T | None]) -> tuple[T, ...]:
        """What `read` makes of each item of a list."""
        return tuple(found for item in self.items(key) if (found := read(item, f"{self._prefix}{key!r}")) is not None)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        return self.take(key, self.reader.truth, default)

    def number(self, key: str, *, least: int) -> int | None:
        """A whole number, or None where nothing is written."""
        return self.take(key, lambda value, what: self.reader.number(value, what, least=least), None)

    def word(self, key: str, known: Iterable[str]) -> str | None:
        """One of some words, or None where nothing is written."""
        return self.take(key, lambda value, what: self.reader.one_of(value, what, known), None)

    def words(self, key: str, known: Iterable[str]) -> tuple[str, ...]:
        """Several of some words."""
        return self.each(key, lambda value, what: self.reader.one_of(value, what, known))

    def path(self, key: str, base: Path | None = None) -> Path | None:
        """A path; a relative one is below `base`, where there is one."""
        return self.take(key, lambda value, what: self._path(value, what, base), None)

    def paths(self, key: str) -> tuple[Path, ...]:
        """Several absolute paths."""
        return self.each(key, lambda value, what: self._path(value, what, None))

    def span(self, key: str, default: float | None) -> float | None:
        """A time, where `never` is possible and None."""
        seconds = self.parsed(key, lambda text: math.inf if text == "never" else duration(text), default)
        return None if seconds == math.inf else seconds

    def variables(self, key: str, check: Callable[[str], str | None]) -> tuple[tuple[str, str], ...]:
        """Names and values; `check` says what is wrong with a name, or nothing."""
        found: Mapping[str, str] = {}
        for value in self.values(key):
            what = f"{self._prefix}{key!r}"
            for entry in self.reader.entries(value, what):
                text = self.reader.text(entry.value, f"{what}: {entry.name!r}")
                if problem := check(entry.name):
                    self.reader.wrong(entry.key, f"{what} cannot have {entry.name!r}", problem)
                elif text is not None:
                    found = {**found, entry.name: text}
        return tuple(found.items())

    def _path(self, value: Value, what: str, base: Path | None) -> Path | None:
        text = self.reader.text(value, what)
        if text is None:
            return None
        path = (base or Path()) / text
        if text.startswith("~"):
            hint = "write it in full, such as /home/NAME/.cache/llama.cpp/FILE.gguf"
            self.reader.wrong(value, f"{what} begins with '~', and services have no home directory", hint)
        elif not path.is_absolute() or not text.strip():
            self.reader.wrong(value, f"{what} wants a path that begins with '/', not {text!r}")
        elif ".." in path.parts or "\t" in text:
            self.reader.wrong(value, f"{what} contains '..' or a tab", "write the path without it")
        else:
            return path
        return None
