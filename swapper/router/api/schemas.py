"""JSON Schemas of what is answered, made from the types in `api.shapes`: what is described is what is sent.

The dialect is that of OpenAPI 3.1 ("Schema Object"), which is JSON Schema's of 2020-12.
"""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin, get_type_hints

from swapper.router.api.shapes import Json

type Schema = dict[str, Json]

_PLAIN: Mapping[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_ATTRIBUTE = re.compile(r" {4}(\w+): ")


def reference(shape: type) -> Schema:
    """Where the schema of a shape stands in the document."""
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def described(shape: type) -> Schema:
    """The schema of one shape; those within it are references."""
    hints = get_type_hints(shape)
    words = _words(shape)
    fields = dataclasses.fields(shape)
    return {
        "type": "object",
        "description": _first_line(shape),
        "properties": {
            field.name: {**_schema(hints[field.name]), "description": words[field.name]} for field in fields
        },
        "required": [field.name for field in fields if field.default is dataclasses.MISSING],
    }


def within(shape: type) -> Iterator[type]:
    """A shape and all that are within it, each once."""
    found: dict[type, None] = {}
    waiting = [shape]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = None
            waiting += [inner for hint in get_type_hints(one).values() for inner in _shapes(hint)]
    yield from found


def _shapes(hint: Any) -> Iterator[type]:  # noqa: ANN401 — a type expression
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for argument in get_args(hint):
        yield from _shapes(argument)


def _schema(hint: Any) -> Schema:  # noqa: ANN401 — a type expression
    if isinstance(hint, TypeAliasType):
        return _schema(hint.__value__)
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if not isinstance(hint, type) or get_origin(hint) is not None:
        return _generic(get_origin(hint), get_args(hint))
    if issubclass(hint, StrEnum):
        return {"type": "string", "enum": [member.value for member in hint]}
    return reference(hint)


def _generic(origin: object, arguments: tuple[Any, ...]) -> Schema:
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if origin is Union or origin is types.UnionType:
        return {"anyOf": [_schema(argument) for argument in arguments]}
    raise TypeError(f"no schema for {origin} of {arguments}")


@cache
def _words(shape: type) -> Mapping[str, str]:
    """What a shape's docstring, and those of its bases, say of each field ("Attributes", as Google's style has it)."""
    words: dict[str, str] = {}
    for base in reversed(shape.__mro__[:-1]):
        name = ""
        for line in inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2].splitlines():
            if match := _ATTRIBUTE.match(line):
                name = match[1]
                words[name] = line[match.end() :]
            else:
                words[name] += f" {line.strip()}"
    return words


def _first_line(shape: type) -> str:
    return inspect.cleandoc(shape.__doc__ or "").partition("\n")[0]
