"""What the bot is for, as a person sees it: heard, seen, worked at with tools, answered, and spoken to.

Engines are held in the middle of their work where a test has to see that moment: so it is seen however quick they are.
The models that answer think first where they have been told something that only the ear or the eye can know.
"""

import contextlib
import re
from collections.abc import Iterator

import pytest

from tests.job import house
from tests.job.house import MODELS, run, sentence
from tests.lab import gguf, media, sound
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats, Said
from tests.media import sight
from tests.telegram.agent.rig import BOTH, KNOWING, KNOWS, TEMPLATE, call
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, BOB
from tests.telegram.installed.test_interrupted import settled
from tests.telegram.installed.test_media import choose

TOOLS = MODELS / "tools.jinja"
HEAVY_MB = 3000
CONFIG = f"""
models:
  keen: {{engine: llama, model: keen.gguf, context: 65536, args: [--chat-template-file, {KNOWING}]}}
  caller: {{engine: llama, model: pair.gguf, context: 65536, args: [--chat-template-file, {TOOLS}]}}
  heavy: {{engine: llama, model: heavy.gguf, context: 16384, args: [-lm, none, --chat-template-file, {KNOWING}]}}
  eye: {sight.EYE.replace("4096", f"16384, gpu: 1, args: [--chat-template-file, {KNOWING}]")}
  ear: {sight.EAR.replace("4096", "4096, gpu: 2")}
  loud: {{engine: speech, aliases: [tts]}}
"""
EYE, EAR, LOUD = "llama@eye.service", "llama@ear.service", "speech@loud.service"
LATER = "And what else?"


@pytest.fixture(scope="module", autouse=True)
def _models() -> Iterator[None]:
    sight.write_models()
    house.write_gguf("keen")
    heavy = house.write_gguf("heavy", size_mb=HEAVY_MB)
    KNOWING.write_text(KNOWS)
    TOOLS.write_text(TEMPLATE.read_text())
    calls = [call("describe_image", id="i1"), call("speak", text="Look!")]
    gguf.write_model(MODELS / "pair.gguf", "\n".join(calls), then=BOTH)
    before = house.CONFIG.read_text()
    house.configure(CONFIG)
    yield
    house.reset()
    house.configure(before)
    heavy.unlink()


@contextlib.contextmanager
def holding(*units: str) -> Iterator[None]:
    """Engines that run and take requests, but come to nothing until this ends."""
    with contextlib.ExitStack() as stack:
        for unit in units:
            run("systemctl", "start", unit)
            stack.enter_context(rig.silent(unit))
        yield


def shown(chats: Chats, text: str) -> None:
    """Wait until somebody sees this in an answer that is being made."""
    chats.wait(lambda: any(text in draft for _, draft in chats.drafts), f"a draft with {text!r}")


def voices(chats: Chats, count: int = 1) -> list[Said]:
    """Wait for so many voice messages of the bot's; all of them."""
    def found() -> list[Said]:
        return [said for said in chats.all(ADA) if said.kind == "voice"]

    chats.wait(lambda: len(found()) >= count, f"{count} voice messages")
    return found()


def knows(said: Said) -> bool:
    """Whether who gave this answer had been told what was heard or seen."""
    return said.formatted("blockquote") != []


def album(chats: Chats) -> None:
    with chats.at_once():
        for colour in ((255, 0, 0), (0, 0, 255)):
            chats.file(ADA, "photo", media.png(colour=colour), caption="Which?" if colour[0] else "", album="A")


def say(chats: Chats) -> None:
    chats.file(ADA, "voice", sound.note("How do you do?"), mime_type="audio/ogg")


# ---- heard, and spoken back -----------------------------------------------------------------------------------------


def test_a_voice_message_is_heard_answered_and_spoken_back(telegram: BotApi, chats: Chats) -> None:
    with holding(LOUD):
        with holding(EAR):
            say(chats)
            shown(chats, "⏳ listening to voice.ogg with ear")
        shown(chats, sentence("keen"))
        assert chats.all(ADA) == [], "it is shown while it is spoken, and sent when it is whole"
    (voice,) = voices(chats)
    answer = chats.answered(ADA, sentence("keen"))
    assert (answer.text, knows(answer)) == (f"Hmm, hmm.\n\n{sentence('keen')}", True)
    assert answer.number < voice.number, "the text is there first"
    recording = sound.probe(voice.data)
    assert (recording.format, recording.codec, recording.channels) == ("ogg", "opus", 1)
    (duration,) = [int(sent["duration"]) for method, sent in telegram.calls if method == "sendvoice"]
    assert duration == round(recording.seconds) > 0


def test_who_types_is_spoken_to_if_that_is_wished_and_who_speaks_may_be_written_to(chats: Chats) -> None:
    chats.text(ADA, "Hello!")
    chats.text(ADA, "/voice on")
    chats.answered(ADA, "/voice on")
    chats.text(ADA, "Hello!")
    voices(chats)
    chats.text(ADA, "/voice off")
    chats.answered(ADA, "/voice off")
    say(chats)
    assert knows(chats.answered(ADA, sentence("keen"), count=3))
    settled()
    assert len(voices(chats)) == 1


# ---- seen -----------------------------------------------------------------------------------------------------------


def test_an_album_is_seen_and_known_later_by_a_model_without_eyes_or_tools(chats: Chats) -> None:
    chats.text(ADA, LATER)
    assert not knows(chats.answered(ADA, sentence("keen"))), "there is nothing to be known yet"
    with holding(EYE):
        album(chats)
        shown(chats, "⏳ looking at photo.jpg, photo.jpg with eye")
    assert knows(chats.answered(ADA, sentence("keen"), count=2))
    chats.text(ADA, LATER)
    assert knows(chats.answered(ADA, sentence("keen"), count=3))
    chats.text(BOB, LATER)
    assert not knows(chats.answered(BOB, sentence("keen"))), "nobody else knows"


def test_a_model_with_eyes_is_shown_the_album_with_each_question(chats: Chats) -> None:
    choose(chats, "eye")
    chats.text(ADA, LATER)
    assert not knows(chats.answered(ADA, sentence("eye")))
    album(chats)
    assert knows(chats.answered(ADA, sentence("eye"), count=2))
    chats.text(ADA, LATER)
    assert knows(chats.answered(ADA, sentence("eye"), count=3))


# ---- tools, swaps ---------------------------------------------------------------------------------------------------


def look(chats: Chats) -> None:
    """A photo is in the conversation, and who answers is a model that calls two tools."""
    chats.file(ADA, "photo", media.png())
    chats.answered(ADA, sentence("keen"))
    choose(chats, "caller")


def test_two_tools_work_side_by_side_and_progress_names_both(chats: Chats) -> None:
    look(chats)
    with holding(EYE, LOUD):
        chats.text(ADA, "Look again, and say it aloud.")
        shown(chats, "⏳ looking at photo.jpg with eye; speaking with loud")
    chats.answered(ADA, BOTH)
    assert sound.probe(voices(chats)[0].data).codec == "opus"


def test_a_swap_in_the_middle_of_a_dialogue_tells_how_far_it_is(chats: Chats) -> None:
    chats.text(ADA, "Hello!")
    assert not knows(chats.answered(ADA, sentence("keen")))
    choose(chats, "heavy")
    say(chats)
    far = re.compile(r"⏳ heavy is loading, \d+ %")
    with rig.standing_still("heavy"):
        chats.wait(lambda: any(far.search(draft) for _, draft in chats.drafts), "it is shown")
    assert knows(chats.answered(ADA, sentence("heavy")))
    choose(chats, "keen")
    chats.text(ADA, LATER)
    assert knows(chats.answered(ADA, sentence("keen"), count=2)), "it is told what another model was told"


# ---- killed ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(telegram: BotApi) -> Chats:
    """The bot runs."""
    rig.start()
    return telegram.chats


def test_killed_while_tools_work(running: Chats) -> None:
    look(running)
    with holding(EYE, LOUD):
        running.text(ADA, "Look again, and say it aloud.")
        shown(running, "; speaking with loud")
        rig.kill()
    running.answered(ADA, BOTH)
    settled()
    assert len(voices(running)) == 1
    assert [said.text for said in running.all(ADA)].count(BOTH) == 1


def test_killed_while_the_answer_is_spoken(running: Chats) -> None:
    with holding(LOUD):
        say(running)
        shown(running, sentence("keen"))
        rig.kill()
    voices(running)
    settled()
    assert [said.kind for said in running.all(ADA)] == ["text", "voice"]


def test_killed_while_the_voice_is_on_its_way(telegram: BotApi, running: Chats) -> None:
    gate = telegram.hold("sendVoice", after=True)
    say(running)
    assert gate.reached.wait(60)
    rig.kill()
    gate.open()
    running.answered(ADA, "I was interrupted")
    settled()
    assert [said.kind for said in running.all(ADA)] == ["text", "voice", "text"], "nothing twice"
