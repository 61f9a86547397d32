"""Requests on their way to the real llama-server: what waits is told why, looks load nothing, filters, limits."""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator

import pytest

from tests.job.house import (
    MODELS,
    ask,
    chat,
    configure,
    connect,
    question,
    rest_of,
    run,
    sentence,
    state,
    stream,
    until,
    write_gguf,
)
from tests.job.mishaps import begun, standing_still

SLOW = """
models:
  alpha: {engine: llama, model: alpha.gguf, context: 65536}
  slow:  {engine: llama, model: slow.gguf, context: 2048, args: [-lm, none], load_timeout: 5min}
  aloud: {engine: llama, model: slow.gguf, context: 2048, args: [-lm, none], loading_message: true}
"""


@pytest.fixture(autouse=True)
def _slow() -> None:
    write_gguf("slow", size_mb=1500)
    configure(SLOW)


@contextlib.contextmanager
def asking(path: str, body: object) -> Iterator[http.client.HTTPConnection]:
    """A request that has been sent, and nothing more."""
    with contextlib.closing(connect()) as connection:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        yield connection


def comments(response: http.client.HTTPResponse, count: int) -> list[str]:
    """The next comments of a stream of events."""
    found: list[str] = []
    while len(found) < count:
        line = response.readline().decode()
        assert line, f"the stream ended: {found}"
        if line.startswith(":"):
            found.append(line)
    return found


def words(data: bytes) -> str:
    """What a stream of a chat said."""
    events = [json.loads(event[6:]) for event in data.decode().split("\n\n") if event.startswith("data: {")]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events)


def test_a_load_is_told_of_in_comments_and_the_answer_follows() -> None:
    chat_request = asking("/v1/chat/completions", question("slow", stream=True))
    with standing_still("slow") as go_on, chat_request as connection:
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        for comment in comments(response, 2):
            assert re.fullmatch(r": slow is loading(, \d+ %)?\n", comment)
        go_on()
        data, whole = rest_of(response)
    assert whole
    assert words(data) == "Hello! This is slow speaking."
    assert data.endswith(b"data: [DONE]\n\n")


def test_a_load_is_told_of_as_reasoning() -> None:
    chat_request = asking("/v1/chat/completions", question("aloud", stream=True))
    with standing_still("aloud"), chat_request as connection:
        first = connection.getresponse().readline()
    delta = json.loads(first[6:])["choices"][0]["delta"]
    assert re.fullmatch(r"aloud is loading(, \d+ %)?\n", delta["reasoning_content"])


def test_a_load_that_fails_later_is_an_event_with_the_reason() -> None:
    chat_request = asking("/v1/chat/completions", question("slow", stream=True))
    with standing_still("slow"), chat_request as connection:
        response = connection.getresponse()
        comments(response, 1)
        begun("slow")
        run("systemctl", "kill", "--signal=KILL", "llama@slow")
        data, whole = rest_of(response)
    assert not whole
    error = json.loads(data.rpartition(b"data: ")[2])["error"]
    assert error["code"] == "model_failed"
    assert "llama@slow" in error["message"]


def test_who_is_behind_others_is_told_so() -> None:
    with contextlib.ExitStack() as busy, contextlib.ExitStack() as waiting:
        busy.enter_context(stream("alpha"))
        first = waiting.enter_context(asking("/v1/chat/completions", question("slow", stream=True)))
        comments(first.getresponse(), 1)
        with asking("/v1/chat/completions", question("slow", stream=True)) as second:
            response = second.getresponse()
            told = comments(response, 1)[0]
            assert told == ": slow will be loaded when alpha has ended its request; place 2 in the queue\n"
            busy.close()
            assert words(rest_of(response)[0]) == "Hello! This is slow speaking."


def test_without_a_stream_there_is_silence_and_a_real_status() -> None:
    (MODELS / "broken.gguf").write_bytes(b"GGUF no more")
    configure(SLOW + "  broken: {engine: llama, model: broken.gguf}\n")
    answer = chat("broken")
    assert answer.status == 503
    assert answer.error["code"] == "model_failed"
    assert chat("slow").content == "Hello! This is slow speaking."


def test_responses_and_messages_wait_as_well() -> None:
    bodies = {
        "/v1/responses": {"model": "slow", "input": "Hello!", "stream": True},
        "/v1/messages": {"model": "slow", "max_tokens": 40, "stream": True,
                         "messages": [{"role": "user", "content": "Hello!"}]},
    }  # fmt: skip
    for path, body in bodies.items():
        run("systemctl", "stop", "llama@slow")
        with standing_still("slow") as go_on, asking(path, body) as connection:
            response = connection.getresponse()
            comments(response, 1)
            go_on()
            data, whole = rest_of(response)
        assert whole
        assert b"speaking" in data


def test_looks_load_nothing_and_keep_nothing() -> None:
    configure("models:\n  alpha: {engine: llama, model: alpha.gguf, context: 2048, ttl: 10s}\n")
    for path in ("/props?model=alpha", "/upstream/alpha/props", "/slots?model=alpha", "/upstream/alpha/v1/models"):
        answer = ask("GET", path)
        assert (answer.status, answer.error["code"]) == (503, "model_not_loaded")
    assert state("alpha") == "stopped"
    assert chat("alpha").content == sentence("alpha")
    assert ask("GET", "/props?model=alpha").json["total_slots"] == 4
    assert ask("GET", "/upstream/alpha/props").json["total_slots"] == 4

    def looked() -> bool:
        ask("GET", "/props?model=alpha")
        return state("alpha") == "stopped"

    until(looked, "a model that is only looked at is idle, and goes after its ttl")


def test_an_engines_own_paths() -> None:
    answer = ask("POST", "/upstream/alpha/completion", {"prompt": "Hello!", "n_predict": 30})
    assert sentence("alpha") in answer.body.decode()
    assert answer.status == 200
    closed = (
        ("POST", "/upstream/alpha/slots/0?action=erase"),
        ("POST", "/upstream/alpha/props"),
        ("POST", "/upstream/alpha/models/load"),
        ("GET", "/upstream/alpha/../../api/models"),
    )
    for method, path in closed:
        refused = ask(method, path, {} if method == "POST" else None)
        assert (refused.status, refused.error["code"]) == (403, "path_refused")


def test_what_a_model_cannot_do_names_those_that_can_and_loads_nothing() -> None:
    configure(SLOW + "  ears: {engine: llama, model: alpha.gguf, capabilities: [transcription]}\n")
    answer = ask("POST", "/v1/audio/transcriptions", {"model": "slow"})
    assert (answer.status, answer.error["code"]) == (400, "model_incapable")
    assert answer.error["message"] == "slow does not transcribe. Models that can: ears."
    assert state("slow") == "stopped"


def test_filters_reach_the_engine() -> None:
    configure("models:\n  alpha: {engine: llama, model: alpha.gguf, context: 2048, "
              "filters: {set: {max_tokens: 2}, strip: [stop]}}\n")  # fmt: skip
    answer = chat("alpha", stop=["This"])
    assert answer.json["usage"]["completion_tokens"] == 2
    assert answer.json["choices"][0]["finish_reason"] == "length"


def test_a_queue_has_its_patience() -> None:
    configure(SLOW.replace("load_timeout: 5min", "queue_timeout: 1s"))
    with stream("alpha"):
        answer = chat("slow")
        assert (answer.status, answer.error["code"]) == (503, "queue_timeout")
    assert answer.headers.get("Retry-After") is None or int(answer.headers["Retry-After"]) >= 1
