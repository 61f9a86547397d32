"""config/telegram.yaml, and every mistake in one, with its line."""

from pathlib import Path

import pytest

from swapper.config.errors import ConfigErrors
from swapper.telegram.agent.choose import Wished
from swapper.telegram.settings import Codex, Settings, Webhook, load

SOURCE = Path(__file__).parents[2]


def read(folder: Path, text: str) -> Settings:
    file = folder / "telegram.yaml"
    file.write_text(text)
    return load(file)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as errors:
        read(folder, text)
    return [str(error).removeprefix(f"{folder}/telegram.yaml:") for error in errors.value.errors]


def test_what_is_shipped_is_the_default() -> None:
    assert load(SOURCE / "config/telegram.yaml") == Settings()


def test_what_is_commented_out_is_good_too(tmp_path: Path) -> None:
    lines = (SOURCE / "config/telegram.yaml").read_text().splitlines()
    names = ("model", "system", "history", "voice", "agent", "codex", "senses", "router", "api", "webhook")
    keys = (*(f"# {name}:" for name in names), "#   You", "#   Answer")
    text = "\n".join(line.removeprefix("# ").replace("#   ", "   ") for line in lines if line.startswith(keys))
    settings = read(tmp_path, text)
    assert settings.model == "devstral"
    assert settings.system.count("\n") == 1
    assert settings.senses == Wished("asr", "vision", "tts", "nova")
    assert (settings.agent, settings.codex) == ("tools", Codex())
    assert settings.webhook == Webhook("https://bot.example.com/telegram/updates", "/telegram/updates")


def test_codex_may_answer(tmp_path: Path) -> None:
    settings = read(tmp_path, "agent: codex\ncodex: {program: /opt/codex, approval: untrusted}\n")
    assert (settings.agent, settings.codex) == ("codex", Codex("/opt/codex", "untrusted"))
    found = mistakes(tmp_path, "agent: claude\ncodex: {approval: never, sandbox: off}\n")
    assert [error.split(":")[0] for error in found] == ["1", "2", "2"]


def test_nobody_is_let_in_by_an_empty_file(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert (settings.users, settings.groups) == (frozenset(), frozenset())


def test_who_is_let_in(tmp_path: Path) -> None:
    settings = read(tmp_path, "allow:\n  users: [12, 34]\n  groups: [-100]\n")
    assert (settings.users, settings.groups) == (frozenset({12, 34}), frozenset({-100}))


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = """\
allow:
  users: [-5, ada]
  group: [-100]
voice: loud
history: 1
router: localhost:8000
webhook: https://bot.example.com/
sytem: be kind
"""
    found = mistakes(tmp_path, text)
    assert [error.split(":")[0] for error in found] == ["2", "2", "3", "4", "5", "6", "7", "8"]
    assert "'allow' has no 'group' (did you mean 'groups'?)" in found[2]
    assert "the configuration has no 'sytem' (did you mean 'system'?)" in found[7]


@pytest.mark.parametrize(
    "url", ["http://a.b/telegram/x", "https://a.b/telegram/", "https://a.b/health", "https://u@a.b/telegram/x"]
)
def test_where_telegram_may_not_call(tmp_path: Path, url: str) -> None:
    assert mistakes(tmp_path, f"webhook: {url}")
