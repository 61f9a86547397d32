"""Tables of keys → a JSON schema, draft 7 (json-schema.org/draft-07), as editors want it.

It refuses what can be seen in one place of one file; what has to fit together across places is for `swapperctl check`.
Nothing that may be written is refused, and a key with nothing behind it counts as not written, as for the reader.
"""

import json
from collections.abc import Mapping
from typing import Any, assert_never

from swapper.config.keywords import ModelKeys
from swapper.config.table import Key, Kind, Known, Part, Schema, Several, Table, keys_of
from swapper.config.vocabulary import ENGINES, Words

NOTHING_SAID = (None, (), "")
"""What is usual where the text of a key says what holds."""

_NOTHING = {"type": "null"}


def dumped(table: type[Table], name: str) -> str:
    """That of a file in /etc/swapper, as text."""
    return json.dumps(schema(table, f"/etc/swapper/{name}.yaml"), indent=1, ensure_ascii=False) + "\n"


def schema(table: type[Table], title: str) -> dict[str, Any]:
    """A whole one."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, **_or_nothing(_section(table))}


def _section(table: type[Table]) -> dict[str, Any]:
    """Its keys, and no others. A model also has what its engine says of them."""
    properties = {name: _key(key) for name, key in keys_of(table).items()}
    found = {"type": "object", "additionalProperties": False, "properties": properties}
    return found if table is not ModelKeys else {**found, **_of_engines()}


def _key(key: Known) -> dict[str, Any]:
    match key:
        case Key():
            usual = {} if key.usual in NOTHING_SAID else {"default": key.kind.plain(key.usual)}
            return {"description": key.text, **usual, **_or_nothing(key.kind.schema)}
        case Part():
            return {"description": key.text, **_or_nothing(_section(key.table))}
        case Several():
            inside = key.inside.schema if isinstance(key.inside, Kind) else _section(key.inside)
            names = _as_text(key.called.schema)
            named = {"type": "object", "propertyNames": names, "additionalProperties": inside}
            return {"description": key.text, **_or_nothing(named)}
        case _:
            assert_never(key)


def _or_nothing(schema: Schema) -> dict[str, Any]:
    if schema.keys() == {"anyOf"}:
        others = schema["anyOf"]
        assert isinstance(others, list)  # noqa: S101 - for mypy
        return {"anyOf": [*others, _NOTHING]}
    return {"anyOf": [schema, _NOTHING]}


def _as_text(schema: Schema) -> Schema:
    """For a name: JSON has nothing but texts there, whatever was written."""
    return {"type": "string", "pattern": "^[0-9]+$"} if "anyOf" in schema else schema


def _of_engines() -> dict[str, Any]:
    rules = [
        {"if": {"properties": {"engine": {"const": name}}, "required": ["engine"]}, "then": _of_engine(name, words)}
        for name, words in ENGINES.items()
    ]
    return {"required": ["engine"], "allOf": [{"properties": {"engine": {"not": _NOTHING}}}, *rules]}


def _of_engine(name: str, words: Words) -> dict[str, Any]:
    """What is not for an engine, with the reason in the words of those editors that have a place for it."""
    properties: dict[str, Any] = {
        key: {**_NOTHING, "errorMessage": f"{key!r} is not for engine {name!r} ({why})"}
        for key, why in words.refused.items()
    }
    properties["args"] = {"not": _having(words.arguments)}
    if not words.on_gpu:
        properties["gpu"] = {"anyOf": [{"const": []}, _NOTHING], "errorMessage": "its engine uses no GPU"}
    if words.not_parked:
        properties["on_swap"] = {"enum": ["stop", None], "errorMessage": f"it cannot be parked ({words.not_parked})"}
    if words.weights:
        properties["model"] = {"not": _NOTHING}
    return {"properties": properties, **({"required": ["model"]} if words.weights else {})}


def _having(arguments: Mapping[str, str]) -> dict[str, Any]:
    """One of these, or a list with one of them in it."""
    one = {"type": "string", "pattern": f"^(?:{'|'.join(sorted(arguments))})(?:=|$)"}
    return {"anyOf": [one, {"type": "array", "contains": one}]}
