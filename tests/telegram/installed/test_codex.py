"""Codex in the chat: a double of its client (tests/lab/codex.py), or the real one where npm was at hand."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.telegram import asking
from tests.clients import rig as clients
from tests.job import house
from tests.job.house import journal, run, sentence, show, until
from tests.lab import codex
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats, Said
from tests.lab.namespaces import Namespaces
from tests.telegram.agent.rig import wordy
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, BOB, GROUP, SERVICE, STRANGER
from tests.telegram.installed.test_interrupted import arrived

REAL = os.environ.get("SWAPPER_TEST_CLIENTS_CODEX", "")
PROGRAM, STATE = Path("/usr/local/bin/codex"), Path("/var/lib/swapper-codex")
SOCKET = "swapper-codex.socket"
KEYS, KEY = Path("/etc/credstore/swapper.keys"), Path("/etc/credstore/swapper-telegram.key")
BOTS_KEY = "k" * 32
EXPOSURE = 2.5
ALLOWED, REFUSED = "It was to be: accept.", "It was to be: decline."


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    rig.clean()
    run("systemctl", "stop", SOCKET)
    until(lambda: not units(), "what the bot left has ended, and is not taken for the next test's")
    run("rm", "-rf", str(STATE), str(PROGRAM))


def units() -> str:
    """Those that run."""
    return run("systemctl", "list-units", "--plain", "--no-legend", "swapper-codex@*")


@pytest.fixture
def bot(telegram: BotApi) -> Chats:
    """The people; the bot answers by the double."""
    install(Path(codex.__file__))
    return started(telegram)


def install(program: Path) -> None:
    """As npm does."""
    PROGRAM.write_bytes(program.read_bytes())
    PROGRAM.chmod(0o755)


def started(telegram: BotApi, more: str = "") -> Chats:
    """Start it."""
    rig.configure(telegram, f"agent: codex\n{more}")
    rig.start()
    return telegram.chats


def asked(chats: Chats, chat: int = ADA, wants: str = "wants to run") -> Said:
    """Wait for a question that is open."""
    def found() -> list[Said]:
        return [said for said in chats.all(chat) if wants in said.text and said.buttons]

    chats.wait(lambda: bool(found()), "Codex asks")
    return found()[-1]


def told(chats: Chats, query: str) -> str:
    """What was said to who pressed a button."""
    chats.wait(lambda: query in chats.presses, "the press is answered")
    return chats.presses[query]


def settled(chats: Chats, question: Said, verdict: str) -> None:
    """Wait until a message says what was decided, and cannot be pressed any more."""
    def ended() -> bool:
        said = chats.said[question.number]
        return said.text.endswith(verdict) and not said.buttons

    chats.wait(ended, verdict)


def work(chat: int = ADA) -> Path:
    """A chat's files."""
    return STATE / "chats" / str(chat) / "work"


# ---- the client ------------------------------------------------------------------------------------------------------


def test_without_the_client_it_does_not_start_and_says_what_to_type(telegram: BotApi) -> None:
    rig.configure(telegram, "agent: codex\n")
    run("systemctl", "start", SERVICE, check=False)
    until(lambda: show(SERVICE, "ActiveState") == "failed", "it has ended")
    assert show(SERVICE, "ExecMainStatus") == "78"
    assert "npm install --global @openai/codex" in journal(SERVICE)
    assert "Codex is not installed" in show(SERVICE, "StatusText")
    check = run("env", "PYTHONPATH=/usr/share/swapper", "sh", "-c", "python3 -m swapper.telegram check 2>&1; echo $?")
    assert "npm install --global @openai/codex" in check
    assert check.splitlines()[-1] == "78"
    assert telegram.calls == []


def test_a_text_is_answered_in_a_unit_that_ends(bot: Chats) -> None:
    bot.text(ADA, "plain")
    assert bot.answered(ADA, "Plain.").text == "Plain."
    until(lambda: not units(), "the unit is gone")


def test_what_codex_is_told_is_no_secret_of_the_bots(bot: Chats) -> None:
    bot.text(ADA, "Hello!")
    asked(bot)
    (process,) = run("pgrep", "-u", "swapper-codex", "-f", "app-server").split()
    environment = Path(f"/proc/{process}/environ").read_text()
    assert "swapper-telegram" not in environment
    assert "CREDENTIALS" not in environment
    arguments = Path(f"/proc/{process}/cmdline").read_text()
    assert 'mcp_servers.swapper.url="http://127.0.0.1:4000/mcp"' in arguments
    assert 'model_providers.swapper.base_url="http://127.0.0.1:8000/v1"' in arguments


def test_its_socket_is_the_bots_alone(bot: Chats) -> None:
    del bot
    socket = Path("/run/swapper-codex.sock").stat()
    assert stat.S_IMODE(socket.st_mode) == 0o600
    assert run("stat", "-c", "%U", "/run/swapper-codex.sock").strip() == "swapper-telegram"


# ---- questions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("button", "verdict", "answer"), [("Allow", "✅ Allow", ALLOWED), ("Refuse", "🚫 Refuse", REFUSED)]
)
def test_a_button_decides(bot: Chats, button: str, verdict: str, answer: str) -> None:
    bot.text(ADA, "Hello!")
    question = asked(bot)
    assert codex.COMMAND in question.formatted("pre")[0]
    assert told(bot, bot.press(question, button)) == button
    assert bot.answered(ADA, "It was").text == answer
    settled(bot, question, verdict)
    assert (work() / "made").exists() is (button == "Allow")
    assert told(bot, bot.press(question, "Allow")) == asking.CLOSED
    bot.text(ADA, "/forget")
    bot.answered(ADA, "is deleted")
    assert not work().parent.exists()


def test_what_could_not_be_forgotten_is_told(bot: Chats) -> None:
    bot.text(ADA, "plain")
    bot.answered(ADA, "Plain.")
    run("systemctl", "stop", SOCKET)
    bot.text(ADA, "/forget")
    bot.answered(ADA, "maybe not the files")
    run("systemctl", "start", SOCKET)
    bot.text(ADA, "/forget")
    bot.answered(ADA, "Everything of this chat is deleted")
    assert not work().parent.exists()


def test_who_is_let_out_is_forgotten_there_too(bot: Chats) -> None:
    bot.text(ADA, "plain")
    bot.answered(ADA, "Plain.")
    assert work().parent.exists()
    run("swapperctl", "telegram", "remove", str(ADA), "--forget", check=False)
    assert not work().parent.exists()


def test_nobody_else_decides(bot: Chats) -> None:
    bot.text(GROUP, "@swapper_test_bot Hello!", sender=BOB)
    question = asked(bot, GROUP)
    assert question.reply_to
    assert told(bot, bot.press(question, "Allow", sender=ADA)) == asking.FOREIGN
    bot.text(ADA, "Hello!")
    assert told(bot, bot.press(asked(bot), "Allow", sender=STRANGER)) == ""
    assert bot.said[question.number].buttons
    bot.press(question, "Refuse", sender=BOB)
    bot.answered(GROUP, REFUSED)


def test_stop_refuses(bot: Chats) -> None:
    bot.text(ADA, "Hello!")
    question = asked(bot)
    bot.text(ADA, "/stop")
    bot.answered(ADA, "⏹ Stopped.")
    settled(bot, question, asking.OVER)
    assert told(bot, bot.press(question, "Allow")) == asking.CLOSED
    assert not (work() / "made").exists()


def test_what_cannot_be_shown_whole_is_refused(bot: Chats) -> None:
    bot.text(ADA, "long")
    assert bot.answered(ADA, "It was").text == REFUSED
    assert not any(said.buttons for said in bot.all(ADA))


def test_after_a_crash_it_is_asked_once_more_and_the_old_buttons_are_dead(bot: Chats) -> None:
    bot.text(ADA, "Hello!")
    old = asked(bot)
    until(lambda: arrived() == 1, "the bot knows that its question is there")
    rig.kill()
    settled(bot, old, asking.INTERRUPTED)
    new = asked(bot)
    assert new.number != old.number
    assert told(bot, bot.press(old, "Allow")) == asking.CLOSED
    bot.press(new, "Allow")
    bot.answered(ADA, ALLOWED)
    settled(bot, new, "✅ Allow")
    assert len(bot.all(ADA)) == 3, "two questions, and one answer"


def test_codex_that_is_removed_meanwhile_is_told(bot: Chats) -> None:
    PROGRAM.unlink()
    bot.text(ADA, "Hello!")
    assert "npm install --global @openai/codex" in bot.answered(ADA, "⚠️").text


def test_its_unit_is_exposed_little() -> None:
    verdict = run("systemd-analyze", "security", "swapper-codex@0.service", "--no-pager").splitlines()[-1]
    found = re.search(r"(\d+\.\d+)", verdict)
    assert found is not None
    assert float(found[1]) <= EXPOSURE, verdict


# ---- the real one ----------------------------------------------------------------------------------------------------

real = pytest.mark.skipif(not REAL, reason="it is not here: run tests/run --clients")


@real
def test_the_real_client_answers_in_the_chat_and_asks_there(telegram: BotApi) -> None:
    clients.write_models()
    leaves = {"justification": "May I?", "sandbox_permissions": "require_escalated"}
    clients.write_caller("asker", "exec_command", {"cmd": "touch ../outside", **leaves}, clients.DONE)
    before = house.CONFIG.read_text()
    house.configure(before + wordy("asker"))
    try:
        chats = started(telegram, f"codex: {{program: {REAL}}}\n")
        chats.text(ADA, "Hello!")
        assert chats.answered(ADA, "speaking").text == sentence("alpha")
        chats.text(ADA, "/model asker")
        chats.answered(ADA, "asker answers")
        chats.text(ADA, "break out")
        question = asked(chats)
        assert "May I?" in question.text
        chats.press(question, "Allow")
        assert chats.answered(ADA, clients.DONE).text == clients.DONE
        settled(chats, question, "✅ Allow")
        assert (work().parent / "outside").exists()
    finally:
        house.configure(before)


@real
@pytest.mark.parametrize("keys", ["", f"bot inference {BOTS_KEY}\n"])
def test_the_real_client_has_the_media_tools_by_mcp(telegram: BotApi, keys: str) -> None:
    if keys:
        KEYS.write_text(keys)
        KEY.write_text(BOTS_KEY)
    try:
        with Namespaces("mcp__swapper", "models_status", {}).serving() as url:
            chats = started(telegram, f"router: {url}\ncodex: {{program: {REAL}}}\n")
            chats.text(ADA, "What is there?")
            assert "alpha (also first):" in chats.answered(ADA, "alpha").text
        assert not any(said.buttons for said in chats.all(ADA))
    finally:
        for file in (KEYS, KEY):
            file.unlink(missing_ok=True)


@real
def test_the_real_client_asks_before_it_reads_a_page(telegram: BotApi) -> None:
    address = "http://127.0.0.1:8000/x?secret"
    with Namespaces("mcp__swapper", "fetch_page", {"url": address}).serving() as url:
        chats = started(telegram, f"router: {url}\ncodex: {{program: {REAL}}}\n")
        chats.text(ADA, "Read it!")
        question = asked(chats, wants="wants to use fetch_page")
        assert address in question.formatted("pre")[0]
        chats.press(question, "Allow")
        chats.answered(ADA, "not on the public internet")
        settled(chats, question, "✅ Allow")
