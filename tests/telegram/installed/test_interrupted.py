"""`kill -9` at any point: an answer comes exactly once, or a word that it was interrupted; no message comes twice."""

import contextlib
import socket
import sqlite3

import pytest

from swapper.telegram.store import DATABASE
from tests.job import house
from tests.job.house import ask, configure, run, sentence, show, until
from tests.lab import media
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats
from tests.lab.gguf import LOOP_WORDS, write_model
from tests.media.sight import EAR, write_models
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA

ANSWER, ALPHA = sentence("alpha"), "llama@alpha.service"


@pytest.fixture
def running(telegram: BotApi) -> Chats:
    """The bot runs, has answered once, and knows that this has arrived."""
    rig.start()
    telegram.chats.text(ADA, "Hello!")
    telegram.chats.answered(ADA, ANSWER)
    settled()
    return telegram.chats


def texts(chats: Chats) -> list[str]:
    return [said.text for said in chats.all(ADA)]


def arrived() -> int:
    """How many messages of the answer that is being delivered the bot knows to be there."""
    with contextlib.closing(sqlite3.connect(f"file:{rig.STATE / DATABASE}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM sent WHERE message IS NOT NULL").fetchone()
    return int(count)


def at_work() -> bool:
    """Whether alpha has been asked and has not answered."""
    return bool(ask("GET", "/api/models/alpha").json["leases"])


def settled() -> None:
    """Wait until the bot has nothing to do."""
    until(lambda: '"waiting": 0' in rig.get("/health")[1], "nothing waits any more")


def test_killed_while_the_model_answers(running: Chats) -> None:
    with rig.silent(ALPHA):
        running.text(ADA, "Hello!")
        until(at_work, "the model is asked")
        rig.kill(at_once=False)
    running.answered(ADA, ANSWER, count=2)
    settled()
    assert texts(running) == [ANSWER, ANSWER]


def test_killed_before_a_question_is_stored(telegram: BotApi, running: Chats) -> None:
    gate = telegram.hold("getUpdates", after=True)
    running.text(ADA, "one")  # ends the question that is open; the next one is held, with its updates
    running.answered(ADA, ANSWER, count=2)
    settled()
    running.text(ADA, "two")
    assert gate.reached.wait(60)
    rig.kill()
    gate.opened.set()
    running.answered(ADA, ANSWER, count=3)
    settled()
    assert texts(running) == [ANSWER] * 3


def test_killed_when_a_question_was_stored_and_is_not_confirmed(telegram: BotApi, running: Chats) -> None:
    gate = telegram.hold("getUpdates")
    with rig.silent(ALPHA):
        running.text(ADA, "Hello!")  # ends the question that is open; the next one would confirm it, and is held
        assert gate.reached.wait(60)
        rig.kill()
        gate.opened.set()
    running.answered(ADA, ANSWER, count=2)
    settled()
    assert texts(running) == [ANSWER, ANSWER]


def test_killed_while_a_file_is_fetched(telegram: BotApi, running: Chats) -> None:
    gate = telegram.hold("file")
    running.file(ADA, "document", b"Please THINK.", file_name="note.txt", caption="Read this")
    assert gate.reached.wait(60)
    rig.kill()
    gate.open()
    answer = running.answered(ADA, ANSWER, count=2)
    assert answer.formatted("blockquote"), "it has read the file"
    settled()
    assert len(texts(running)) == 2


def test_killed_while_a_voice_message_is_heard(telegram: BotApi, running: Chats) -> None:
    write_models()
    configure(f"{rig.MODELS}  ear: {EAR.replace('4096', '4096, gpu: 2')}\n")
    try:
        run("systemctl", "start", "llama@ear.service")
        with rig.silent("llama@ear.service"):
            running.file(ADA, "voice", media.ogg(), mime_type="audio/ogg")
            running.wait(lambda: any("listening to voice.ogg" in text for _, text in running.drafts), "it listens")
            rig.kill()
        running.answered(ADA, ANSWER, count=2)
        settled()
        assert texts(running) == [ANSWER, ANSWER]
    finally:
        run("systemctl", "stop", "llama@ear.service")
        configure(rig.MODELS)
    assert telegram.refused == []


def test_killed_twice_in_a_row(running: Chats) -> None:
    with rig.silent(ALPHA):
        running.text(ADA, "Hello!")
        until(at_work, "the model is asked")
        for _ in range(2):
            rig.kill()
    running.answered(ADA, ANSWER, count=2)
    settled()
    assert texts(running) == [ANSWER, ANSWER]


def test_killed_between_the_messages_of_a_long_answer(telegram: BotApi, running: Chats) -> None:
    words = [f"word{number:04}" for number in range(3000)]
    write_model(house.MODELS / "author.gguf", " ".join(words))
    configure(f"{rig.MODELS}  author: {{engine: llama, model: author.gguf, context: 65536}}\n")
    try:
        running.text(ADA, "/model author")
        running.answered(ADA, "author answers")
        gate = telegram.hold("sendMessage", skip=1, after=True)
        running.text(ADA, "Hello!")
        assert gate.reached.wait(60)
        telegram.floods.append(("sendmessage", 60))  # for the third, before that may come
        gate.open()
        until(lambda: not telegram.floods and arrived() == 2, "two are there, and the next one waits for its turn")
        rig.kill()
        running.answered(ADA, words[-1])
        settled()
    finally:
        configure(rig.MODELS)
        (house.MODELS / "author.gguf").unlink()
    assert " ".join(texts(running)[2:]).split() == words, "all of it, in its order, and nothing twice"


@pytest.mark.parametrize("after", [False, True], ids=["before it arrives", "after it arrived"])
def test_killed_while_a_spoken_answer_is_on_its_way(telegram: BotApi, running: Chats, *, after: bool) -> None:
    configure(f"{rig.MODELS}  loud: {{engine: speech, aliases: [tts]}}\n")
    try:
        running.text(ADA, "/voice on")
        running.answered(ADA, "answers are spoken too")
        gate = telegram.hold("sendVoice", after=after)
        running.text(ADA, "Hello!")
        assert gate.reached.wait(60)
        rig.kill()
        gate.open()
        running.answered(ADA, "I was interrupted")
        settled()
    finally:
        configure(rig.MODELS)
    assert [said.kind for said in running.all(ADA)].count("voice") == 1, "it arrived, and was not sent again"
    assert texts(running).count(ANSWER) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before it arrives", "after it arrived"])
def test_killed_while_all_is_forgotten(telegram: BotApi, running: Chats, *, after: bool) -> None:
    running.text(ADA, "/system Be brief.")
    running.answered(ADA, "is told that")
    gate = telegram.hold("sendMessage", after=after)
    running.text(ADA, "/forget")
    assert gate.reached.wait(60)
    rig.kill()
    gate.open()
    running.answered(ADA, "I was interrupted")
    settled()
    assert sum("is deleted" in text for text in texts(running)) == 1
    left = b"".join(file.read_bytes() for file in rig.STATE.rglob("*") if file.is_file())
    assert b"speaking" not in left
    assert b"Be brief" not in left


def test_killed_when_it_was_told_to_stop(telegram: BotApi, running: Chats) -> None:
    gate = telegram.hold("sendMessage")
    running.text(ADA, "LOOP")
    running.wait(lambda: len(running.drafts) > 1, "it answers")
    running.text(ADA, "/stop")
    assert gate.reached.wait(60), "the end of the answer is on its way"
    rig.kill()
    gate.open()
    running.answered(ADA, "I was interrupted")
    settled()
    running.text(ADA, "Hello!")
    running.answered(ADA, ANSWER, count=2)


def test_told_to_stop_while_it_is_down_it_ends_what_it_takes_up(running: Chats) -> None:
    running.text(ADA, "LOOP")
    running.wait(lambda: len(running.drafts) > 1, "it answers")
    run("systemctl", "kill", "--signal=STOP", rig.SERVICE)  # so it cannot take in what comes next
    running.text(ADA, "/stop")
    rig.kill()
    running.answered(ADA, "⏹ Stopped.")
    settled()
    assert len([text for text in texts(running) if "⏹ Stopped." in text]) == 1


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
    gate.open()
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
    gate.open()
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
    with running.at_once():
        running.updates.append(again)
    running.text(ADA, "/status")
    running.answered(ADA, "Remembered: 4")
    settled()
    assert texts(running).count(ANSWER) == 2


def test_a_telegram_that_is_away_is_waited_for(telegram: BotApi) -> None:
    away = BotApi()
    with socket.socket() as keeping:  # the port, so that it becomes nobody else's meanwhile; nobody is heard there
        keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeping.bind(("127.0.0.1", 0))
        away.port = keeping.getsockname()[1]
        rig.configure(away)
        rig.start()
        assert rig.get("/health")[0] == 503
        until(lambda: "Telegram is not reached" in show(rig.SERVICE, "StatusText"), "the status says it")
        with away.serving() as back:
            back.chats.text(ADA, "Hello!")
            back.chats.answered(ADA, ANSWER)
            assert rig.get("/health")[0] == 200
            rig.clean()
    assert telegram.calls == []
