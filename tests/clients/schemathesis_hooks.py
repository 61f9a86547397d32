"""Loaded by schemathesis: what it asks for beside what it makes up."""

from typing import Any

import schemathesis
from hypothesis import strategies

NAMES = [
    "writer", "code", "absent", "Qwen/VL", "Qwen%2FVL", "writer/log", "writer/load", "../writer", "..", ".", "/", "//",
    " ", "writer ", "%", "%00", "\0", "\n", "é", "💡", "a" * 5000, "writer?x", "writer#x", "writer;x", "{model}", "*",
]  # fmt: skip
"""Models that there are, one without a file, and what somebody may take for a name."""


def before_generate_path_parameters(context: Any, strategy: Any) -> Any:
    """Names of models that there are, and odd ones."""
    del context
    return strategies.one_of(strategy, strategies.sampled_from(NAMES).map(lambda name: {"model": name}))


def filter_query(context: Any, query: dict[str, Any] | None) -> bool:
    """Nothing that is answered for as long as one listens."""
    del context
    return not query or query.get("follow") not in {"1", "true"}


for _hook in (before_generate_path_parameters, filter_query):
    schemathesis.hook(_hook)
