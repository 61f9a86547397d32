"""OpenAI's package for Node."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients.rig import CALL, NAMES, URL, WEATHER, WORDS
from tests.job import house
from tests.job.house import ask, run, sentence, until
from tests.lab import media

PACKAGES = os.environ.get("SWAPPER_TEST_CLIENTS_NODE", "")
if not PACKAGES:
    pytest.skip("it is not here: run tests/run --clients", allow_module_level=True)

PROGRAM = Path(__file__).with_name("client.js")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    recording = tmp_path_factory.mktemp("node") / "voice.wav"
    recording.write_bytes(media.wav())
    run("systemctl", "start", "llama@narrow.service")  # for which nobody may wait
    house.wait_for("narrow", "ready")
    told_what = {
        "baseURL": f"{URL}/v1", "writer": "writer", "caller": "caller", "ear": "asr", "judge": "judge",
        "narrow": "narrow", "nobody": "wrtier", "schema": WEATHER, "recording": str(recording), "coder": "coder",
        "kill": "systemctl kill --signal=KILL llama@coder.service",
    }  # fmt: skip
    return json.loads(run("env", f"NODE_PATH={PACKAGES}", "node", str(PROGRAM), json.dumps(told_what)))


def test_models(told: Any) -> None:
    assert told["models"] == NAMES
    assert (told["model"]["id"], told["model"]["context_length"]) == ("writer", 4096)


def test_chat(told: Any) -> None:
    assert told["chat"] == WORDS


def test_chat_as_a_stream(told: Any) -> None:
    words = [word for word in told["stream"] if word]
    assert "".join(words) == WORDS
    assert len(words) > 3


def test_a_stream_that_the_client_leaves(told: Any) -> None:
    assert told["left"] == 3
    until(lambda: ask("GET", "/api/models/writer").json["leases"] == 0, "nobody holds the model")


def test_responses(told: Any) -> None:
    assert told["response"] == WORDS


def test_embeddings(told: Any) -> None:
    assert told["embeddings"] == 2


def test_structured_output(told: Any) -> None:
    assert told["weather"].keys() == {"city", "warm"}


def test_a_tool_that_is_called(told: Any) -> None:
    assert (told["call"]["name"], json.loads(told["call"]["arguments"])) == ("weather", CALL)


def test_rerank(told: Any) -> None:
    assert told["rerank"]["results"][0]["index"] == 1


def test_transcription(told: Any) -> None:
    assert told["transcript"] == sentence("ear")


def test_a_model_that_is_not_configured(told: Any) -> None:
    error = told["errors"]["unknown"]
    assert (error["known"], error["code"]) == (True, "model_not_found")
    assert "writer" in error["message"]


def test_a_model_that_is_busy(told: Any) -> None:
    error = told["errors"]["refused"]
    assert (error["known"], error["code"], error["status"]) == (True, "queue_full", 429)


def test_an_engine_that_dies_in_the_middle_of_a_stream(told: Any) -> None:
    error = told["errors"]["cut"]
    assert (error["known"], error["code"]) == (True, "engine_broke_off")
