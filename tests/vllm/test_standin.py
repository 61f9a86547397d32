"""vLLM's unit and what goes through port 8000 to it, with the stand-in that behaves as vLLM was seen to behave."""

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import Answer, ask, chat, configure, connect, journal, run, show, state, until
from tests.lab import media
from tests.vllm.rig import (
    ASR,
    MISSION,
    PROGRAM,
    SAID,
    SEEN,
    VL,
    engine,
    events,
    form,
    held,
    standin,
    started_with,
    transcribe,
    unit,
    with_env,
)

SHIPPED = Path(os.environ.get("SWAPPER_TEST_SOURCE", "/usr/src/swapper"), "config", "swapper.yaml")
ARGUMENTS = {
    ASR: [
        str(PROGRAM), "serve", "/var/lib/swapper/models/qwen3-asr", "--uds", f"/run/swapper/vllm@{ASR}/http.sock",
        "--served-model-name", ASR, "asr", "transcription", "--max-model-len", "8192",
        "--gpu-memory-utilization", "0.3",
    ],
    VL: [
        str(PROGRAM), "serve", "/var/lib/swapper/models/qwen3-vl-vllm", "--uds", f"/run/swapper/vllm@{VL}/http.sock",
        "--served-model-name", VL, "qwen3-vl-4b-vllm", "vision", "vl", "ocr", "--max-model-len", "16384",
        "--gpu-memory-utilization", "0.4", "--limit-mm-per-prompt", '{"image": 4}',
    ],
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _mission() -> Iterator[None]:
    with standin():
        house.reset()
        configure(MISSION)
        yield
        house.reset()


@pytest.fixture
def fresh() -> Iterator[None]:
    """For tests that need other settings: nothing runs, and the mission's configuration is in force afterwards."""
    house.reset()
    yield
    house.reset()
    configure(MISSION)


def refused(model: str) -> bool:
    """Whether the engine's socket is there and refuses a connection."""
    try:
        engine(model, "GET", "/health")
    except ConnectionRefusedError:
        return True
    except FileNotFoundError:
        return False
    return False


@pytest.mark.usefixtures("fresh")
def test_the_unit_is_active_only_when_the_engine_answers() -> None:
    configure(with_env(ASR, {"STANDIN_LOAD_SECONDS": "2"}))
    with held(ASR):
        run("systemctl", "start", "--no-block", unit(ASR))
        until(lambda: refused(ASR), "it refuses connections while it loads")
        assert show(unit(ASR), "ActiveState") == "activating"
    while (now := show(unit(ASR), "ActiveState")) != "active":
        assert now == "activating"
    assert engine(ASR, "GET", "/health").status == 200
    ready = re.fullmatch(rf"{ASR} ready after ([0-9.]+) s \(vllm\)", show(unit(ASR), "StatusText"))
    assert ready is not None
    assert float(ready[1]) >= 2
    assert "Started" in journal(unit(ASR))


@pytest.mark.usefixtures("fresh")
def test_systemctl_start_returns_when_it_is_ready_and_the_router_uses_it() -> None:
    configure(with_env(ASR, {"STANDIN_LOAD_SECONDS": "1"}))
    run("systemctl", "start", unit(ASR))
    assert engine(ASR, "GET", "/health").status == 200
    invocation = show(unit(ASR), "InvocationID")
    assert transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg())).json["text"] == SAID
    assert show(unit(ASR), "InvocationID") == invocation


@pytest.mark.usefixtures("fresh")
def test_a_request_waits_for_a_start_that_is_under_way() -> None:
    configure(with_env(VL, {"STANDIN_LOAD_SECONDS": "1"}))
    run("systemctl", "start", "--no-block", unit(VL))
    assert chat("vision").content == SEEN
    assert state(VL) == "ready"


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("shipped", [True, False], ids=["shipped", "mission"])
@pytest.mark.parametrize("model", [ASR, VL])
def test_the_missions_configuration_gives_exactly_these_arguments(model: str, shipped: bool) -> None:
    configure(SHIPPED.read_text() if shipped else MISSION)
    assert chat(model).status == 200
    argv, env = started_with(model)
    assert argv == ARGUMENTS[model]
    assert env["CUDA_VISIBLE_DEVICES"] == "0"
    assert env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert (env["HF_HUB_OFFLINE"], env["VLLM_NO_USAGE_STATS"]) == ("1", "1")
    assert env["VLLM_CACHE_ROOT"] == "/var/cache/swapper/vllm/vllm"
    assert "NOTIFY_SOCKET" not in env


@pytest.mark.parametrize("name", [ASR, "asr", "transcription", VL, "qwen3-vl-4b-vllm", "vision", "vl", "ocr"])
def test_every_name_answers(name: str) -> None:
    if name in ARGUMENTS[ASR]:
        assert transcribe(("model", name), ("file", "voice.wav", media.wav())).json["text"] == SAID
    answer = chat(name)
    assert answer.content == (SAID if name in ARGUMENTS[ASR] else SEEN)
    assert answer.json["model"] in {ASR, VL}


def test_all_names_are_listed() -> None:
    models = {model["id"]: model for model in ask("GET", "/v1/models").json["data"]}
    assert models[ASR]["aliases"] == ["asr", "transcription"]
    assert models[VL]["aliases"] == ["qwen3-vl-4b-vllm", "vision", "vl", "ocr"]


RECORDINGS = {"voice.wav": media.wav(), "voice.ogg": media.ogg()}


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("model_first", [True, False], ids=["model-file", "file-model"])
def test_a_recording_is_transcribed_wherever_the_model_stands_in_the_form(name: str, model_first: bool) -> None:
    model, file = ("model", "asr"), ("file", name, RECORDINGS[name])
    answer = transcribe(*((model, file) if model_first else (file, model)))
    assert (answer.status, answer.json["text"]) == (200, SAID)


def test_a_long_recording_after_which_the_model_is_named() -> None:
    answer = transcribe(("file", "long.wav", media.wav(100)), ("language", "en"), ("model", "asr"))
    assert (answer.status, answer.json["text"]) == (200, SAID)


def test_a_transcription_comes_as_a_stream() -> None:
    fields = (("model", "transcription"), ("stream", "true"), ("file", "voice.ogg", media.ogg()))
    answer = transcribe(*fields)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    chunks = events(answer.body)
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {("transcription.chunk", "transcription")}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == SAID


def test_a_stream_arrives_word_by_word() -> None:
    assert chat("asr").content == SAID
    body, content_type = form(("model", "asr"), ("stream", "true"), ("file", "voice.ogg", media.ogg()))
    with held(ASR) as go_on, contextlib.closing(connect()) as connection:
        connection.request("POST", "/v1/audio/transcriptions", body, {"Content-Type": content_type})
        response = connection.getresponse()
        assert b"The" in response.readline()
        go_on()  # only now is there a last word
        assert b"fox" in response.read()


def picture(colour: tuple[int, int, int]) -> dict[str, object]:
    url = media.data_url("image/png", media.png(8, 8, colour))
    return {"type": "image_url", "image_url": {"url": url}}


FIVE = [picture((shade, 0, 0)) for shade in range(5)]


def test_four_pictures_are_looked_at() -> None:
    assert chat("vision", [{"type": "text", "text": "What is this?"}, *FIVE[:4]]).content == SEEN


def test_a_fifth_picture_is_the_engines_error_word_for_word() -> None:
    answer = chat("vision", FIVE)
    assert answer.status == 400
    assert answer.error["message"] == "At most 4 image(s) may be provided in one prompt. (parameter=image)"
    own = engine(VL, "POST", "/v1/chat/completions", json.dumps(house.question("vision", FIVE)).encode())
    assert (answer.status, answer.body) == (own.status, own.body)
    assert answer.headers["Content-Type"] == own.headers["Content-Type"]


def test_speech_in_a_chat() -> None:
    sound = {"type": "audio_url", "audio_url": {"url": media.data_url("audio/ogg", media.ogg())}}
    assert chat("asr", [sound]).content == f"language English<asr_text>{SAID}"


def test_the_engines_own_errors_are_passed_on() -> None:
    chat("asr")
    body = b'{"model": "asr", "messages": ['
    assert ask("POST", "/v1/chat/completions", body).error["code"] == "invalid_json"  # the router's, which reads first
    answer = transcribe(("model", "asr"), ("file", "noise.wav", b"no recording at all"))
    assert (answer.status, answer.error["message"]) == (400, "Invalid or corrupted audio data.")


def test_many_clients_at_once_join_one_start() -> None:
    house.reset()
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(chat("vision"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(house.PATIENCE)
    assert [answer.content for answer in answers] == [SEEN] * 8
    starts = [change for change in ask("GET", "/api/models").json["changes"] if change["new"] == "starting"]
    assert len(starts) == 1
    until(lambda: state(VL) == "ready", "it stays")
