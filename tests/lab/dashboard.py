"""The dashboard for Grafana, and the metrics that its panels ask for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.exposition import Scraped

FILE = Path(__file__).parents[2] / "packaging" / "grafana" / "swapper.json"

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\{)")
_PLAIN = re.compile(r"label_values\(([a-zA-Z_:][a-zA-Z0-9_:]*)[,{]")

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
"""What families of each type add to their name; others add nothing."""


def load() -> dict[str, Any]:
    """The dashboard."""
    dashboard: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return dashboard


def expressions(node: object) -> Iterator[str]:
    """All that is asked of Prometheus, wherever it stands."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"expr", "definition"} and isinstance(value, str):
                yield value
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def asked() -> set[str]:
    """Names of all metrics that the dashboard asks for."""
    return {name for text in expressions(load()) for name in (*_NAME.findall(text), *_PLAIN.findall(text))}


def given(scraped: Scraped) -> set[str]:
    """Names of samples that an exposition has, or will have once there is something to count."""
    return {
        family + suffix for family, kind in scraped.families.items() for suffix in SUFFIXES.get(kind, ("",))
    }
