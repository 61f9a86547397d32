"""Anthropic's package for Python."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.clients.rig import CALL, COLD, HELLO, NAMES, URL, WEATHER, WORDS, official
from tests.job import house
from tests.job.house import ask, run, sentence, until

anthropic = official("anthropic")

TOOL = {"name": "weather", "description": "Tells the weather.", "input_schema": WEATHER}


@pytest.fixture(scope="module")
def client() -> Any:
    with anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0) as client:
        yield client


def test_models(client: Any) -> None:
    listed = list(client.models.list())
    assert [model.id for model in listed] == NAMES
    assert [model.id for model in client.models.list(limit=2)] == NAMES, "page by page"
    model = client.models.retrieve("code")
    assert (model.type, model.id, model.display_name, model.aliases) == ("model", "writer", "writer", ["code"])
    assert (model.max_input_tokens, model.lifecycle) == (4096, "active")
    assert model.created_at <= datetime.now(UTC)
    assert not model.capabilities.image_input.supported
    assert not model.capabilities.thinking.types.enabled.supported


def test_a_message(client: Any) -> None:
    answer = client.messages.create(model="writer", max_tokens=40, messages=HELLO)
    assert [(part.type, part.text) for part in answer.content] == [("text", WORDS)]
    assert (answer.role, answer.stop_reason) == ("assistant", "end_turn")
    assert answer.usage.output_tokens > 3


def test_a_message_as_a_stream(client: Any) -> None:
    with client.messages.stream(model="code", max_tokens=40, messages=HELLO, system="Be brief.") as stream:
        words = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(words) == WORDS
    assert len(words) > 3
    assert final.stop_reason == "end_turn"


def test_a_message_with_tools(client: Any) -> None:
    answer = client.messages.create(model="writer", max_tokens=40, messages=HELLO, tools=[TOOL])
    assert answer.content[0].text == WORDS


def test_a_tool_that_is_called(client: Any) -> None:
    answer = client.messages.create(model="caller", max_tokens=40, messages=HELLO, tools=[TOOL])
    (call,) = answer.content
    assert (call.type, call.name, call.input, answer.stop_reason) == ("tool_use", "weather", CALL, "tool_use")


def test_a_tool_that_is_called_in_a_stream(client: Any) -> None:
    with client.messages.stream(model="caller", max_tokens=40, messages=HELLO, tools=[TOOL]) as stream:
        parts = [event.partial_json for event in stream if event.type == "input_json"]
        (call,) = stream.get_final_message().content
    assert len(parts) > 1
    assert (call.type, call.name, call.input) == ("tool_use", "weather", CALL)


def test_what_the_tool_says_is_told(client: Any) -> None:
    asked = client.messages.create(model="caller", max_tokens=40, messages=HELLO, tools=[TOOL])
    result = {"type": "tool_result", "tool_use_id": asked.content[0].id, "content": "cold"}
    messages = [*HELLO, {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    answer = client.messages.create(model="caller", max_tokens=40, messages=messages, tools=[TOOL])
    assert (answer.content[0].text, answer.stop_reason) == (COLD, "end_turn")


def test_what_is_said_once_the_client_leaves(client: Any) -> None:
    loop = [{"role": "user", "content": "LOOP"}]
    with client.messages.create(model="writer", max_tokens=4000, messages=loop, stream=True) as stream:
        assert next(iter(stream)).type == "message_start"
    until(lambda: ask("GET", "/api/models/writer").json["leases"] == 0, "nobody holds the model")


def test_tokens_are_counted(client: Any) -> None:
    short = client.messages.count_tokens(model="writer", messages=HELLO)
    long = client.messages.count_tokens(model="writer", messages=[{"role": "user", "content": "Hello! " * 50}])
    assert 0 < short.input_tokens < long.input_tokens


def test_messages_swap_models(client: Any) -> None:
    for name in ("writer", "other"):
        answer = client.messages.create(model=name, max_tokens=40, messages=HELLO)
        assert answer.content[0].text == sentence(name)


def test_a_model_that_is_not_configured(client: Any) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(model="wrtier", max_tokens=40, messages=HELLO)
    assert "writer" in str(caught.value)


def test_a_model_whose_file_is_not_there(client: Any) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="absent", max_tokens=40, messages=HELLO)
    assert caught.value.status_code == 503
    assert "absent.gguf" in str(caught.value)


def test_a_model_that_does_not_start(client: Any) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="broken", max_tokens=40, messages=HELLO)
    assert caught.value.status_code == 503
    assert caught.value.body["error"]["code"] == "model_failed"
    assert "llama@broken" in str(caught.value)
    assert "error" in caught.value.body["error"]["journal"][-1] + caught.value.message


def test_json_that_is_broken(client: Any) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.post("/v1/messages", content=b'{"model": "writer", "messages": [', cast_to=object)
    assert caught.value.body["error"]["code"] == "invalid_json"
    assert caught.value.type == "invalid_request_error"


def test_a_model_that_is_busy(client: Any) -> None:
    run("systemctl", "start", "llama@narrow.service")
    house.wait_for("narrow", "ready")
    loop = [{"role": "user", "content": "LOOP"}]
    client.messages.create(model="narrow", max_tokens=40, messages=HELLO)  # whose time is known from now on
    with client.messages.create(model="narrow", max_tokens=100_000, messages=loop, stream=True) as stream:
        assert next(iter(stream)).type == "message_start"
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(model="narrow", max_tokens=40, messages=HELLO)
    assert caught.value.type == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_the_path_that_beta_clients_take(client: Any) -> None:
    answer = client.beta.messages.create(model="writer", max_tokens=40, messages=HELLO)
    assert answer.content[0].text == WORDS


def test_an_engine_that_dies_in_the_middle_of_a_stream(client: Any) -> None:
    loop = [{"role": "user", "content": "LOOP"}]
    with client.messages.create(model="coder", max_tokens=60_000, messages=loop, stream=True) as stream:
        events = iter(stream)
        assert next(events).type == "message_start"
        run("systemctl", "kill", "--signal=KILL", "llama@coder.service")
        with pytest.raises(anthropic.APIStatusError) as caught:
            for _ in events:
                pass
    assert caught.value.body["error"]["code"] == "engine_broke_off"
