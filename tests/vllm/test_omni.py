"""Qwen3-TTS on vLLM-Omni, as README.md has it: behind `vllm@`, beside a model that only listens. With the stand-in."""

import io
import wave
from collections.abc import Iterator

import pytest

from tests.job import house
from tests.job.house import Answer, ask, configure, state
from tests.vllm.rig import ASR, MISSION, standin, started_with, write_folder

TTS = "qwen3-tts"
CONFIG = f"""{MISSION}
  {TTS}:
    engine: vllm
    model: qwen3-tts
    args: [--omni, --trust-remote-code]
    aliases: [tts]
    capabilities: [speech]
"""


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    with standin():
        write_folder("qwen3-tts", "nothing")
        house.reset()
        configure(CONFIG)
        yield
        house.reset()


def speak(model: str, **fields: object) -> Answer:
    return ask("POST", "/v1/audio/speech", {"model": model, "input": "Hello!", **fields})


def test_it_speaks_by_any_of_its_names() -> None:
    for name in (TTS, "tts"):
        answer = speak(name, voice="Vivian", language="English", instructions="Cheerful.")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav"), answer.body
        with wave.open(io.BytesIO(answer.body)) as sound:
            assert sound.getnframes() == len("Hello!")
    argv, _ = started_with(TTS)
    assert argv[argv.index("--served-model-name") + 1 :] == [TTS, "tts", "--omni", "--trust-remote-code"]
    card = ask("GET", "/v1/models/tts").json
    assert (card["capabilities"], card["architecture"]["output_modalities"]) == (["speech"], ["audio"])


def test_it_tells_its_voices_and_refuses_others_itself() -> None:
    assert speak(TTS).status == 200
    assert ask("GET", f"/upstream/{TTS}/v1/audio/voices").json["voices"] == ["ryan", "vivian"]
    answer = speak(TTS, voice="nobody")
    assert (answer.status, answer.error["message"]) == (400, "Invalid speaker 'nobody'. Supported: ryan, vivian")


def test_it_is_not_loaded_to_say_that_it_does_not_chat() -> None:
    house.reset()
    answer = house.chat(TTS)
    assert (answer.status, answer.error["code"]) == (400, "model_incapable")
    assert answer.error["message"].startswith(f"{TTS} does not chat. Models that can: ")
    assert state(TTS) == "stopped"


def test_a_model_that_says_nothing_of_speech_is_asked_itself() -> None:
    assert speak(ASR).status == 404
    answer = speak("devstral")
    assert answer.error["message"] == f"devstral does not speak. Models that can: {TTS}."


def test_a_swap_leads_from_listening_to_speaking_and_back() -> None:
    assert speak(TTS).status == 200
    house.configure(CONFIG)
    assert house.chat(ASR).status == 200
    assert (state(ASR), state(TTS)) == ("ready", "stopped")
    assert speak(TTS).status == 200
    assert (state(ASR), state(TTS)) == ("stopped", "ready")
