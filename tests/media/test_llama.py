"""The real llama-server looks and listens, through port 8000."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.job import house
from tests.job.house import chat, configure, sentence, state
from tests.lab import media
from tests.media.sight import EAR, EYE, look, picture, write_models
from tests.media.web import PUBLIC, Web, file
from tests.vllm.rig import events, transcribe

RED = media.png()
URL = media.data_url("image/png", RED)


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    write_models()
    house.write_gguf("devstral")
    house.reset()
    writer = "{engine: llama, model: devstral.gguf, context: 2048}"
    configure(f"models:\n  eye: {EYE}\n  ear: {EAR}\n  devstral: {writer}\n")
    yield
    house.reset()


def prompt_tokens(content: object, model: str) -> int:
    """How much the model was given to look at or to listen to."""
    answer = chat(model, content)
    assert answer.content == sentence({"vision": "eye", "asr": "ear"}[model])
    tokens: int = answer.json["usage"]["prompt_tokens"]
    return tokens


def voice(sound: bytes) -> dict[str, Any]:
    """A part of a message: a recording."""
    url = media.data_url("audio/wav", sound)
    return {"type": "input_audio", "input_audio": {"data": url.partition(",")[2], "format": "wav"}}


def test_a_picture_by_data_url_is_looked_at() -> None:
    text = {"type": "text", "text": "What is in this image?"}
    blind = prompt_tokens([text], "vision")
    one = prompt_tokens([text, picture(URL)], "vision")
    large = prompt_tokens([text, picture(media.data_url("image/png", media.png(256, 256)))], "vision")
    assert blind < one < large


def test_a_picture_by_http_url_is_fetched_and_looked_at_just_the_same(web: Web) -> None:
    web.pages["/red.png"] = file("image/png", RED)
    text = {"type": "text", "text": "What is in this image?"}
    fetched = prompt_tokens([text, picture(f"http://{PUBLIC}:{web.port}/red.png")], "vision")
    assert web.asked == ["/red.png"]
    assert fetched == prompt_tokens([text, picture(URL)], "vision")


def test_a_picture_that_is_none_is_the_engines_error(web: Web) -> None:
    web.pages["/fake.png"] = file("image/png", b"no picture at all")
    answer = look(f"http://{PUBLIC}:{web.port}/fake.png")
    assert answer.status == 400
    assert answer.error["message"]
    assert "media_" not in str(answer.error.get("code"))


@pytest.mark.parametrize("model_first", [True, False], ids=["model-file", "file-model"])
def test_a_recording_is_transcribed(model_first: bool) -> None:
    fields = (("model", "asr"), ("file", "voice.wav", media.wav()))
    answer = transcribe(*(fields if model_first else fields[::-1]))
    assert (answer.status, answer.json["text"]) == (200, sentence("ear"))


def test_a_transcription_comes_as_a_stream() -> None:
    answer = transcribe(("model", "asr"), ("stream", "true"), ("file", "voice.wav", media.wav()))
    parts = events(answer.body)
    assert "".join(part["delta"] for part in parts if part["type"] == "transcript.text.delta") == sentence("ear")


def test_a_recording_in_a_chat_is_listened_to() -> None:
    text = {"type": "text", "text": "Listen."}
    deaf = prompt_tokens([text], "asr")
    short = prompt_tokens([text, voice(media.wav(1))], "asr")
    long = prompt_tokens([text, voice(media.wav(4))], "asr")
    assert deaf < short < long


def test_opus_which_llama_server_does_not_know_is_its_own_error() -> None:
    answer = transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg()))
    assert answer.status == 400
    assert "audio" in answer.error["message"]


def test_models_that_see_hear_and_write_take_turns(web: Web) -> None:
    web.pages["/red.png"] = file("image/png", RED)
    for _ in range(2):
        assert look(f"http://{PUBLIC}:{web.port}/red.png").content == sentence("eye")
        assert transcribe(("model", "asr"), ("file", "voice.wav", media.wav())).json["text"] == sentence("ear")
        assert chat("devstral").content == sentence("devstral")
    assert (state("eye"), state("ear"), state("devstral")) == ("stopped", "stopped", "ready")
