"""A group becomes a supergroup, which is another chat: what it has goes along, and what is under way arrives there."""

import pytest

from tests.job.house import sentence, until
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats
from tests.telegram.installed import rig
from tests.telegram.installed.rig import GROUP
from tests.telegram.installed.test_access import ELSEWHERE, pair

NEW = -1009000000001
ASK = "@swapper_test_bot"


@pytest.mark.parametrize("told", [True, False], ids=["told", "found out when sending"])
def test_a_group_that_moves_keeps_all_it_has(chats: Chats, *, told: bool) -> None:
    chats.text(GROUP, "/model@swapper_test_bot beta", sender=7)
    chats.answered(GROUP, "beta answers")
    chats.file(GROUP, "document", b"Please THINK.", file_name="note.txt", caption=f"{ASK} Hello!", sender=7)
    chats.answered(GROUP, sentence("beta"))
    chats.move(GROUP, NEW, told=told)
    if not told:
        chats.text(GROUP, f"{ASK} Hello?", sender=7)  # on its way when it moved
        chats.answered(NEW, sentence("beta"))
    chats.text(NEW, f"/status{ASK}", sender=7)
    status = chats.answered(NEW, "Remembered").text
    assert "Model: beta" in status
    assert f"Remembered: {2 if told else 4} messages" in status
    chats.text(NEW, f"{ASK} Hello!", sender=8)
    answer = chats.answered(NEW, sentence("beta"), count=1 if told else 2)
    assert answer.reply_to
    rig.kill()
    chats.text(NEW, f"{ASK} Hello!", sender=9)
    chats.answered(NEW, sentence("beta"), count=2 if told else 3)
    chats.text(NEW, f"/forget{ASK}", sender=9)
    chats.answered(NEW, "is deleted")
    left = b"".join(file.read_bytes() for file in rig.STATE.rglob("*") if file.is_file())
    assert b"speaking" not in left
    assert b"Please THINK" not in left


@pytest.mark.parametrize("telegram", [False], indirect=True)
def test_what_is_being_answered_arrives_in_the_new_chat(telegram: BotApi, chats: Chats) -> None:
    chats.text(GROUP, f"{ASK} LOOP", sender=7)
    chats.wait(lambda: bool(chats.all(GROUP)), "a preview")
    chats.text(GROUP, f"{ASK} and then?", sender=7)
    chats.wait(lambda: not chats.updates, "both are taken in")
    chats.move(GROUP, NEW)
    chats.text(NEW, f"{ASK} Hello!", sender=8)
    chats.text(NEW, f"/stop{ASK}", sender=7)
    chats.answered(NEW, "⏹ Stopped.")
    chats.answered(NEW, sentence("alpha"), count=2)
    until(lambda: '"waiting": 0' in rig.get("/health")[1], "nothing waits")
    assert len(chats.all(GROUP)) == 1, "the preview of before"
    texts = [said.text for said in chats.all(NEW)]
    assert texts[-2:] == [sentence("alpha")] * 2, "in their order"
    assert sum(text.endswith("⏹ Stopped.") for text in texts) == 1
    assert telegram.refused == []


def test_a_group_that_was_let_in_by_a_code_stays_so(chats: Chats) -> None:
    chats.text(ELSEWHERE, f"{ASK} {pair()}", sender=7)
    chats.answered(ELSEWHERE, "You are in.")
    chats.move(ELSEWHERE, NEW)
    chats.text(NEW, f"{ASK} Hello!", sender=8)
    chats.answered(NEW, sentence("alpha"))


def test_a_file_of_before_is_still_there(chats: Chats) -> None:
    chats.file(GROUP, "document", b"Please THINK.", file_name="note.txt", caption=f"{ASK} Read", sender=7)
    assert chats.answered(GROUP, sentence("alpha")).formatted("blockquote")
    chats.move(GROUP, NEW)
    chats.text(NEW, f"/retry{ASK}", sender=7)
    assert chats.answered(NEW, sentence("alpha")).formatted("blockquote"), "it is read again"
