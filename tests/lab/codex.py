#!/usr/bin/python3
"""Stands in for OpenAI's Codex client (`codex app-server`), where npm is not: tests/run --clients has the real one.

It has no model. Whatever it is asked, it wants to run a command, and then says what became of that wish; a question
that begins with `long` makes it a long command, one that begins with `plain` none. What it says is held against the
real client's own schema by tests/telegram/agent/test_codex.py.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

THREAD, TURN, COMMAND = "thread-1", "turn-1", "touch made"
LONG = 5000

type Json = Mapping[str, Any]


def asks(command: str) -> Json:
    """That a person decides."""
    params = {"threadId": THREAD, "turnId": TURN, "itemId": "item-1", "startedAtMs": 1, "command": command}
    return {"id": 0, "method": "item/commandExecution/requestApproval", "params": params}


def says(text: str) -> Iterator[Json]:
    """An answer, and the turn's end."""
    item = {"type": "agentMessage", "id": "item-2", "text": text}
    where = {"threadId": THREAD, "turnId": TURN}
    yield {"method": "item/started", "params": {**where, "item": {**item, "text": ""}, "startedAtMs": 1}}
    yield {"method": "item/agentMessage/delta", "params": {**where, "itemId": item["id"], "delta": text}}
    yield {"method": "item/completed", "params": {**where, "item": item, "completedAtMs": 2}}
    turn = {"id": TURN, "items": [], "status": "completed"}
    yield {"method": "turn/completed", "params": {"threadId": THREAD, "turn": turn}}


def answers(lines: Iterator[str]) -> Iterator[Json]:
    """All that it says."""
    for line in lines:
        message = json.loads(line)
        match message.get("method"):
            case "thread/start":
                yield {"id": message["id"], "result": {"thread": {"id": THREAD}}}
            case "turn/start":
                yield {"id": message["id"], "result": {"turn": {"id": TURN}}}
                yield from _turn(message["params"]["input"][0]["text"])
            case "initialized":
                pass
            case None:
                decision = message["result"]["decision"]
                if decision == "accept":
                    Path("made").touch()
                yield from says(f"It was to be: {decision}.")
            case _:
                yield {"id": message["id"], "result": {}}


def _turn(question: str) -> Iterator[Json]:
    if question.startswith("plain"):
        yield from says("Plain.")
    else:
        yield asks(COMMAND + " " * LONG * question.startswith("long") + ".")


def main() -> None:
    """Serve until standard input ends."""
    for message in answers(iter(sys.stdin.readline, "")):
        print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
