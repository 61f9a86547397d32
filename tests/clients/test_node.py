"""OpenAI's package for Node."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients.rig import URL, WORDS
from tests.job.house import ask, run, until

PACKAGES = os.environ.get("SWAPPER_TEST_CLIENTS_NODE", "")
if not PACKAGES:
    pytest.skip("it is not here: run tests/run --clients", allow_module_level=True)

PROGRAM = Path(__file__).with_name("client.js")


@pytest.fixture(scope="module")
def told() -> Any:
    return json.loads(run("env", f"NODE_PATH={PACKAGES}", "node", str(PROGRAM), f"{URL}/v1", "writer", "wrtier"))


def test_models(told: Any) -> None:
    assert "writer" in told["models"]


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


def test_a_model_that_is_not_configured(told: Any) -> None:
    assert (told["error"]["known"], told["error"]["code"]) == (True, "model_not_found")
    assert "writer" in told["error"]["message"]
