"""Answers that are spoken, by the engine for that, on the installed router."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.telegram.agent.base import Finished, Spoken, Text, Turn
from swapper.telegram.agent.choose import Wished
from swapper.telegram.agent.speech import seconds
from tests.job import house
from tests.job.house import MODELS, sentence
from tests.lab import gguf, sound
from tests.telegram.agent import rig
from tests.telegram.agent.rig import Answer, agent, answered, voice
from tests.telegram.agent.test_port import call

ANNOUNCED = "It was announced."
VOICE = f"""
  loud: {{engine: speech, aliases: [tts]}}
  announcer: {{engine: llama, model: announcer.gguf, context: 65536,
              args: [--chat-template-file, {MODELS / "tools.jinja"}]}}
"""


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    rig.write_models()
    gguf.write_model(MODELS / "announcer.gguf", rig.call("speak", text="Dinner is ready."), then=ANNOUNCED)
    with house.configured(rig.CONFIG.rstrip() + VOICE):
        yield


def heard(answer: Answer) -> Spoken:
    """The one recording of an answer, which is what it says to be, by ffprobe."""
    (spoken,) = [event for event in answer.events if isinstance(event, Spoken)]
    recording = sound.probe(spoken.path.read_bytes())
    assert (recording.format, recording.codec) == ("ogg", "opus")
    assert abs(recording.seconds - spoken.seconds) < 0.1
    assert seconds(spoken.path.read_bytes()) == spoken.seconds
    return spoken


async def test_a_spoken_question_has_a_spoken_answer(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "talker", Turn("user", "", (voice(tmp_path),)), speak=True)
    assert answer.text == sentence("talker")
    assert answer.noted == (Turn("user", sentence("ear")),)
    assert 0.5 < heard(answer).seconds < 10
    assert "speaking with loud" in answer.progress
    kinds = [type(event) for event in answer.events]
    assert kinds.index(Spoken) > max(index for index, kind in enumerate(kinds) if kind is Text)


async def test_a_model_may_have_something_said(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "announcer", Turn("user", "Call them."))
    assert 0.3 < heard(answer).seconds < 5
    assert answer.text.strip() == ANNOUNCED


async def test_an_answer_that_cannot_be_spoken_is_there_all_the_same(tmp_path: Path) -> None:
    async with agent(tmp_path, Wished(speaks="loud", voice="no-such-voice")) as asked:
        answer = await answered(asked, "talker", Turn("user", "Hello!"), speak=True)
    assert answer.text == f"{sentence('talker')}\n\n_(This could not be spoken.)_"
    assert isinstance(answer.events[-1], Finished)


async def test_others_have_something_said_by_mcp(tmp_path: Path) -> None:
    *_, answer = await call(tmp_path, "speak", text="Hello!")
    said, heard = answer["result"]["content"]
    assert said["type"] == "text"
    assert (heard["type"], heard["mimeType"]) == ("audio", "audio/ogg")
