"""What Codex is told, what it gets, and who works in a chat's directory; without Codex."""

import fcntl
import os
import tomllib
from pathlib import Path

import pytest

from swapper.telegram.agent.codex import question
from swapper.telegram.agent.codex_unit import KEY, LOCK, Order, environment, hold, told
from swapper.telegram.settings import Settings

SEEN = Path("/var/lib/swapper-codex/chat")


def test_it_is_told_where_models_and_tools_are_and_what_commands_may() -> None:
    found = tomllib.loads("\n".join(told(Settings(router="http://gpu.example:8000"), Order("42", context=4096), SEEN)))
    assert found["model_context_window"] == 4096
    assert found["model_providers"]["swapper"]["base_url"] == "http://gpu.example:8000/v1"
    assert found["mcp_servers"]["swapper"]["url"] == "http://127.0.0.1:4000/mcp"
    assert found["mcp_servers"]["swapper"]["tools"] == {"fetch_page": {"approval_mode": "prompt"}}
    assert found["sandbox_mode"] == "workspace-write"
    assert found["sandbox_workspace_write"] == {"network_access": False}
    assert found["shell_environment_policy"]["set"] == {"HOME": "/var/lib/swapper-codex/chat/work"}


def test_the_key_is_nowhere_but_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    order = Order("42", key='se"cret')
    lines = told(Settings(), order, SEEN)
    assert not any("cret" in line for line in lines)
    found = tomllib.loads("\n".join(lines))
    assert found["model_providers"]["swapper"]["env_key"] == KEY
    assert found["mcp_servers"]["swapper"]["bearer_token_env_var"] == KEY
    given = environment(SEEN / "home", order)
    assert given.keys() == {"HOME", "CODEX_HOME", "PATH", "LANG", KEY}
    assert given[KEY] == 'se"cret'


@pytest.mark.parametrize("order", [Order("42"), Order("-1001.7", "key", 4096), Order("42", forget=True)])
def test_an_order_is_read_as_it_was_sent(order: Order) -> None:
    assert Order.read(order.line) == order


@pytest.mark.parametrize("chat", ["", "..", "../42", "42/../43", "42 ", None, "." * 3, "1.2.3"])
def test_an_order_names_nothing_but_a_chat(chat: str | None) -> None:
    with pytest.raises(ValueError, match="names a chat"):
        Order.read(Order(chat).line)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="names a chat"):
        Order.read(b"[]")


def test_one_at_a_time_works_in_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "chats" / "42"
    holding = hold(folder)
    other = os.open(folder / LOCK, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(holding)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_a_question_hides_nothing() -> None:
    asked = question("Codex wants to run", "echo ```\x1b[8m\u202e\nrm -r /", "Because\r")
    assert asked == "Codex wants to run:\n\n````\necho ```\\u001b[8m\\u202e\nrm -r /\n````\n\nBecause\\u000d"
