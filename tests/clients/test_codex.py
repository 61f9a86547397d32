"""OpenAI's Codex on the command line, which speaks the Responses API with streams, tools and history."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.rig import DONE, URL
from tests.job.house import ask, sentence

CODEX = os.environ.get("SWAPPER_TEST_CLIENTS_CODEX", "")
if not CODEX:
    pytest.skip("it is not here: run tests/run --clients", allow_module_level=True)

SETTINGS = f"""
model = "coder"
model_provider = "swapper"
model_context_window = 65536
web_search = "disabled"

[model_providers.swapper]
name = "Swapper"
base_url = "{URL}/v1"
wire_api = "responses"

[analytics]
enabled = false
"""
SECONDS = 300  # it looks for its makers' servers for a while, which a machine without a network cannot reach


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codex's own folder, and an empty one to work in."""
    home = tmp_path_factory.mktemp("codex")
    (home / "config.toml").write_text(SETTINGS)
    (home / "work").mkdir()
    return home


def codex(home: Path, *arguments: str) -> list[dict[str, Any]]:
    """What `codex exec --json` tells, event by event."""
    command = (CODEX, "exec", *arguments)
    environment = {**os.environ, "CODEX_HOME": str(home), "HOME": str(home)}
    done = subprocess.run(
        command, cwd=home / "work", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def said(events: list[dict[str, Any]]) -> list[str]:
    """The model's messages."""
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    return [item["text"] for item in items if item["type"] == "agent_message"]


def test_a_conversation_of_two_turns(home: Path) -> None:
    first = codex(home, "--json", "--skip-git-repo-check", "say hello")
    assert said(first) == [sentence("coder")]
    before = used(first)
    second = codex(home, "resume", "--last", "--json", "--skip-git-repo-check", "and again")
    assert said(second) == [sentence("coder")]
    assert used(second) > before, "the second turn did not carry the first"
    assert ask("GET", "/api/models/coder").json["leases"] == 0


def test_a_tool_is_called_and_its_answer_goes_back(home: Path) -> None:
    # Its own sandbox cannot be had in a machine like this one.
    told = codex(home, "--json", "--skip-git-repo-check", "--model=agent", "--sandbox=danger-full-access", "make it")
    assert said(told) == [DONE]
    assert (home / "work" / "made").exists()


def used(events: list[dict[str, Any]]) -> int:
    """Tokens of the last turn's prompt, as the engine counted them."""
    (usage,) = [event["usage"] for event in events if event["type"] == "turn.completed"]
    count: int = usage["input_tokens"]
    return count
