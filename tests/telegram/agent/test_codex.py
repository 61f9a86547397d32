"""Codex as the agent: the real client over its app server's protocol, the installed router, real engines."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.telegram.agent.base import Ask, Request, Turn
from swapper.telegram.agent.choose import Wished
from swapper.telegram.agent.codex import ALLOW, REFUSE, Codex, CodexAgent
from swapper.telegram.agent.limits import Limits
from tests.clients import rig as clients
from tests.job import house
from tests.job.house import ask, sentence
from tests.telegram.agent.rig import URL, Answer, agent, voice

PROGRAM = os.environ.get("SWAPPER_TEST_CLIENTS_CODEX", "")
if not PROGRAM:
    pytest.skip("it is not here: run tests/run --clients", allow_module_level=True)

OUTSIDE = Path("/var/lib/outside")
BREAKER = f"""
  breaker:
    engine: llama
    model: breaker.gguf
    context: 65536
    gpu: 1
    args: [--chat-template-file, {house.MODELS / clients.TEMPLATE}]
"""
TRIED = "Tried!"


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    before = house.CONFIG.read_text()
    clients.write_models()
    clients.write_caller("breaker", "exec_command", {"cmd": f"touch {OUTSIDE}"}, TRIED)
    house.reset()
    house.configure(clients.CONFIG.rstrip() + BREAKER)
    yield
    house.reset()
    house.configure(before)


async def answered(folder: Path, model: str, *turns: Turn, reply: str = REFUSE, **more: str) -> Answer:
    """Ask Codex; what it asks gets this reply."""
    codex = Codex(folder / "home", URL, program=PROGRAM, **more)
    request = Request(model, "", turns, folder=folder / "work")
    answer = Answer()
    async with agent(folder, Wished(hears="ear")) as made:
        async for event in CodexAgent(made._bench, codex, Limits(seconds=120)).answer(request):
            answer.events.append(event)
            if isinstance(event, Ask):
                event.reply.set_result(reply)
    return answer


async def test_a_question_is_answered_with_what_was_said_before(tmp_path: Path) -> None:
    turns = (Turn("user", "Hello!"), Turn("assistant", "Hi."), Turn("user", "And again?"))
    answer = await answered(tmp_path, "coder", *turns)
    assert answer.text == sentence("coder")
    assert answer.noted == ()
    assert ask("GET", "/api/models/coder").json["leases"] == 0


async def test_a_voice_message_is_heard_first(tmp_path: Path) -> None:
    answer = await answered(tmp_path, "coder", Turn("user", "", (voice(tmp_path),)))
    assert answer.text == sentence("coder")
    assert answer.noted == (Turn("user", sentence("ear")),)


@pytest.mark.parametrize("reply", [ALLOW, REFUSE])
async def test_a_person_is_asked_before_a_command_runs(tmp_path: Path, reply: str) -> None:
    answer = await answered(tmp_path, "agent", Turn("user", "make it"), reply=reply, approval="untrusted")
    (question,) = [event for event in answer.events if isinstance(event, Ask)]
    assert "touch made" in question.question
    assert (tmp_path / "work" / "made").exists() is (reply == ALLOW)
    assert answer.text == clients.DONE


async def test_a_model_that_there_is_not_is_a_failure_in_plain_words(tmp_path: Path) -> None:
    failed = (await answered(tmp_path, "no-such-model", Turn("user", "Hello!"))).failed
    assert (failed.code, failed.message) == ("codex_failed", "Codex could not answer that.")


async def test_an_answer_that_is_given_up_while_it_asks_ends_the_process(tmp_path: Path) -> None:
    codex = Codex(tmp_path / "home", URL, program=PROGRAM, approval="untrusted")
    request = Request("agent", "", (Turn("user", "make it"),), folder=tmp_path / "work")
    async with agent(tmp_path) as made:
        answer = CodexAgent(made._bench, codex).answer(request)
        async for event in answer:
            if isinstance(event, Ask):
                break
        await answer.aclose()
    assert str(tmp_path) not in house.run("ps", "axe")
    assert not exists(tmp_path / "work" / "made")


def exists(path: Path) -> bool:
    return path.exists()


async def test_commands_run_in_the_chats_directory(tmp_path: Path) -> None:
    answer = await answered(tmp_path, "agent", Turn("user", "make it"))
    assert any("touch made" in line for line in answer.progress)
    assert answer.text == clients.DONE
    assert exists(tmp_path / "work" / "made")


async def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    answer = await answered(tmp_path, "breaker", Turn("user", "break out"))
    assert answer.text == TRIED
    assert not exists(OUTSIDE)
