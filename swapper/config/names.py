"""Names that people choose, for models, groups and profiles."""

from swapper.config.kinds import matching
from swapper.config.nodes import Reader, Value
from swapper.config.table import Kind
from swapper.core.model import instance_name

NAME_BYTES = 64
"""Longest escaped name: a unix socket's path ends at 107 bytes (unix(7)), and the name is a part of it."""


def read_name(reader: Reader, value: Value, what: str) -> str | None:
    """A model's name or alias: it stands in unit names, in paths and on command lines."""
    name = reader.text(value, what)
    if name is None:
        return None
    if not name or name != name.strip() or name.startswith("-") or "," in name or "\t" in name:
        hint = "no comma, no '-' or blank at its beginning, no blank at its end"
        reader.wrong(value, f"{what} cannot be {name!r}", hint)
    elif (length := len(instance_name(name))) > NAME_BYTES:
        message = f"{what} {name!r} takes {length} bytes in a unit's name, which is more than {NAME_BYTES}"
        reader.wrong(value, message, "every character but letters, digits and ':_.-' takes three or more")
    else:
        return name
    return None


_PATTERN = r"(?![-\s])(?!.*\s$)[^,\u0000-\u001f\u007f-\u009f]+"

NAME = Kind("name", {**matching(_PATTERN, bare=True), "maxLength": NAME_BYTES}, read_name)
