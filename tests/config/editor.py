"""YAML as editors read it."""

import json
import re
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2, where `on` and `010` are what they look like (yaml.org/spec/1.2.2, 10.3.2)."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as it is there


for tag, pattern, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))


def as_json(text: str) -> Any:  # noqa: ANN401 - whatever is written
    """A document as JSON has it: names are texts."""
    return json.loads(json.dumps(yaml.load(text, Loader)))  # noqa: S506 - a safe one
