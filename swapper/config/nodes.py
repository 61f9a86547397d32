"""YAML with line numbers: documents as nodes, and a reader that notes every mistake instead of stopping at the first.

Values are taken from the text as it was written, not from YAML's idea of it: the version `3.10` stays `3.10`, a model
may be called `on`, and an argument `010` is not eight.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from swapper.config.errors import ConfigError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser where there is one: ten times as fast, and every daemon-reload waits for it."""

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Value:
    """A node and the file that it stands in."""

    file: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """Counted from 1."""
        return int(self.node.start_mark.line) + 1

    def error(self, message: str, hint: str = "") -> ConfigError:
        """A mistake at this place."""
        return ConfigError(self.file, self.line, message, hint)


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping."""

    key: Value
    value: Value

    @property
    def name(self) -> str:
        """The key as it was written."""
        return str(self.key.node.value)


@dataclass(slots=True)
class Reader:
    """Turns nodes into values. A value that is wrong is noted in `errors`, and None or the default is returned."""

    errors: list[ConfigError] = field(default_factory=list)

    def wrong(self, value: Value, message: str, hint: str = "") -> None:
        """Note a mistake."""
        self.errors.append(value.error(message, hint))

    def document(self, path: Path) -> Value | None:
        """The root of a file; None where it is empty or cannot be read, which is noted."""
        file, text = str(path), ""
        try:
            text = path.read_bytes().decode()
            node = yaml.compose(text, Loader=_Loader)
        except FileNotFoundError:
            self.errors.append(ConfigError(file, 0, "this file is not there"))
        except OSError as error:
            self.errors.append(ConfigError(file, 0, f"cannot be read: {error.strerror}"))
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            self.errors.append(ConfigError(file, line, "this is not UTF-8", "save the file as UTF-8"))
        except yaml.YAMLError as error:
            self.errors.append(_syntax(file, text, error))
        else:
            return None if node is None or node.tag == f"{_TAG}null" else Value(file, node)
        return None

    def entries(self, value: Value, what: str) -> list[Entry]:
        """The entries of a mapping, those merged in by `<<` included; a key that stands twice is a mistake."""
        if not isinstance(value.node, yaml.MappingNode):
            self.wrong(value, f"{what} wants 'key: value' lines, not {kind(value)}")
            return []
        found: dict[str, Entry] = {}
        merged: list[Entry] = []
        for key_node, value_node in value.node.value:
            entry = Entry(Value(value.file, key_node), Value(value.file, value_node))
            if key_node.tag == f"{_TAG}merge":
                merged += self._merged(entry.value, what)
            elif not isinstance(key_node, yaml.ScalarNode):
                self.wrong(entry.key, f"{what} wants a plain word as key, not {kind(entry.key)}")
            elif (first := found.get(entry.name)) is not None:
                self.wrong(entry.key, f"{entry.name!r} stands twice in {what}", f"first in line {first.key.line}")
            else:
                found[entry.name] = entry
        return list(({entry.name: entry for entry in merged} | found).values())

    def _merged(self, value: Value, what: str) -> list[Entry]:
        """What `<<: *anchor` brings in; of several anchors, earlier ones win (yaml.org/type/merge.html)."""
        nodes = value.node.value if isinstance(value.node, yaml.SequenceNode) else [value.node]
        return [entry for node in reversed(nodes) for entry in self.entries(Value(value.file, node), what)]

    def items(self, value: Value, what: str) -> list[Value]:
        """The items of a list; a single word counts as a list of one."""
        if isinstance(value.node, yaml.SequenceNode):
            return [Value(value.file, node) for node in value.node.value]
        if isinstance(value.node, yaml.ScalarNode):
            return [value]
        self.wrong(value, f"{what} wants a list, not {kind(value)}")
        return []

    def text(self, value: Value, what: str) -> str | None:
        """A word or sentence that can stand in a unit: no line breaks, no control characters."""
        if not isinstance(value.node, yaml.ScalarNode) or is_null(value):
            hint = "put quotes around it" if isinstance(value.node, yaml.CollectionNode) else ""
            self.wrong(value, f"{what} wants a text, not {kind(value)}", hint)
            return None
        text = str(value.node.value)
        if bad := next((character for character in text if not _passable(character)), None):
            self.wrong(value, f"{what} contains U+{ord(bad):04X}, which cannot be passed on in a unit", _BREAK)
            return None
        return text

    def truth(self, value: Value, what: str) -> bool | None:
        """`true` or `false`, in any of YAML's spellings."""
        if value.node.tag != f"{_TAG}bool":
            self.wrong(value, f"{what} wants true or false, not {kind(value)}")
            return None
        return str(value.node.value).lower() in {"true", "yes", "on"}

    def number(self, value: Value, what: str, *, least: int = 0) -> int | None:
        """A whole number."""
        text = str(value.node.value) if isinstance(value.node, yaml.ScalarNode) else ""
        if not (text.isascii() and text.isdecimal()) or int(text) < least:
            self.wrong(value, f"{what} wants a whole number of at least {least}, not {kind(value)}")
            return None
        return int(text)

    def json(self, value: Value, what: str) -> str | None:
        """Any value, as JSON text. What JSON has no word for (a date, `0x1F`) is a text, as it was written."""
        import json  # noqa: PLC0415 — for the few who filter; costs every start otherwise

        try:
            return json.dumps(self._plain(value, what, json.loads), ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            self.wrong(value, f"{what} wants what JSON can say: {error}")
            return None

    def _plain(self, value: Value, what: str, literal: Callable[[str], object]) -> object:
        if isinstance(value.node, yaml.MappingNode):
            return {entry.name: self._plain(entry.value, what, literal) for entry in self.entries(value, what)}
        if isinstance(value.node, yaml.SequenceNode):
            return [self._plain(item, what, literal) for item in self.items(value, what)]
        if is_null(value) or value.node.tag == f"{_TAG}bool":
            return None if is_null(value) else self.truth(value, what)
        text = str(value.node.value)
        try:
            # Not by its tag: 1e-5 is a text to YAML 1.1.
            return text if getattr(value.node, "style", "") else literal(text)
        except ValueError:
            return text

    def parsed[T](self, value: Value, what: str, parse: Callable[[str], T]) -> T | None:
        """A text that `parse` understands; it raises ValueError with what it wanted."""
        text = self.text(value, what)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.wrong(value, f"{what} wants {error}, not {text!r}")
            return None

    def one_of(self, value: Value, what: str, known: Iterable[str]) -> str | None:
        """One of some words."""
        text, words = self.text(value, what), sorted(known)
        if text is not None and text not in words:
            self.wrong(value, f"{what} cannot be {text!r}", did_you_mean(text, words))
            return None
        return text


_BREAK = "no line breaks and no control characters"


def _passable(character: str) -> bool:
    """Whether systemd passes a character on: no controls but the tab, no surrogates, no noncharacters."""
    code = ord(character)
    if code < 0x7F:
        return code >= 0x20 or character == "\t"
    control = code < 0xA0
    return not (control or 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE)


def _syntax(file: str, text: str, error: yaml.YAMLError) -> ConfigError:
    """A mistake of YAML's own, at the place where the parser stumbled."""
    mark = (error.problem_mark or error.context_mark) if isinstance(error, yaml.MarkedYAMLError) else None
    if mark is None or not isinstance(error, yaml.MarkedYAMLError):
        position = getattr(error, "position", None)  # a ReaderError has that instead
        line = text[:position].count("\n") + 1 if position is not None else 0
        return ConfigError(file, line, f"not YAML: {getattr(error, 'reason', error)}")
    lines = text.splitlines()
    line = min(mark.line, len(lines) - 1)  # what is missing at the end is missed behind it
    if lines[line][mark.column :].startswith("\t"):
        return ConfigError(file, line + 1, "not YAML: a tab", "indent with spaces")
    problem = error.problem or error.context or "cannot be read"
    hint = "look at the indentation, at missing ':' and at quotes, here and in the line before"
    return ConfigError(file, line + 1, f"not YAML: {problem}", hint)


def is_null(value: Value) -> bool:
    """Whether nothing is written there, or YAML's word for nothing."""
    return bool(value.node.tag == f"{_TAG}null")


def kind(value: Value) -> str:
    """What a value is, for messages: a person recognises it by this."""
    if isinstance(value.node, yaml.MappingNode):
        return "'key: value' lines"
    if isinstance(value.node, yaml.SequenceNode):
        return "a list"
    return "nothing" if is_null(value) else repr(str(value.node.value))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the word that was probably meant, or all that there are."""
    from difflib import get_close_matches  # noqa: PLC0415 — for mistakes only; costs every start otherwise

    words = sorted(known)
    near = get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(words)}"
