r"""Tables of keys → pages of the manual, in the macros of man(7).

A page is written by hand, but for its keys: where a line says `.\" KEYS`, they are put in.
"""

import re
from collections.abc import Iterator, Mapping

from swapper.config.keywords import ModelKeys
from swapper.config.table import Key, Kind, Known, Part, Several, Table, keys_of
from swapper.config.vocabulary import ENGINES
from swapper.documents.schema import NOTHING_SAID

PLACE = '.\\" KEYS\n'
"""What is replaced in a page."""

_PAGE = re.compile(r"[\w@.-]+\(\d\)")
_SENTENCE_END = re.compile(r"(?<=[.;:]) (?=[A-Z`])")


def page(text: str, table: type[Table]) -> str:
    """The page, with the keys of this table in it.

    Raises:
        ValueError: It has no place for them, or more than one.
    """
    if text.count(PLACE) != 1:
        raise ValueError(f"a page has one line {PLACE.strip()!r}")
    return text.replace(PLACE, "".join(f"{line}\n" for line in _sections(table)))


def _sections(table: type[Table]) -> Iterator[str]:
    """First what has keys below it, each a section of its own; then the others."""
    known = keys_of(table)
    for name, key in known.items():
        if not isinstance(key, Key):
            yield f'.SH "{_title(name, key)}"'
            yield from _text(key.text)
            yield from _below(key)
    single = {name: key for name, key in known.items() if isinstance(key, Key)}
    yield ".SH OTHER KEYS"
    yield from _keys(single)


def _title(name: str, key: Part | Several) -> str:
    """How it is written: `models: {NAME: {KEY: ...}}`."""
    if isinstance(key, Part):
        return f"{name}: {{KEY: ...}}"
    inside = "[MODEL, ...]" if isinstance(key.inside, Kind) else "{KEY: ...}"
    called = key.called.words
    return f"{name}: {{{called.replace('`', '') if '`' in called else called.upper()}: {inside}}}"


def _below(key: Part | Several) -> Iterator[str]:
    table = key.table if isinstance(key, Part) else key.inside
    if isinstance(table, Kind):
        return
    yield from _keys(keys_of(table), _refused() if table is ModelKeys else {})


def _keys(keys: Mapping[str, Known], notes: Mapping[str, str] = {}) -> Iterator[str]:
    for name, key in keys.items():
        yield ".TP"
        if isinstance(key, Key):
            yield rf"\fB{_escaped(name)}:\fP {_marked(_in_italics(key.kind.words))}"
            yield from _text(key.text)
            if key.usual not in NOTHING_SAID:
                yield from _text(f"Usual: `{_written(key)}`.")
        else:
            yield rf"\fB{_escaped(name)}:\fP"
            yield from _text(key.text)
        if name in notes:
            yield from _text(notes[name])
        if isinstance(key, Part):
            yield ".RS"
            yield from _keys(keys_of(key.table))
            yield ".RE"


def _written(key: Key[object, object]) -> str:
    """What is usual, as it would be written."""
    plain = key.kind.plain(key.usual)
    return str(plain).lower() if isinstance(plain, bool) else str(plain).removesuffix(".")


def _refused() -> Mapping[str, str]:
    """What says of each key of a model which engines have no use for it, and why."""
    found: dict[str, list[str]] = {}
    for engine, words in ENGINES.items():
        for name, why in words.refused.items():
            found.setdefault(name, []).append(f"`{engine}` ({why})")
        if not words.on_gpu:
            found.setdefault("gpu", []).append(f"`{engine}`")
        if words.not_parked:
            found.setdefault("on_swap", []).append(f"`{engine}` ({words.not_parked})")
    return {name: f"Not for {', '.join(engines)}." for name, engines in found.items()}


def _text(text: str) -> Iterator[str]:
    """A line for each sentence, as man-pages(7) wants it."""
    for sentence in _SENTENCE_END.split(text):
        line = _marked(sentence)
        yield rf"\&{line}" if line.startswith((".", "'")) else line


def _in_italics(words: str) -> str:
    r"""What stands for something else, in a line of what may be written: all but `marks` and `|`."""
    return " | ".join(part if part.startswith("`") else f"_{part}_" for part in words.split(" | "))


def _marked(text: str) -> str:
    """`marks` in bold, _stand-ins_ in italics, names of pages in bold."""
    parts = re.split(rf"(`[^`]*`|(?<!\w)_[^_]+_(?!\w)|{_PAGE.pattern})", text)
    return "".join(map(_part, parts))


def _part(part: str) -> str:
    if part.startswith("`"):
        return rf"\fB{_escaped(part[1:-1])}\fP"
    if part.startswith("_"):
        return rf"\fI{_escaped(part[1:-1])}\fP"
    if _PAGE.fullmatch(part):
        return rf"\fB{_escaped(part[:-3])}\fP{part[-3:]}"
    return _escaped(part)


def _escaped(text: str) -> str:
    """As it stands: a hyphen that is to be copied is a minus to roff."""
    return text.replace("\\", r"\e").replace("-", r"\-")
