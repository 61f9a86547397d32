"""What OpenAI's package for Python makes of errors, and what it does about them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.rig import HELLO, URL, official
from tests.job import house
from tests.job.house import MODELS, run, sentence
from tests.lab import media

openai = official("openai")

LOOP = [{"role": "user", "content": "LOOP"}]
STREAMS = {
    "chat": lambda client: client.chat.completions.create(model="coder", messages=LOOP, stream=True),
    "responses": lambda client: client.responses.create(model="coder", input=LOOP, stream=True),
}


@pytest.fixture(scope="module")
def client() -> Any:
    with openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def absent() -> Iterator[Path]:
    """Where the file of a model belongs that is not there."""
    path = MODELS / "absent.gguf"
    yield path
    path.unlink(missing_ok=True)


def retrying(heard: Callable[[Any], None]) -> Any:
    """A client that retries as clients do if nobody tells them otherwise, and lets us hear each answer."""
    http = openai.DefaultHttpx2Client(event_hooks={"response": [heard]})
    return openai.OpenAI(base_url=f"{URL}/v1", api_key="none", http_client=http)


def test_a_model_that_is_not_configured(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="wrtier", messages=HELLO)
    assert (caught.value.code, caught.value.type, caught.value.param) == ("model_not_found", "not_found_error", "model")
    assert "writer" in str(caught.value)
    assert caught.value.request_id


def test_a_model_that_is_not_configured_is_not_retrieved(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("wrtier")
    assert caught.value.code == "model_not_found"


@pytest.mark.usefixtures("absent")
def test_a_model_whose_file_is_not_there(client: Any) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="absent", messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (503, "model_incomplete")
    assert "absent.gguf" in str(caught.value)


def test_a_request_without_a_model(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body={"messages": HELLO}, cast_to=object)
    assert (caught.value.code, caught.value.param) == ("model_missing", "model")


def test_a_model_that_does_not_start(client: Any) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="broken", messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (503, "model_failed")
    assert "llama@broken" in str(caught.value)
    assert "Its journal ends: " in str(caught.value)


def test_a_model_that_does_not_start_ends_a_stream(client: Any) -> None:
    house.reset()  # or it would be told at once that the last start failed
    with (
        pytest.raises(openai.APIError) as caught,
        client.chat.completions.create(model="broken", messages=HELLO, stream=True) as stream,
    ):
        list(stream)
    assert caught.value.code == "model_failed"


def test_json_that_is_broken(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", content=b'{"model": "writer", "messages": [', cast_to=object)
    assert (caught.value.code, caught.value.type) == ("invalid_json", "invalid_request_error")


def test_a_model_that_cannot_do_it(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="judge", file=("voice.wav", media.wav()))
    assert (caught.value.code, caught.value.param) == ("model_incapable", "model")


def test_what_an_engine_refuses(client: Any) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model="other", input="Hello!")
    assert (caught.value.status_code, caught.value.type) == (501, "not_supported_error")


def test_a_model_that_is_busy(client: Any) -> None:
    run("systemctl", "start", "llama@narrow.service")  # for which nobody may wait, either
    house.wait_for("narrow", "ready")
    client.chat.completions.create(model="narrow", messages=HELLO)  # whose time is known from now on
    with client.chat.completions.create(model="narrow", messages=LOOP, stream=True) as stream:
        assert next(iter(stream)).choices
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="narrow", messages=HELLO)
    assert (caught.value.code, caught.value.type) == ("queue_full", "rate_limit_error")
    assert int(caught.value.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_an_engine_that_dies_in_the_middle_of_a_stream(client: Any, kind: str) -> None:
    with STREAMS[kind](client) as stream:
        parts = iter(stream)
        next(parts)
        run("systemctl", "kill", "--signal=KILL", "llama@coder.service")
        with pytest.raises(openai.APIError) as caught:
            for _ in parts:
                pass
    assert caught.value.code == "engine_broke_off"


def test_a_retry_finds_the_file_that_has_come(absent: Path) -> None:
    statuses: list[int] = []

    def heard(response: Any) -> None:
        statuses.append(response.status_code)
        house.write_gguf("absent")

    assert not absent.exists()
    with retrying(heard) as client:
        answer = client.chat.completions.create(model="absent", messages=HELLO)
    assert answer.choices[0].message.content == sentence("absent")
    assert statuses == [503, 200]


def test_a_retry_comes_when_it_was_asked_for() -> None:
    """While D-Bus is away nothing can be started; the answer says when to ask again, and the client does so."""
    house.reset()
    run("systemctl", "start", "swapper.service")
    heard: list[tuple[float, int, str | None]] = []

    def hear(response: Any) -> None:
        heard.append((time.monotonic(), response.status_code, response.headers.get("retry-after")))
        run("systemctl", "start", "dbus.socket", "dbus.service")

    run("systemctl", "stop", "dbus.socket", "dbus.service")
    with retrying(hear) as client:
        answer = client.chat.completions.create(model="other", messages=HELLO)
    assert answer.choices[0].message.content == sentence("other")
    (before, refused, wait), (after, answered, _) = heard
    assert (refused, answered) == (503, 200)
    assert wait is not None
    assert after - before >= float(wait)
