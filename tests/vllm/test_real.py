"""The real vLLM on CPU, with tiny models, through port 8000: `tests/run --vllm`.

A start takes half a minute or more, so the tests are one story in this order, with four starts of vLLM: llama-server,
then a model that hears, the Telegram bot that uses it, one that sees, llama-server again, one that is started by hand,
the other one beside it, and a stop by hand.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.job import house
from tests.job.house import MODELS, Answer, ask, chat, configure, connect, rest_of, run, sentence, show, state, until
from tests.lab import dashboard, media, sound
from tests.lab.exposition import Scraped, read_openmetrics
from tests.media.mission import HEAR, SEE, WRITE, example_com, say
from tests.media.sight import look, picture
from tests.telegram.agent.rig import KNOWS
from tests.telegram.installed import rig as bot
from tests.vllm.realtime import REALTIME, dictate, mistakes
from tests.vllm.rig import ASR, SAID, SEEN, VL, active, engine, events, processes, talking, transcribe, unit

VLLM = os.environ.get("SWAPPER_TEST_VLLM", "")
if not VLLM:
    pytest.skip("the real vLLM is not here: run tests/run --vllm", allow_module_level=True)

ENV = '{VLLM_CPU_KVCACHE_SPACE: "1", VLLM_ENABLE_V1_MULTIPROCESSING: "0"}'
ON_CPU = f"load_timeout: 10min, args: [--enforce-eager], env: {ENV}"
CONFIG = f"""
engines: {{vllm: {{path: {VLLM}}}}}
media: {{allow: [example.com]}}
models:
  glm-47-flash: {{engine: llama, model: glm-47-flash.gguf, context: 2048}}
  keen: {{engine: llama, model: keen.gguf, context: 16384, args: [--chat-template-file, {MODELS / "keen.jinja"}]}}
  {ASR}:
    {{engine: vllm, model: {os.environ.get("SWAPPER_TEST_VLLM_ASR")}, gpu_memory: 30%, context: 8192,
     aliases: [asr, transcription], {ON_CPU.replace("args: [", f"args: [{', '.join(map(json.dumps, REALTIME))}, ")}}}
  {VL}:
    {{engine: vllm, model: {os.environ.get("SWAPPER_TEST_VLLM_VL")}, gpu_memory: 40%, context: 16384, images: 4,
     aliases: [qwen3-vl-4b-vllm, vision, vl, ocr], {ON_CPU}}}
"""
HEARD = f"language English<asr_text>{SAID}"


@pytest.fixture(scope="module", autouse=True)
def _real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    house.write_gguf("glm-47-flash")
    house.write_gguf("keen")
    (MODELS / "keen.jinja").write_text(KNOWS.replace("This is ear", SAID))
    house.reset()
    configure(CONFIG)
    with example_com("10.20.30.40", tmp_path_factory.mktemp("tls")):
        yield
    house.reset()


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tells how long a test took, for those that wait for vLLM."""
    began = time.monotonic()
    yield
    print(f"{request.node.name}: {time.monotonic() - began:.1f} s")


def content(call: str) -> str:
    """What a model said to a call of the mission's."""
    answer: dict[str, Any] = json.loads(say(call))
    assert "choices" in answer, answer
    text: str = answer["choices"][0]["message"]["content"]
    return text


def test_llama_server_is_there_first() -> None:
    assert content(WRITE) == sentence("glm-47-flash")
    assert active() == ["llama@glm-47-flash.service"]


@pytest.mark.usefixtures("clock")
def test_a_voice_by_url_swaps_to_the_model_that_hears() -> None:
    assert content(HEAR) == HEARD
    assert active() == [unit(ASR)]
    assert state("glm-47-flash") == "stopped"


def test_systemd_knows_it_as_ready_and_says_what_took_so_long() -> None:
    status = run("systemctl", "status", unit(ASR))
    assert f'Status: "{ASR} ready after ' in status
    assert "(vllm)" in status
    names = processes(unit(ASR)).values()
    assert "swapper-sidecar" in names
    assert len(names) >= 3, names
    print(next(line for line in status.splitlines() if "Status:" in line), sorted(names))


def test_its_arguments_are_the_missions() -> None:
    argv = run("systemctl", "show", "--value", "--property", "ExecStart", unit(ASR))
    assert f"--served-model-name {ASR} asr transcription --max-model-len 8192 --gpu-memory-utilization 0.3" in argv
    (model, *_) = engine(ASR, "GET", "/v1/models").json["data"]
    assert model["max_model_len"] == 8192


@pytest.mark.parametrize("name", [ASR, "asr", "transcription"])
@pytest.mark.parametrize("voice", ["voice.wav", "voice.ogg"])
@pytest.mark.parametrize("model_first", [True, False], ids=["model-file", "file-model"])
def test_recordings_are_transcribed_by_every_name(name: str, voice: str, model_first: bool) -> None:
    fields = (("model", name), ("file", voice, media.wav() if voice.endswith("wav") else media.ogg()))
    answer = transcribe(*(fields if model_first else fields[::-1]))
    assert (answer.status, answer.json.get("text")) == (200, SAID), answer.body


def test_a_transcription_comes_as_a_stream() -> None:
    answer = transcribe(("model", "asr"), ("stream", "true"), ("file", "voice.ogg", media.ogg()))
    assert answer.headers["content-type"].startswith("text/event-stream")
    chunks = events(answer.body)
    assert {chunk["object"] for chunk in chunks} == {"transcription.chunk"}
    deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert "".join(deltas) == SAID


def test_a_voice_note_in_a_chat() -> None:
    note = {"type": "audio_url", "audio_url": {"url": media.data_url("audio/ogg", media.ogg())}}
    assert chat("asr", [note]).content == HEARD
    url = media.data_url("audio/wav", media.wav())
    sound = {"type": "input_audio", "input_audio": {"data": url.partition(",")[2], "format": "wav"}}
    assert chat("asr", [sound]).content == HEARD


def test_its_metrics_are_merged_and_what_the_dashboard_asks_for() -> None:
    scraped = Scraped.read(ask("GET", "/metrics").body.decode())
    assert scraped.value("swapper_engine_scrape_ok", model=ASR) == 1
    assert scraped.get("vllm:generation_tokens_total", model=ASR, model_name=ASR) > 0
    assert scraped.value("process_resident_memory_bytes") < scraped.value("process_resident_memory_bytes", model=ASR)
    asked = {name for name in dashboard.asked() if name.startswith("vllm:")}
    assert len(asked) > 5
    assert asked - dashboard.given(scraped) == set()
    strict = ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    assert any(family.name == "vllm:generation_tokens" for family in read_openmetrics(strict.body.decode()))


def test_what_is_spoken_is_understood_in_a_websocket() -> None:
    words = ["language", " English", "<asr_text>", "The", " quick", " brown", " fox.", ""]
    (first, whole), (second, both) = asyncio.run(dictate("asr", 1.0, 7.0))
    assert (whole, both) == (HEARD, HEARD * 2)
    # Word by word, each once and in order; what vLLM has more of when it comes to send, it sends in one message.
    for said, told in ((words, first), (words * 2, second)):
        ends = list(accumulate(map(len, told)))
        assert "".join(told) == "".join(said)
        assert set(ends) <= set(accumulate(map(len, said))), "no word is cut"
        assert told[-1] == ""
        assert len(told) > len(said) // 2
    until(lambda: ask("GET", f"/api/models/{ASR}").json["leases"] == 0, "nobody holds the model")


def test_a_websocket_with_mistakes() -> None:
    assert asyncio.run(mistakes("asr")) == ["model_not_validated", "model_not_found", "unknown_event"]


def test_the_watchdog_is_fed() -> None:
    assert show(unit(ASR), "WatchdogUSec") == "40s"
    before = show(unit(ASR), "WatchdogTimestampMonotonic")
    until(lambda: show(unit(ASR), "WatchdogTimestampMonotonic") != before, "the sidecar has asked vLLM again")
    assert show(unit(ASR), "ActiveState") == "active"


@pytest.mark.usefixtures("clock")
def test_a_voice_message_to_the_bot_is_heard_and_answered_by_a_model_that_is_swapped_in() -> None:
    with bot.running("model: keen\n") as telegram:
        telegram.chats.file(bot.ADA, "voice", sound.note("The quick brown fox."), mime_type="audio/ogg")
        answer = telegram.chats.answered(bot.ADA, sentence("keen"))
    assert answer.formatted("blockquote"), "it was told what was heard"
    assert active() == ["llama@keen.service"]
    assert show(unit(ASR), "Result") == "success"


@pytest.mark.usefixtures("clock")
def test_a_picture_by_url_swaps_to_the_model_that_sees() -> None:
    assert content(SEE) == SEEN
    assert active() == [unit(VL)]
    assert show(unit(ASR), "Result") == "success"
    print(show(unit(VL), "StatusText"))


@pytest.mark.parametrize("name", [VL, "qwen3-vl-4b-vllm", "vision", "vl", "ocr"])
def test_every_name_of_it_answers(name: str) -> None:
    url = media.data_url("image/png", media.png())
    assert chat(name, [{"type": "text", "text": "What is it?"}, picture(url)]).content == SEEN


PICTURES = [picture(media.data_url("image/png", media.png(64, 64, (50 * shade, 0, 0)))) for shade in range(5)]


def prompt_tokens(answer: Answer) -> int:
    """How much the model was given to look at."""
    assert answer.content == SEEN
    tokens: int = answer.json["usage"]["prompt_tokens"]
    return tokens


def test_pictures_are_really_looked_at_and_the_fifth_is_refused() -> None:
    one, four = prompt_tokens(chat("vl", PICTURES[:1])), prompt_tokens(chat("vl", PICTURES[:4]))
    assert one < four
    answer = chat("vl", PICTURES)
    assert answer.status == 400
    assert answer.error["message"].startswith("At most 4 image(s) may be provided in one prompt.")
    own = engine(VL, "POST", "/v1/chat/completions", json.dumps(house.question("vl", PICTURES)).encode())
    assert (answer.status, answer.body) == (own.status, own.body)


def test_a_stream_comes_word_by_word_and_ends_whole() -> None:
    with talking("vl", 50) as response:
        data, whole = rest_of(response)
    assert whole
    assert data.endswith(b"data: [DONE]\n\n")
    assert data.count(b" loop") == 50


@pytest.mark.usefixtures("clock")
def test_a_text_swaps_back_to_llama_server() -> None:
    assert content(WRITE) == sentence("glm-47-flash")
    assert active() == ["llama@glm-47-flash.service"]
    assert show(unit(VL), "Result") == "success"


@pytest.mark.usefixtures("clock")
def test_a_start_by_hand_returns_when_it_is_ready() -> None:
    run("systemctl", "start", unit(VL))
    assert engine(VL, "GET", "/health").status == 200
    invocation = show(unit(VL), "InvocationID")
    assert chat("ocr").content == SEEN
    assert show(unit(VL), "InvocationID") == invocation
    assert active() == [unit(VL)]
    print(show(unit(VL), "StatusText"))


@pytest.mark.usefixtures("clock")
def test_a_dialogue_of_voice_and_pictures_swaps_nothing_where_both_models_fit() -> None:
    configure(f"gpus: {{0: {{policy: pack}}}}\n{CONFIG}")
    sees = show(unit(VL), "InvocationID")
    with contextlib.closing(connect(timeout=600)) as connection:  # as long as a start takes on a busy machine
        connection.request("POST", f"/api/models/{ASR}/load")
        assert connection.getresponse().status == 200
    assert transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg())).json["text"] == SAID
    print(show(unit(ASR), "StatusText"))
    hears = show(unit(ASR), "InvocationID")
    before = Scraped.read(ask("GET", "/metrics").body.decode())
    for _ in range(3):
        assert transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg())).json["text"] == SAID
        assert look(media.data_url("image/png", media.png())).content == SEEN
    after = Scraped.read(ask("GET", "/metrics").body.decode())
    assert active() == [unit(ASR), unit(VL)]
    assert (show(unit(ASR), "InvocationID"), show(unit(VL), "InvocationID")) == (hears, sees)
    for name in ("swapper_model_starts_total", "swapper_model_stops_total"):
        assert after.get(name) == before.get(name)
    run("systemctl", "stop", unit(ASR))


@pytest.mark.usefixtures("clock")
def test_a_stop_by_hand_ends_it_in_seconds_though_a_stream_is_open() -> None:
    with talking("vl", 12_000) as response:
        group = processes(unit(VL))
        began = time.monotonic()
        run("systemctl", "stop", unit(VL))
        took = time.monotonic() - began
        data, whole = rest_of(response)
    assert took < 12, f"{took:.1f} s"
    assert show(unit(VL), "Result") == "success"
    assert not whole, data[-300:]
    assert b'"error": {' in data
    assert processes(unit(VL)) == {}
    assert not any(Path("/proc", str(pid)).exists() for pid in group)
    assert ask("GET", "/health").status == 200
