"""curl, as people type it: each kind of question, and what it shows of errors."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.rig import URL, WORDS
from tests.job.house import sentence
from tests.lab import media

HELLO = """"messages": [{"role": "user", "content": "Hello!"}]"""
ASKED = [
    ("/v1/chat/completions", "{'model': 'writer', HELLO}", ["choices", 0, "message", "content"], WORDS),
    ("/v1/completions", "{'model': 'code', 'prompt': 'Hello!', 'max_tokens': 40}", ["choices", 0, "text"], WORDS),
    ("/v1/embeddings", "{'model': 'writer', 'input': ['Hello!', 'Hello?']}", ["data", 1, "index"], 1),
    ("/v1/rerank", "{'model': 'judge', 'query': 'Hello!', 'documents': ['One.', 'Two!']}", ["results", 0, "index"], 1),
    ("/v1/responses", "{'model': 'writer', 'input': 'Hello!'}", ["output", 0, "content", 0, "text"], WORDS),
    ("/v1/messages", "{'model': 'writer', 'max_tokens': 40, HELLO}", ["content", 0, "text"], WORDS),
    ("/v1/chat/completions", "{'model': 'wrtier', HELLO}", ["error", "code"], "model_not_found"),
    ("/v1/chat/completions", "{'model': 'writer', ", ["error", "code"], "invalid_json"),
    ("/v1/chat/completions", "{'model': 'broken', HELLO}", ["error", "code"], "model_failed"),
    ("/v1/chat/completions", "{'model': 'absent', HELLO}", ["error", "code"], "model_incomplete"),
    ("/v1/nothing", "{}", ["error", "code"], "not_found"),
]


def curl(*arguments: str, at: Path = Path("/")) -> str:
    """What it prints."""
    done = subprocess.run(
        ("curl", "--silent", "--show-error", *arguments), cwd=at, check=True, capture_output=True, text=True
    )
    return done.stdout


def found(answer: Any, keys: list[str | int]) -> Any:
    """What stands there."""
    for key in keys:
        answer = answer[key]
    return answer


@pytest.mark.parametrize(("path", "body", "keys", "value"), ASKED, ids=lambda one: str(one)[:40])
def test_a_question(path: str, body: str, keys: list[str | int], value: object) -> None:
    said = curl(f"{URL}{path}", "-d", body.replace("HELLO", HELLO).replace("'", '"'))
    assert found(json.loads(said), keys) == value, said


def test_transcription(tmp_path: Path) -> None:
    (tmp_path / "voice.wav").write_bytes(media.wav())
    said = curl(f"{URL}/v1/audio/transcriptions", "-F", "file=@voice.wav", "-F", "model=asr", at=tmp_path)
    assert json.loads(said)["text"] == sentence("ear")


def test_a_stream() -> None:
    body = f'{{"model": "writer", "stream": true, {HELLO}}}'
    *events, last = curl("--no-buffer", f"{URL}/v1/chat/completions", "-d", body).strip().split("\n\n")
    assert last == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: "))["choices"] for event in events if not event.startswith(":")]
    assert "".join(choices[0]["delta"].get("content") or "" for choices in chunks if choices) == WORDS


def test_the_models() -> None:
    assert "writer" in [model["id"] for model in json.loads(curl(f"{URL}/v1/models"))["data"]]
