"""Calls of tools, put together from a stream, and which of them are carried out. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from swapper.client import CallPart

MOST_AT_ONCE = 6
"""Calls of one step that are carried out."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call.

    Attributes:
        id: By which its result is known.
        name: The tool.
        arguments: None where what was written is no JSON object.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] | None

    @property
    def key(self) -> str:
        """Equal for calls that ask for the same."""
        return f"{self.name} {json.dumps(self.arguments, sort_keys=True)}"

    @property
    def message(self) -> dict[str, object]:
        """As the model is reminded of it. Broken arguments are left out: engines read them again, and stumble."""
        written = json.dumps(self.arguments or {}, ensure_ascii=False)
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": written}}


@dataclass(slots=True)
class _Parts:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Assembly:
    """Puts calls together."""

    def __init__(self, prefix: str) -> None:
        """Begin.

        Args:
            prefix: Of ids that an engine leaves out.
        """
        self._prefix = prefix
        self._parts: dict[int, _Parts] = {}

    def add(self, parts: Iterable[CallPart]) -> None:
        """Take more of them."""
        for part in parts:
            found = self._parts.setdefault(part.index, _Parts())
            found.id = found.id or part.id
            found.name = found.name or part.name
            found.arguments.append(part.arguments)

    def calls(self) -> tuple[Call, ...]:
        """What has been called."""
        return tuple(
            Call(found.id or f"{self._prefix}{index}", found.name, _arguments("".join(found.arguments)))
            for index, found in sorted(self._parts.items())
        )


def _arguments(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def refusals(calls: Sequence[Call], known: Iterable[str], made: Iterable[str]) -> dict[str, str]:
    """Why calls are not carried out, by their ids.

    Args:
        calls: Of one step.
        known: Names of the tools that there are.
        made: Keys of calls that have been carried out for this answer.
    """
    names, done, refused = set(known), set(made), dict[str, str]()
    for number, call in enumerate(calls):
        if call.name not in names:
            refused[call.id] = f"there is no tool {call.name[:40]!r}; there are: {', '.join(sorted(names))}"
        elif call.arguments is None:
            refused[call.id] = "the arguments are no JSON object"
        elif call.key in done:
            refused[call.id] = "this very call has been made, and its result is above: answer with what you have"
        elif number >= MOST_AT_ONCE:
            refused[call.id] = f"more than {MOST_AT_ONCE} calls at once"
        done.add(call.key)
    return refused
