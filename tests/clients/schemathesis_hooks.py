"""Loaded by schemathesis: what it asks for beside what it makes up."""

import re
from typing import Any

import schemathesis
from hypothesis import strategies

NAMES = [
    "writer", "code", "absent", "Qwen/VL", "Qwen%2FVL", "writer/log", "writer/load", "../writer", "..", ".", "/", "//",
    " ", "writer ", "%", "%00", "\0", "\n", "é", "💡", "a" * 5000, "writer?x", "writer#x", "writer;x", "{model}", "*",
    "main.js", "style.css", "icon.svg", "index.html", "../ui.py",
]  # fmt: skip
"""Models that there are, one without a file, the dashboard's files, and what somebody may take for a name."""


def before_generate_path_parameters(context: Any, strategy: Any) -> Any:
    """Names of models and files that there are, and odd ones."""
    parameters = re.findall(r"{(\w+)}", context.operation.path)
    named = strategies.sampled_from(NAMES).map(lambda name: dict.fromkeys(parameters, name))
    return strategies.one_of(strategy, named) if parameters else strategy


def filter_query(context: Any, query: dict[str, Any] | None) -> bool:
    """Nothing that is answered for as long as one listens."""
    del context
    return not query or query.get("follow") not in {"1", "true"}


for _hook in (before_generate_path_parameters, filter_query):
    schemathesis.hook(_hook)
