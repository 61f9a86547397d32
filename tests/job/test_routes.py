"""The paths that engines serve, through port 8000, against the real llama-server."""

import pytest

from tests.job.house import ask, configure, question, sentence

MESSAGES = [{"role": "user", "content": "Hello!"}]
WORDS = sentence("alpha")


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES}, WORDS),
        ("/v1/completions", {"prompt": "Hello!", "max_tokens": 30}, WORDS),
        ("/v1/responses", {"input": "Hello!"}, WORDS),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 30}, WORDS),
        ("/v1/messages/count_tokens", {"messages": MESSAGES}, '"input_tokens":'),
        ("/completion", {"prompt": "Hello!", "n_predict": 30}, WORDS),
        ("/infill", {"input_prefix": "a", "input_suffix": "b", "n_predict": 30}, '"content":'),
        ("/tokenize", {"content": "Hello!"}, '"tokens":'),
        ("/detokenize", {"tokens": [40]}, '"content":'),
        ("/apply-template", {"messages": MESSAGES}, '"prompt":'),
    ],
)
def test_is_forwarded(path: str, body: dict[str, object], answer: str) -> None:
    got = ask("POST", path, {"model": "first", **body})
    assert got.status == 200, got.body
    assert answer in got.body.decode()
    assert "X-Request-Id" in got.headers


def test_embeddings() -> None:
    configure("models:\n  alpha: {engine: llama, model: alpha.gguf, context: 2048, args: [--embeddings]}\n")
    got = ask("POST", "/v1/embeddings", {"model": "alpha", "input": "Hello!"})
    assert got.status == 200, got.body
    assert len(got.json["data"][0]["embedding"]) > 10


def test_what_an_engine_refuses_comes_back_as_it_said_it() -> None:
    got = ask("POST", "/v1/embeddings", {"model": "alpha", "input": "Hello!"})
    assert got.status == 501
    assert got.error["type"] == "not_supported_error"


def test_a_stream_comes_event_by_event_and_ends_as_it_should() -> None:
    got = ask("POST", "/v1/chat/completions", question("alpha", stream=True))
    events = [line for line in got.body.decode().split("\n\n") if line]
    assert got.headers["Content-Type"].startswith("text/event-stream")
    assert len(events) > 3
    assert events[-1] == "data: [DONE]"
