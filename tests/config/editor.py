"""YAML as editors read it."""

import json
import re
from typing import Any

import yaml

_WORDS = (
    ("bool", "true|True|TRUE|false|False|FALSE"),
    ("int", "[-+]?[0-9]+"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
    ("null", "~|null|Null|NULL|"),
    ("merge", "<<"),
)
_RESOLVERS = [(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$")) for tag, pattern in _WORDS]


class Loader(yaml.SafeLoader):
    """YAML 1.2, where `on` and `010` are what they look like (yaml.org/spec/1.2.2, 10.3.2)."""

    yaml_implicit_resolvers: dict[str | None, Any] = {None: _RESOLVERS}  # noqa: RUF012 - None: whatever it begins with


def as_json(text: str) -> Any:  # noqa: ANN401 - whatever is written
    """A document as JSON has it: names are texts."""
    return json.loads(json.dumps(yaml.load(text, Loader)))  # noqa: S506 - a safe one
