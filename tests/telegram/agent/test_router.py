"""The client of the router's HTTP API, and the agents that use it, against the installed router and real engines."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.client import Comment, Delta, Router, RouterError
from swapper.telegram.agent.base import Failed, Finished, Progress, Request, Text, Turn
from swapper.telegram.agent.choose import Wished
from swapper.telegram.agent.limits import Limits
from swapper.telegram.agent.loop import ToolAgent
from swapper.telegram.agent.manners import Manner
from tests.job import house
from tests.job.house import MODELS, ask, sentence, state, until
from tests.lab import gguf, media
from tests.telegram.agent.rig import (
    BOTH,
    CONFIG,
    Answer,
    agent,
    answered,
    call,
    photo,
    router,
    voice,
    write_models,
)
from tests.telegram.agent.test_page import site
from tests.telegram.installed.rig import standing_still

HELLO = [{"role": "user", "content": "Hello!"}]
LOOP = [{"role": "user", "content": "LOOP"}]


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    write_models()
    with house.configured(CONFIG):
        yield


def leases(model: str) -> int:
    count: int = ask("GET", f"/api/models/{model}").json["leases"]
    return count


# ---- the client -----------------------------------------------------------------------------------------------------


async def test_the_models_are_listed() -> None:
    async with router() as client:
        found = {model.name: model for model in await client.models()}
    assert (found["ear"].aliases, found["talker"].context, found["eye"].engine) == (("asr",), 65536, "llama")
    assert "vision" in found["eye"].capabilities


async def said(client: Router, model: str, messages: object) -> list[Delta | Comment]:
    async with contextlib.aclosing(client.chat({"model": model, "messages": messages})) as stream:
        return [heard async for heard in stream]


async def test_a_chat_comes_in_parts_and_its_tokens_are_counted() -> None:
    async with router() as client:
        parts = [heard for heard in await said(client, "talker", HELLO) if isinstance(heard, Delta)]
    assert "".join(part.text for part in parts) == sentence("talker")
    assert len([part for part in parts if part.text]) > 3
    assert parts[-1].tokens > 3


async def test_a_load_is_told_of() -> None:
    house.reset()
    async with router() as client, contextlib.aclosing(client.chat({"model": "slow", "messages": HELLO})) as stream:
        first = asyncio.ensure_future(anext(stream))
        with contextlib.ExitStack() as still:
            await asyncio.to_thread(still.enter_context, standing_still("slow"))
            async with asyncio.timeout(house.PATIENCE):
                heard = await first
                while not (isinstance(heard, Comment) and "slow is loading" in heard.text):
                    heard = await anext(stream)
        words = "".join([heard.text async for heard in stream if isinstance(heard, Delta)])
    assert words == sentence("weighty")


async def test_an_error_has_the_routers_code() -> None:
    async with router() as client:
        with pytest.raises(RouterError) as raised:
            await said(client, "no-such-model", HELLO)
    assert (raised.value.code, raised.value.status) == ("model_not_found", 404)
    assert raised.value.hint


async def test_a_closed_iterator_gives_its_request_up() -> None:
    async with router() as client:
        stream = client.chat({"model": "talker", "messages": LOOP})
        async for heard in stream:
            if isinstance(heard, Delta) and heard.text:
                break
        assert await asyncio.to_thread(leases, "talker") == 1
        await stream.aclose()
        await asyncio.to_thread(until, lambda: leases("talker") == 0, "the model is let go")


async def test_a_recording_is_transcribed() -> None:
    async with router() as client:
        stream = client.transcribe("asr", media.wav(), name="voice.wav", mime="audio/wav")
        text = "".join([heard.text async for heard in stream if isinstance(heard, Delta)])
    assert text == sentence("ear")


async def test_nobody_at_that_address() -> None:
    async with router("http://127.0.0.1:9") as client:
        with pytest.raises(RouterError) as raised:
            await client.models()
    assert raised.value.code == "router_unreachable"


# ---- the agent ------------------------------------------------------------------------------------------------------


async def test_a_text_is_answered(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "talker", Turn("user", "Hello!"))
    assert (answer.text, answer.noted) == (sentence("talker"), ())


async def test_a_voice_message_is_heard_and_answered_as_if_it_were_typed(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "talker", Turn("user", "", (voice(tmp_path),)))
    assert answer.text == sentence("talker")
    assert answer.noted == (Turn("user", sentence("ear")),)
    assert "listening to voice.wav with ear" in answer.progress
    assert (state("ear"), state("talker")) == ("stopped", "ready")


async def test_opus_is_converted_for_an_engine_that_refuses_it(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        for _ in range(2):
            answer = await answered(asked, "talker", Turn("user", "", (voice(tmp_path, media.ogg(), "audio/ogg"),)))
            assert answer.noted == (Turn("user", sentence("ear")),)
        assert asked._bench.deaf == {("ear", "audio/ogg")}


async def waited(asked: ToolAgent, model: str, turn: Turn) -> Answer:
    """Ask while another model has work, until it is told that there is something to wait for; the whole answer."""
    answer = Answer()
    async with router() as client, contextlib.aclosing(client.chat({"model": "talker", "messages": LOOP})) as busy:
        await anext(busy)
        async with contextlib.aclosing(asked.answer(Request(model, "", (turn,)))) as events:
            async for event in events:
                answer.events.append(event)
                if isinstance(event, Progress) and "talker" in event.text:
                    await busy.aclose()
    return answer


async def test_an_engine_that_was_waited_for_may_refuse_sound_too(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await waited(asked, "talker", Turn("user", "", (voice(tmp_path, media.ogg(), "audio/ogg"),)))
        assert (answer.noted, asked._bench.deaf) == ((Turn("user", sentence("ear")),), {("ear", "audio/ogg")})


async def test_an_engine_that_was_waited_for_may_refuse_tools_too(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await waited(asked, "strict", Turn("user", "Hello!"))
        assert (answer.text, asked._manners) == (sentence("strict"), {"strict": Manner(tools=False)})


async def test_what_is_no_recording_is_said_to_be_none(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        broken = voice(tmp_path, b"OggS" + bytes(1000), "audio/ogg")
        answer = await answered(asked, "talker", Turn("user", "", (broken,)))
    assert answer.failed.code == "unreadable"
    assert "voice.ogg is no recording that can be read" in answer.failed.message


async def test_an_album_is_looked_at_in_one_go_and_remembered(tmp_path: Path) -> None:
    album = (photo(tmp_path, "one.png"), photo(tmp_path, "two.png"))
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "talker", Turn("user", "Which is larger?", album))
    assert answer.text == sentence("talker")
    assert answer.noted == (Turn("user", f'<data from="pictures i1 i2">\n{sentence("eye")}\n</data>'),)
    assert "looking at one.png, two.png with eye" in answer.progress


async def test_a_model_with_eyes_looks_itself(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "eye", Turn("user", "What is it?", (photo(tmp_path),)))
    assert (answer.text, answer.noted) == (sentence("eye"), ())
    assert not [line for line in answer.progress if "looking" in line]


async def test_a_model_that_is_wrongly_said_to_see_is_told_instead(tmp_path: Path) -> None:
    async with agent(tmp_path, Wished(sees="eye")) as asked:
        answer = await answered(asked, "blind", Turn("user", "What is it?", (photo(tmp_path),)))
        assert asked._manners == {"blind": Manner(tools=True, sees=False)}
    assert answer.text == sentence("talker")
    assert sentence("eye") in answer.noted[0].text


async def test_two_tools_are_called_and_the_answer_follows(tmp_path: Path) -> None:
    before = (Turn("user", "look", (photo(tmp_path),)), Turn("assistant", "yes"))
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "caller", *before, Turn("user", "And the models?"))
    assert answer.text.strip() == BOTH
    assert any("looking at photo.png with eye" in line for line in answer.progress)
    assert any("asking for the models' states" in line for line in answer.progress)
    assert answer.noted == (Turn("user", f'<data from="picture photo.png">\n{sentence("eye")}\n</data>'),)


async def test_a_model_whose_engine_refuses_tools_is_asked_without(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        for _ in range(2):
            answer = await answered(asked, "strict", Turn("user", "Hello!"))
            assert (answer.text, answer.noted) == (sentence("strict"), ())
        assert asked._manners == {"strict": Manner(tools=False)}


async def test_a_model_that_calls_the_same_again_and_again_is_stopped(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = await answered(asked, "stubborn", Turn("user", "Hello!"))
    assert answer.progress.count("asking for the models' states") == 1
    assert isinstance(answer.events[-1], Finished | Failed)


async def test_a_page_cannot_end_the_marks_around_it(tmp_path: Path) -> None:
    async with site() as (where, _), agent(tmp_path, allowed=["127.0.0.1"]) as asked:
        url = f"http://127.0.0.1:{where.port}/end"
        gguf.write_model(MODELS / "fetcher.gguf", call("fetch_page", url=url), then=BOTH)
        answer = await answered(asked, "fetcher", Turn("user", "What is the weather?"))
        assert where.asked == ["127.0.0.1/end"]
    assert f"reading {url}" in answer.progress
    assert answer.text.strip() == BOTH


async def test_a_step_that_has_to_be_the_last_calls_nothing(tmp_path: Path) -> None:
    async with agent(tmp_path, limits=Limits(steps=1)) as asked:
        answer = await answered(asked, "stubborn", Turn("user", "Hello!"))
    assert not [line for line in answer.progress if "states" in line]
    assert isinstance(answer.events[-1], Finished | Failed)


async def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    async with agent(tmp_path, limits=Limits(tokens=50)) as asked:
        answer = await answered(asked, "talker", Turn("user", "LOOP"))
    assert answer.text.endswith("is cut off here.)_")
    assert answer.text.count(" loop") <= 51
    assert answer.noted == ()


async def test_time_is_limited_too(tmp_path: Path) -> None:
    async with agent(tmp_path, limits=Limits(seconds=1.0, tokens=10**9)) as asked:
        answer = await answered(asked, "talker", Turn("user", "LOOP"))
    assert answer.failed.code == "too_long"
    await asyncio.to_thread(until, lambda: leases("talker") == 0, "the model is let go")


async def test_an_answer_that_is_given_up_lets_everything_go(tmp_path: Path) -> None:
    async with agent(tmp_path) as asked:
        answer = asked.answer(Request("talker", "", (Turn("user", "LOOP"),)))
        async for event in answer:
            if isinstance(event, Text):
                break
        await answer.aclose()
        await asyncio.to_thread(until, lambda: leases("talker") == 0, "the model is let go")


async def test_failures_are_said_in_plain_words(tmp_path: Path) -> None:
    async with agent(tmp_path, Wished(hears="gone")) as asked:
        assert (await answered(asked, "nobody", Turn("user", "Hi"))).failed.code == "model_not_found"
        deaf = (await answered(asked, "talker", Turn("user", "", (voice(tmp_path),)))).failed
    assert deaf.message == "No model here can transcribe speech."
    async with agent(tmp_path, url="http://127.0.0.1:9") as asked:
        away = (await answered(asked, "talker", Turn("user", "Hi"))).failed
    assert (away.code, away.message) == ("router_unreachable", "The model server does not answer.")


async def test_thoughts_come_apart_from_the_answer(tmp_path: Path) -> None:
    asked = Turn("user", "THINK")
    async with agent(tmp_path) as other:
        answer = await answered(other, "talker", asked)
    assert (answer.thoughts, answer.text) == ("Hmm, hmm.", sentence("talker"))


async def test_dialogues_do_not_mix(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(6)]
    for folder in folders:
        folder.mkdir()
    async with agent(tmp_path) as asked:
        models = ["talker", "eye", "strict"] * 2
        turns = [Turn("user", "", (voice(folder),)) for folder in folders]
        answers = await asyncio.gather(*(answered(asked, *one) for one in zip(models, turns, strict=True)))
    assert [answer.text.strip() for answer in answers] == [sentence(model) for model in models]
    assert all(answer.noted == (Turn("user", sentence("ear")),) for answer in answers)
