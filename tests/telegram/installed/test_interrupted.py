"""`kill -9` at any point: an answer comes exactly once, or a word that it was interrupted; no message comes twice."""

import pytest

from tests.job import house
from tests.job.house import run, sentence, show, until
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats
from tests.lab.gguf import LOOP_WORDS
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA

ANSWER = sentence("alpha")


@pytest.fixture
def running(telegram: BotApi) -> Chats:
    """The bot runs, and has answered once."""
    rig.start()
    telegram.chats.text(ADA, "Hello!")
    telegram.chats.answered(ADA, ANSWER)
    return telegram.chats


def texts(chats: Chats) -> list[str]:
    return [said.text for said in chats.all(ADA)]


def settled() -> None:
    """Wait until the bot has nothing to do."""
    until(lambda: '"waiting": 0' in rig.get("/health")[1], "nothing waits any more")


def test_killed_while_the_model_answers(running: Chats) -> None:
    run("systemctl", "stop", *house.TEMPLATES)
    with house.watching("alpha", "starting") as starts:
        running.text(ADA, "Hello!")
        starts()
    rig.kill()
    running.answered(ADA, ANSWER, count=2)
    settled()
    assert texts(running) == [ANSWER, ANSWER]


def test_killed_again_and_again_it_gives_up_and_says_so(running: Chats) -> None:
    running.text(ADA, "LOOP")
    for count in range(1, 4):
        drafts = len(running.drafts)
        running.wait(lambda known=drafts: len(running.drafts) > known, f"a draft, {count}")  # type: ignore[misc]
        rig.kill()
    running.answered(ADA, "I was interrupted")
    settled()
    assert len(texts(running)) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before it arrives", "after it arrived"])
def test_killed_while_an_answer_is_on_its_way(telegram: BotApi, running: Chats, *, after: bool) -> None:
    gate = telegram.hold("sendMessage", after=after)
    running.text(ADA, "Hello!")
    assert gate.reached.wait(60)
    rig.kill()
    gate.opened.set()
    running.answered(ADA, "I was interrupted")
    settled()
    assert texts(running).count(ANSWER) == 2, "what was on its way arrived, and was not sent again"
    assert len(texts(running)) == 3


@pytest.mark.parametrize("telegram", [False], indirect=True)
def test_killed_while_a_message_grows(running: Chats) -> None:
    running.text(ADA, "LOOP")
    running.wait(lambda: any(said.edits for said in running.said.values()), "a message is changed")
    rig.kill()
    edits = max(said.edits for said in running.said.values())
    running.wait(lambda: max(said.edits for said in running.said.values()) > edits, "the same message is changed again")
    running.text(ADA, "/stop")
    running.answered(ADA, "⏹ Stopped.")
    settled()
    words = " ".join(texts(running)[1:]).removesuffix("⏹ Stopped.").split()
    assert words == [f"loop{number % LOOP_WORDS:03}" for number in range(len(words))], "one answer in all"


@pytest.mark.parametrize("telegram", [False], indirect=True)
def test_killed_while_the_preview_is_on_its_way(telegram: BotApi, running: Chats) -> None:
    gate = telegram.hold("sendMessage", after=True)
    running.text(ADA, "LOOP")
    assert gate.reached.wait(60)
    rig.kill()
    gate.opened.set()
    running.answered(ADA, "I was interrupted")
    settled()
    assert len(texts(running)) == 3


def test_a_restart_loses_nothing_and_repeats_nothing(telegram: BotApi, running: Chats) -> None:
    for number in range(6):
        running.text(ADA + number, "Hello!")
    run("systemctl", "restart", rig.SERVICE)
    for number in range(6):
        running.answered(ADA + number, ANSWER, count=1 + (number == 0))
    settled()
    assert all(len(running.all(ADA + number)) == 1 + (number == 0) for number in range(6))
    assert telegram.refused == []


def test_updates_that_come_while_it_is_down_wait_for_it(running: Chats) -> None:
    run("systemctl", "stop", rig.SERVICE)
    for text in ("one", "/status", "two"):
        running.text(ADA, text)
    rig.start()
    running.answered(ADA, ANSWER, count=3)
    running.answered(ADA, "Remembered")
    settled()
    assert len(texts(running)) == 4


def test_telegram_sends_an_update_twice(running: Chats) -> None:
    run("systemctl", "stop", rig.SERVICE)
    running.text(ADA, "Hello!")
    again = dict(running.updates[-1])
    rig.start()
    running.answered(ADA, ANSWER, count=2)
    running.updates.append(again)
    running.text(ADA, "/status")
    running.answered(ADA, "Remembered: 4")
    settled()
    assert texts(running).count(ANSWER) == 2


def test_a_telegram_that_is_away_is_waited_for(telegram: BotApi) -> None:
    with BotApi().serving() as other:
        rig.configure(other)
        port = other.port
    rig.start()
    assert rig.get("/health")[0] == 503
    assert "Telegram is not reached" in show(rig.SERVICE, "StatusText")
    with BotApi().serving(port) as back:
        back.chats.text(ADA, "Hello!")
        back.chats.answered(ADA, ANSWER)
        assert rig.get("/health")[0] == 200
        rig.clean()
    assert telegram.calls == []
