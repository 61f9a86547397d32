"""What may stand behind keys, whichever they are: texts, numbers, times, sizes, lists of such.

A schema knows what a value looks like, and the reader what it means: so it lets pass what only the latter can judge.
"""

import math
from collections.abc import Callable, Collection
from pathlib import Path

from swapper.config.nodes import Reader, Value
from swapper.config.quantities import AMOUNT, NUMBER, SPAN, duration, memory, share, size
from swapper.config.settings import Bytes, Memory, Share
from swapper.config.table import Kind, Schema

_CONTROLS = r"\u0000-\u0008\u000a-\u001f\u007f-\u009f"
_INSIDE = rf"[^\t{_CONTROLS}]"
_NO_PARENTS = r"(?!(?:.*/)?\.\.(?:/|$))"
_FLAGS = "yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"
"""YAML 1.1 has these for true and false, and 1.2, by which editors go, as texts."""

_NOT_ZERO = r"(?=[^1-9]*[1-9])"


def matching(pattern: str, *, bare: bool = False) -> Schema:
    """A text that matches, from its beginning to its end; with `bare`, also one that YAML takes for something else.

    A text need not have quotes for the reader: `3.10` and `on` are taken as they stand.
    """
    return {"type": ["string", "number", "boolean"] if bare else "string", "pattern": f"^{pattern}$"}


def parsed[T](words: str, schema: Schema, parse: Callable[[str], T], plain: Callable[[T], object] = str) -> Kind[T]:
    """What `parse` makes of a text; it raises ValueError with what it wanted."""
    return Kind(words, schema, lambda reader, value, what: reader.parsed(value, what, parse), plain)


def number(*, least: int, most: int | None = None, words: str = "number") -> Kind[int]:
    """A whole number. That it is no more than `most` is the reader's business."""
    limits = {"minimum": least} | ({} if most is None else {"maximum": most})
    text = matching("[0-9]*[1-9][0-9]*" if least else "[0-9]+")
    schema = {"anyOf": [{"type": "integer", **limits}, text]}
    return Kind(words, schema, lambda reader, value, what: reader.number(value, what, least=least), int)


def word(known: Collection[str]) -> Kind[str]:
    """One of some words."""
    words = " | ".join(f"`{word}`" for word in known)
    return Kind(words, {"enum": list(known)}, lambda reader, value, what: reader.one_of(value, what, known))


def each[T](kind: Kind[T], words: str, *, once: bool = False) -> Kind[tuple[T, ...]]:
    """A list; a single one counts as a list of one. That none stands twice is the reader's business."""

    def read(reader: Reader, value: Value, what: str) -> tuple[T, ...]:
        items = reader.items(value, what)
        return tuple(found for item in items if (found := kind.read(reader, item, what)) is not None)

    several: dict[str, object] = {"type": "array", "items": kind.schema}
    return Kind(
        words,
        {"anyOf": [several | ({"uniqueItems": True} if once else {}), kind.schema]},
        read,
        lambda values: [kind.plain(value) for value in values],
    )


def but(kind: Kind[str], refused: Collection[str]) -> Kind[str]:
    """All but these, which the reader finds out by itself."""
    return Kind(kind.words, {**kind.schema, "not": {"enum": list(refused)}}, kind.read, kind.plain)


def anything(refused: Collection[str]) -> Kind[object]:
    """Keys that people choose, but for some, with any values; the reader takes them one by one."""
    schema = {"type": "object", "propertyNames": {"not": {"enum": list(refused)}}}
    return Kind("`KEY: VALUE` lines", schema, Reader.entries)


def variables(name: str, refused: Collection[str]) -> Kind[object]:
    """Environment, by names that match; the reader takes it one by one."""
    names = {**matching(name), "not": {"enum": list(refused)}}
    schema = {"type": "object", "propertyNames": names, "additionalProperties": TEXT.schema}
    return Kind("`NAME: text` lines", schema, Reader.entries)


def shown_size(count: int) -> str:
    """`512MiB`: the largest unit of which it is a whole number."""
    power = next((power for power in (4, 3, 2, 1) if count % (1 << 10 * power) == 0), 0)
    return f"{count >> 10 * power}{('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def shown_time(seconds: float) -> str:
    """`10min`: whole minutes from two on, else seconds."""
    if seconds == math.inf:
        return "never"
    return f"{seconds / 60:g}min" if seconds >= 120 and seconds % 60 == 0 else f"{seconds:g}s"


def shown_share(part: float) -> str:
    """`20%`."""
    return f"{part * 100:g}%"


def _shown_memory(amount: Memory) -> str:
    match amount:
        case Bytes(count):
            return shown_size(count)
        case Share(parts):
            return f"{parts / 10_000:g}%"


def _path(reader: Reader, value: Value, what: str) -> Path | None:
    return path_below(reader, value, what, None)


def path_below(reader: Reader, value: Value, what: str, base: Path | None) -> Path | None:
    """A path; a relative one is below `base`, where there is one."""
    text = reader.text(value, what)
    if text is None:
        return None
    path = (base or Path()) / text
    if text.startswith("~"):
        hint = "write it in full, such as /home/NAME/.cache/llama.cpp/FILE.gguf"
        reader.wrong(value, f"{what} begins with '~', and services have no home directory", hint)
    elif not path.is_absolute() or not text.strip():
        reader.wrong(value, f"{what} wants a path that begins with '/', not {text!r}")
    elif ".." in path.parts or "\t" in text:
        reader.wrong(value, f"{what} contains '..' or a tab", "write the path without it")
    else:
        return path
    return None


_SIZE = rf"{_NOT_ZERO}\s*{AMOUNT.pattern}\s*"
_UP_TO_100 = rf"{_NOT_ZERO}\s*0*(?:100(?:\.0+)?|[0-9]{{1,2}}(?:\.[0-9]+)?)\s*%\s*"
_TIME = rf"{_NOT_ZERO}\s*(?:{NUMBER.pattern}|(?:{SPAN.pattern})+)\s*"

TEXT = Kind("text", matching(f"[^{_CONTROLS}]*", bare=True), Reader.text)
FLAG = Kind("`true` | `false`", {"anyOf": [{"type": "boolean"}, matching(f"(?:{_FLAGS})")]}, Reader.truth, bool)
PATH = Kind("path", matching(f"/{_NO_PARENTS}{_INSIDE}*"), _path)
RELATIVE = Kind("path", matching(rf"(?!~){_NO_PARENTS}{_INSIDE}*\S{_INSIDE}*", bare=True), _path)
"""One that may begin in another directory."""

TIME = parsed("time", {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, matching(_TIME)]}, duration, shown_time)
TIME_OR_NEVER = parsed(
    "time | `never`",
    {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, matching(f"(?:never|{_TIME})")]},
    lambda text: math.inf if text == "never" else duration(text),
    shown_time,
)
SIZE = parsed("size", matching(_SIZE), size, shown_size)
SHARE = parsed("share", matching(_UP_TO_100), share, shown_share)
MEMORY = parsed("share | size", matching(f"(?:{_UP_TO_100}|{_SIZE})"), memory, _shown_memory)
