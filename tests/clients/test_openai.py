"""OpenAI's package for Python."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.rig import CALL, COLD, HELLO, NAMES, URL, WEATHER, WORDS, official
from tests.job.house import sentence, state
from tests.lab import media

openai = official("openai")

FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": WEATHER}
TOOL = {"type": "function", "function": FUNCTION}


@pytest.fixture(scope="module")
def client() -> Any:
    with openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models(client: Any) -> None:
    assert [model.id for model in client.models.list()] == NAMES
    model = client.models.retrieve("code")
    assert (model.id, model.object, model.aliases) == ("writer", "model", ["code"])
    assert (model.context_length, model.max_model_len, model.meta["n_ctx"]) == (4096, 4096, 4096)
    assert model.architecture["output_modalities"] == ["text", "embeddings"]


def test_chat(client: Any) -> None:
    answer = client.chat.completions.create(model="writer", messages=HELLO)
    assert answer.choices[0].message.content == WORDS
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens > 3


def test_chat_as_a_stream(client: Any) -> None:
    options = {"include_usage": True}
    with client.chat.completions.create(model="code", messages=HELLO, stream=True, stream_options=options) as stream:
        chunks = list(stream)
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(filter(None, words)) == WORDS
    assert len(list(filter(None, words))) > 3
    assert chunks[-1].usage.completion_tokens > 3


def test_a_stream_that_the_client_leaves(client: Any) -> None:
    with client.chat.completions.create(model="writer", messages=_loop(), stream=True) as stream:
        assert next(iter(stream)).choices
    assert client.chat.completions.create(model="other", messages=HELLO).choices[0].message.content == sentence("other")


def _loop() -> list[dict[str, str]]:
    return [{"role": "user", "content": "LOOP"}]


def test_a_tool_that_may_be_called(client: Any) -> None:
    answer = client.chat.completions.create(model="writer", messages=HELLO, tools=[TOOL])
    assert answer.choices[0].message.content == WORDS
    assert not answer.choices[0].message.tool_calls


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_tool_that_is_called(client: Any, choice: str) -> None:
    answer = client.chat.completions.create(model="caller", messages=HELLO, tools=[TOOL], tool_choice=choice)
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", CALL)


def test_a_tool_that_is_called_in_a_stream(client: Any) -> None:
    with client.chat.completions.stream(model="caller", messages=HELLO, tools=[TOOL]) as stream:
        kinds = [event.type for event in stream]
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert kinds.count("tool_calls.function.arguments.delta") > 1
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", CALL)


def test_what_the_tool_says_is_told(client: Any) -> None:
    asked = client.chat.completions.create(model="caller", messages=HELLO, tools=[TOOL]).choices[0].message
    told = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "cold"}
    answer = client.chat.completions.create(model="caller", messages=[*HELLO, asked, told], tools=[TOOL])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (COLD, "stop")


def test_structured_output(client: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": WEATHER}}
    answer = client.chat.completions.create(model="writer", messages=HELLO, response_format=wanted, max_tokens=200)
    assert answer.choices[0].finish_reason == "stop"
    assert is_weather(json.loads(answer.choices[0].message.content))


def is_weather(value: dict[str, object]) -> bool:
    """Whether it is what `WEATHER` describes."""
    return value.keys() == {"city", "warm"} and value["city"] in {"Rome", "Oslo"} and isinstance(value["warm"], bool)


def test_completions(client: Any) -> None:
    answer = client.completions.create(model="writer", prompt="Hello!", max_tokens=40)
    assert answer.choices[0].text == WORDS


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(client: Any, encoding: str) -> None:
    answer = client.embeddings.create(model="writer", input=["Hello!", "Hello?"], encoding_format=encoding)
    assert [one.index for one in answer.data] == [0, 1]
    assert answer.data[0].embedding != answer.data[1].embedding


def test_rerank(client: Any) -> None:
    question = {"model": "judge", "query": "Hello!", "documents": ["One.", "Two!", "Three?"], "top_n": 2}
    answer = client.post("/rerank", body=question, cast_to=object)  # not OpenAI's, but all clients can ask it
    first, second = answer["results"]
    assert (first["index"], answer["model"]) == (1, "judge")
    assert first["relevance_score"] > 0.9 > second["relevance_score"]


def test_transcription(client: Any) -> None:
    answer = client.audio.transcriptions.create(model="asr", file=("voice.wav", media.wav()))
    assert answer.text == sentence("ear")


def test_transcription_as_a_stream(client: Any) -> None:
    with client.audio.transcriptions.create(model="asr", file=("voice.wav", media.wav()), stream=True) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == sentence("ear")
    assert events[-1].type == "transcript.text.done"


@pytest.mark.parametrize(
    ("form", "starts"), [("mp3", b"\xff"), ("opus", b"OggS"), ("aac", b"\xff"), ("flac", b"fLaC"), ("wav", b"RIFF")]
)
def test_speech(client: Any, form: str, starts: bytes) -> None:
    answer = client.audio.speech.create(model="speaker", voice="alloy", input="Hello!", response_format=form, speed=1.5)
    assert answer.content.startswith(starts)
    assert len(answer.content) > 1000


def test_speech_as_a_stream(client: Any, tmp_path: Path) -> None:
    said = {"model": "speaker", "voice": "nova", "input": "Hello! " * 100, "response_format": "opus"}
    with client.audio.speech.with_streaming_response.create(**said) as answer:
        answer.stream_to_file(tmp_path / "hello.opus")
    with client.audio.speech.with_streaming_response.create(**said) as answer:
        parts = list(answer.iter_bytes())
    assert len(parts) > 3
    assert len(b"".join(parts)) == pytest.approx((tmp_path / "hello.opus").stat().st_size, rel=0.01)


def test_speech_by_nobody(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=r"There is no voice 'nobody'\. There are: alloy") as refused:
        client.audio.speech.create(model="speaker", voice="nobody", input="Hello!")
    assert (refused.value.code, refused.value.param) == ("voice_unknown", "voice")


def test_speech_by_who_only_writes(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=r"writer does not speak\. Models that can: speaker\.") as refused:
        client.audio.speech.create(model="writer", voice="alloy", input="Hello!")
    assert refused.value.code == "model_incapable"


def test_responses(client: Any) -> None:
    answer = client.responses.create(model="writer", input="Hello!")
    assert (answer.status, answer.output_text) == ("completed", WORDS)


def test_responses_as_a_stream(client: Any) -> None:
    # Not by responses.stream(), which wants the numbers of parts that llama-server leaves out of its events.
    with client.responses.create(model="writer", input="Hello!", stream=True) as stream:
        events = list(stream)
    words = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(words) == WORDS
    assert len(words) > 3
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == WORDS


def test_a_tool_that_a_response_calls(client: Any) -> None:
    answer = client.responses.create(model="caller", input="Hello!", tools=[{"type": "function", **FUNCTION}])
    (call,) = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", CALL)


async def _ask_both(names: tuple[str, ...]) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0) as client:
        asked = [client.chat.completions.create(model=name, messages=HELLO) for name in names]
        return [answer.choices[0].message.content for answer in await asyncio.gather(*asked)]


def test_models_that_are_asked_at_once() -> None:
    names = ("writer", "other", "ear") * 2
    assert asyncio.run(_ask_both(names)) == [sentence(name) for name in names]


def test_models_take_turns(client: Any) -> None:
    for name in ("writer", "other") * 2:
        answer = client.chat.completions.create(model=name, messages=HELLO)
        assert answer.choices[0].message.content == sentence(name)
    assert (state("writer"), state("other")) == ("stopped", "ready")
