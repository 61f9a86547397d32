"""Text in, streamed answers out."""

import itertools
import re

import pytest

from swapper.telegram.text import LIMIT, units
from tests.job import house
from tests.job.house import configure, sentence, state
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats
from tests.lab.gguf import LOOP_WORDS, write_model
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, BOB, GROUP, USERS

SLOW_MB = 3000
SLOW = f"{rig.MODELS}  slow: {{engine: llama, model: slow.gguf, context: 2048, args: [-lm, none]}}\n"


def test_a_text_is_answered_by_the_model(chats: Chats) -> None:
    chats.text(ADA, "Hello!")
    assert chats.answered(ADA, "speaking").text == sentence("alpha")
    assert (ADA, "typing") in chats.actions


def test_a_model_is_chosen_by_its_button_and_loaded(chats: Chats) -> None:
    chats.text(ADA, "/model")
    listed = chats.answered(ADA, "Choose another")
    assert [text.split()[1] for text, _ in listed.buttons] == ["alpha", "beta", "gamma"]
    query = chats.press(listed, "beta")
    chats.wait(lambda: query in chats.presses, "the button is answered")
    assert chats.said[listed.number].text == "beta answers from now on."
    chats.text(ADA, "Hello!")
    assert chats.answered(ADA, "speaking").text == sentence("beta")
    chats.text(ADA, "/model FIRST")
    chats.answered(ADA, "alpha answers from now on")
    chats.text(ADA, "Hello!")
    assert chats.answered(ADA, sentence("alpha")).text == sentence("alpha")
    chats.text(ADA, "/models")
    assert "🟢 alpha: ready" in chats.answered(ADA, "🟢").text


def test_a_model_is_chosen_from_two_hundred(chats: Chats) -> None:
    names = [f"{number:03}_{'a_rather_long_name_' * 3}{number:03}" for number in range(200)]
    many = "".join(f"  {name}: {{engine: llama, model: alpha.gguf, context: 65536}}\n" for name in names)
    configure(rig.MODELS + many)
    try:
        chats.text(ADA, "/model")
        listed = chats.answered(ADA, "page 1 of 6")
        for page in range(2, 7):
            chats.press(chats.said[listed.number], f"page {page} ▶")
            chats.answered(ADA, f"page {page} of 6")
        chats.press(chats.said[listed.number], "199")
        chats.answered(ADA, f"{names[-1]} answers from now on.")
        chats.text(ADA, "/models")
        chats.answered(ADA, "199: stopped")
        lines = [line for said in chats.all(ADA) for line in said.text.splitlines()]
        assert sum(bool(re.search(r": \w+$", line)) for line in lines) == 203
        chats.text(ADA, "Hello!")
        chats.answered(ADA, sentence("alpha"))
    finally:
        configure(rig.MODELS)


def test_the_progress_of_a_load_is_shown(chats: Chats) -> None:
    path = house.write_gguf("slow", size_mb=SLOW_MB)
    configure(SLOW)
    try:
        chats.text(ADA, "/model slow")
        chats.answered(ADA, "slow answers")
        chats.text(ADA, "Hello!")
        with rig.standing_still("slow"):
            chats.wait(lambda: any(text.startswith("⏳ slow is loading") for _, text in chats.drafts), "it is shown")
        chats.answered(ADA, sentence("slow"))
    finally:
        configure(rig.MODELS)
        house.reset()
        path.unlink()


def test_an_answer_streams_and_can_be_stopped(chats: Chats) -> None:
    house.chat("alpha")  # is loaded then, so nothing is shown but what it says
    chats.text(ADA, "LOOP")
    chats.wait(lambda: len(chats.drafts) >= 3, "three drafts")
    chats.text(ADA, "/stop")
    stopped = chats.answered(ADA, "⏹ Stopped.")
    texts = [text for _, text in chats.drafts]
    assert all(later.startswith(earlier[:20]) for earlier, later in itertools.pairwise(texts))
    assert stopped.number > 0
    chats.text(ADA, "Hello!")
    chats.answered(ADA, sentence("alpha"))


@pytest.mark.parametrize("telegram", [False], indirect=True)
def test_without_drafts_a_message_grows(chats: Chats) -> None:
    chats.text(ADA, "LOOP")
    chats.wait(lambda: any(said.edits >= 2 for said in chats.said.values()), "a message is changed twice")
    chats.text(ADA, "/stop")
    stopped = chats.answered(ADA, "⏹ Stopped.")
    assert len(chats.all(ADA)) == len({number for number, _ in chats.shown})
    assert stopped.text.endswith("⏹ Stopped.")


@pytest.mark.parametrize("telegram", [True, False], indirect=True, ids=["drafts", "a message"])
def test_a_preview_goes_on_when_the_answer_is_longer_than_a_message(telegram: BotApi, chats: Chats) -> None:
    def shown() -> list[str]:
        return [text for _, text in chats.drafts or chats.shown]

    house.chat("alpha")  # is loaded then, so nothing is shown but what it says
    chats.text(ADA, "LOOP")
    chats.wait(lambda: len(shown()) > 1, "a preview")
    longest = max(map(units, shown()))
    chats.wait(lambda: any(units(text) < longest for text in shown()[1:]), "it shows the next message of the answer")
    chats.text(ADA, "/stop")
    chats.answered(ADA, "⏹ Stopped.")
    assert max(map(units, shown())) <= LIMIT
    words = " ".join(said.text for said in chats.all(ADA)).removesuffix("⏹ Stopped.").split()
    assert len(" ".join(words)) > LIMIT
    assert words == [f"loop{number % LOOP_WORDS:03}" for number in range(len(words))]
    assert telegram.refused == []


def test_reasoning_is_folded(chats: Chats) -> None:
    chats.text(ADA, "THINK")
    answer = chats.answered(ADA, sentence("alpha"))
    (thought,) = answer.formatted("blockquote")
    assert thought
    assert sentence("alpha") not in thought


def test_formatting_of_a_model_is_telegrams(chats: Chats) -> None:
    write_model(house.MODELS / "author.gguf", "**Bold** and `a<b` & more.")
    configure(f"{rig.MODELS}  author: {{engine: llama, model: author.gguf, context: 2048}}\n")
    try:
        chats.text(ADA, "/model author")
        chats.answered(ADA, "author answers")
        chats.text(ADA, "Hello!")
        answer = chats.answered(ADA, "more.")
    finally:
        configure(rig.MODELS)
    assert answer.text == "Bold and a<b & more."
    assert (answer.formatted("bold"), answer.formatted("code")) == (["Bold"], ["a<b"])


def test_conversation_and_settings_are_each_chats_own(chats: Chats) -> None:
    chats.text(ADA, "/system Be brief.")
    chats.answered(ADA, "is told that")
    for _ in range(2):
        chats.text(ADA, "Hello!")
    chats.answered(ADA, "speaking", count=2)
    chats.text(ADA, "/status")
    assert "Remembered: 4 messages" in chats.answered(ADA, "Remembered").text
    chats.text(BOB, "/status")
    assert "Remembered: 0 messages" in chats.answered(BOB, "Remembered").text
    chats.text(ADA, "/retry")
    chats.answered(ADA, "speaking", count=3)
    chats.text(ADA, "/status")
    assert "Remembered: 4 messages" in chats.answered(ADA, "Remembered", count=2).text
    chats.text(ADA, "/forget")
    chats.answered(ADA, "is deleted")
    left = b"".join(file.read_bytes() for file in rig.STATE.rglob("*") if file.is_file())
    assert b"speaking" not in left
    assert b"Be brief" not in left


def test_topics_and_mentions_in_a_group(chats: Chats) -> None:
    chats.text(GROUP, "Hello all!", sender=7)
    chats.text(GROUP, "@swapper_test_bot Hello!", sender=7, topic=5)
    answer = chats.answered(GROUP, "speaking")
    assert (answer.text, answer.topic) == (sentence("alpha"), 5)
    chats.text(GROUP, "and?", sender=7, topic=5, reply_to=chats.as_reply(answer))
    chats.answered(GROUP, "speaking", count=2)
    chats.text(GROUP, "/status@swapper_test_bot", sender=7, topic=5)
    assert "Remembered: 4" in chats.answered(GROUP, "Remembered").text
    chats.text(GROUP, "/status@swapper_test_bot", sender=7, topic=6)
    assert "Remembered: 0" in chats.answered(GROUP, "Remembered", count=2).text
    assert len(chats.all(GROUP)) == 0, "nobody spoke to the bot outside of topics"


def test_floods_cost_time_and_nothing_else(telegram: BotApi) -> None:
    telegram.floods += [("sendmessage", 2), ("sendmessage", 1)]
    rig.start()
    chats = telegram.chats
    chats.text(ADA, "Hello!")
    assert chats.answered(ADA, "speaking").text == sentence("alpha")
    assert telegram.floods == []
    assert len(chats.all(ADA)) == 1
    drafts = len(chats.drafts)
    telegram.floods.append(("sendmessagedraft", 1))
    chats.text(ADA, "LOOP")
    chats.wait(lambda: len(chats.drafts) > drafts, "a draft, after one that was refused")
    assert telegram.floods == []
    chats.text(ADA, "/stop")
    chats.answered(ADA, "⏹ Stopped.")
    words = " ".join(said.text for said in chats.all(ADA)[1:]).removesuffix("⏹ Stopped.").split()
    assert words == [f"loop{number % LOOP_WORDS:03}" for number in range(len(words))]


def test_twenty_chats_at_once_on_models_that_must_swap(chats: Chats) -> None:
    people = USERS[:20]
    for person in people:
        chats.text(person, f"/model {'alpha' if person % 2 else 'beta'}")
        for word in ("one", "two", "three"):
            chats.text(person, word)
    for person in people:
        chats.answered(person, "speaking", count=3)
        answers = [said.text for said in chats.all(person)]
        name = "alpha" if person % 2 else "beta"
        assert answers.count(sentence(name)) == 3
        assert len(answers) == 4, "one for the command, and three"
        chats.text(person, "/status")
    for person in people:
        assert "Remembered: 6 messages" in chats.answered(person, "Remembered").text


def test_a_model_that_is_gone_and_a_router_that_is_down_are_told_in_plain_words(telegram: BotApi) -> None:
    rig.configure(telegram, "model: nobody\n")
    rig.start()
    chats = telegram.chats
    chats.text(ADA, "Hello!")
    assert chats.answered(ADA, "⚠️").text == "⚠️ There is no model nobody any more. Choose another with /model."
    house.run("systemctl", "stop", "swapper.socket", "swapper.service")
    try:
        chats.text(ADA, "/retry")
        assert "The model server does not answer." in chats.answered(ADA, "⚠️", count=2).text
        chats.text(ADA, "/models")
        chats.answered(ADA, "The model server does not answer. Try again")
    finally:
        house.run("systemctl", "start", "swapper.socket")
    assert "8000" in rig.words()
    assert state("alpha") in {"ready", "stopped"}
