"""Codex as the agent: the real client in its unit, the installed router, real engines."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swapper.telegram.agent.base import Ask, Medium, Request, Turn
from swapper.telegram.agent.choose import Wished
from swapper.telegram.agent.codex import ALLOW, REFUSE, Codex, CodexAgent
from swapper.telegram.agent.codex_server import STATE, CodexPlaces
from swapper.telegram.agent.codex_unit import KEY
from swapper.telegram.agent.limits import Limits
from tests.clients import rig as clients
from tests.job import house
from tests.job.house import ask, sentence
from tests.lab import codex
from tests.telegram.agent.rig import Answer, agent, voice, wordy
from tests.telegram.installed import rig as installed

PROGRAM = os.environ.get("SWAPPER_TEST_CLIENTS_CODEX", "")
if not PROGRAM:
    pytest.skip("it is not here: run tests/run --clients", allow_module_level=True)

CHAT, OTHER = "42", "-1001.7"
WORK = STATE / "chats" / CHAT / "work"
SECRET = STATE / "chats" / OTHER / "work" / "secret"
OUTSIDE = STATE / "chats" / CHAT / "outside"
TRIED = "Tried!"
HOSTNAME = Path("/etc/hostname").read_text()
ASKED = {"justification": "May I?", "sandbox_permissions": "require_escalated"}
"""In the order of the client's own schema, which is what the engine lets a model say."""
COMMANDS: dict[str, dict[str, str]] = {
    "maker": {"cmd": "touch made"},
    "breaker": {"cmd": "touch ../outside"},
    "asker": {"cmd": "touch ../outside", **ASKED},
    "thief": {"cmd": "cat ../../chats/*/work/secret /proc/*/fd/*/../*/work/secret /etc/hostname >found", **ASKED},
    "snoop": {"cmd": "cat /proc/*/environ ../../chats/*/work/secret >found"},
    "reader": {"cmd": "cp note.txt copied"},
    "dialer": {"cmd": "python3 -c 'import socket; socket.socket()' 2>error"},
}
"""Models, and the command that each runs whatever it is asked."""


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    before, bots = house.CONFIG.read_text(), installed.CONFIG.read_text()
    clients.write_models()
    for name, arguments in COMMANDS.items():
        clients.write_caller(name, "exec_command", dict(arguments), TRIED)
    house.reset()
    house.configure(clients.CONFIG + "".join(map(wordy, COMMANDS)))
    installed.CONFIG.write_text(f"codex: {{program: {json.dumps(PROGRAM)}}}\n")
    house.run("systemctl", "start", "swapper-codex.socket")
    yield
    house.run("systemctl", "stop", "swapper-codex.socket")
    house.reset()
    house.configure(before)
    installed.CONFIG.write_text(bots)
    shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    for chat in (CHAT, OTHER):
        shutil.rmtree(STATE / "chats" / chat, ignore_errors=True)


async def answered(
    folder: Path, model: str, *turns: Turn, reply: str = REFUSE, approval: str = "on-request", place: str = CHAT,
    key: str = "",
) -> Answer:
    """Ask Codex; what it asks gets this reply."""
    answer = Answer()
    async with agent(folder, Wished(hears="ear")) as made:
        answering = CodexAgent(made._bench, Codex(key, approval), Limits(seconds=120))
        async for event in answering.answer(Request(model, "", turns, place=place)):
            answer.events.append(event)
            if isinstance(event, Ask):
                event.reply.set_result(reply)
    return answer


def exists(path: Path) -> bool:
    return path.exists()


def units() -> str:
    """Those that run."""
    return house.run("systemctl", "list-units", "--plain", "--no-legend", "swapper-codex@*")


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


async def test_commands_run_in_the_chats_directory_which_is_kept(tmp_path: Path) -> None:
    answer = await answered(tmp_path, "maker", Turn("user", "make it"))
    assert any("touch made" in line for line in answer.progress)
    assert answer.text == TRIED
    assert exists(WORK / "made")
    await answered(tmp_path, "coder", Turn("user", "Hello!"))
    assert exists(WORK / "made")
    await CodexPlaces().forget(CHAT)
    assert not exists(WORK.parent)


async def test_a_file_that_comes_with_the_question_is_there(tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_text("noted")
    note = Medium("document", "text/plain", "note.txt", path)
    answer = await answered(tmp_path, "reader", Turn("user", "copy it", (note,)))
    assert answer.text == TRIED
    assert (WORK / "copied").read_text() == "noted"


async def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    answer = await answered(tmp_path, "breaker", Turn("user", "break out"))
    assert answer.text == TRIED
    assert not exists(OUTSIDE)


async def test_commands_have_no_network(tmp_path: Path) -> None:
    answer = await answered(tmp_path, "dialer", Turn("user", "call"))
    assert answer.text == TRIED
    assert "not permitted" in (WORK / "error").read_text()


@pytest.mark.parametrize("reply", [ALLOW, REFUSE])
async def test_a_person_is_asked_before_a_command_leaves_the_sandbox(tmp_path: Path, reply: str) -> None:
    answer = await answered(tmp_path, "asker", Turn("user", "break out"), reply=reply)
    (question,) = [event for event in answer.events if isinstance(event, Ask)]
    assert "touch ../outside" in question.question
    assert "May I?" in question.question
    assert answer.text == TRIED
    assert exists(OUTSIDE) is (reply == ALLOW)


@pytest.mark.parametrize("reply", [ALLOW, REFUSE])
async def test_a_person_may_be_asked_before_nearly_every_command(tmp_path: Path, reply: str) -> None:
    answer = await answered(tmp_path, "maker", Turn("user", "make it"), reply=reply, approval="untrusted")
    (question,) = [event for event in answer.events if isinstance(event, Ask)]
    assert "touch made" in question.question
    assert exists(WORK / "made") is (reply == ALLOW)
    assert answer.text == TRIED


async def test_what_a_person_allows_does_not_see_other_chats(tmp_path: Path) -> None:
    await answered(tmp_path, "coder", Turn("user", "Hello!"), place=OTHER)
    SECRET.write_text("secret")
    answer = await answered(tmp_path, "thief", Turn("user", "steal"), reply=ALLOW)
    assert answer.text == TRIED
    assert (WORK / "found").read_text() == HOSTNAME


async def test_commands_see_no_key_and_no_other_chat(tmp_path: Path) -> None:
    await answered(tmp_path, "coder", Turn("user", "Hello!"), place=OTHER)
    SECRET.write_text("secret")
    await answered(tmp_path, "snoop", Turn("user", "look around"), key="key-of-the-bot")
    found = (WORK / "found").read_text()
    assert "HOME=" in found
    assert KEY not in found
    assert "key-of-the-bot" not in found
    assert "secret" not in found


async def test_a_model_that_there_is_not_is_a_failure_in_plain_words(tmp_path: Path) -> None:
    failed = (await answered(tmp_path, "no-such-model", Turn("user", "Hello!"))).failed
    assert (failed.code, failed.message) == ("codex_failed", "Codex could not answer that.")


async def test_a_model_that_is_too_small_for_codex_is_told_as_that(tmp_path: Path) -> None:
    failed = (await answered(tmp_path, "writer", Turn("user", "Hello!"))).failed
    assert failed.code == "codex_context"


async def test_an_answer_that_is_given_up_while_it_asks_ends_the_process(tmp_path: Path) -> None:
    async with agent(tmp_path) as made:
        request = Request("maker", "", (Turn("user", "make it"),), place=CHAT)
        answer = CodexAgent(made._bench, Codex(approval="untrusted")).answer(request)
        async for event in answer:
            if isinstance(event, Ask):
                break
        assert units()
        await answer.aclose()
    house.until(lambda: not units(), "nothing runs any more")
    assert not exists(WORK / "made")


async def test_a_client_that_is_gone_is_told_with_what_to_do(tmp_path: Path) -> None:
    before = installed.CONFIG.read_text()
    installed.CONFIG.write_text("codex: {program: /usr/bin/no-such-codex}\n")
    try:
        failed = (await answered(tmp_path, "coder", Turn("user", "Hello!"))).failed
    finally:
        installed.CONFIG.write_text(before)
    assert failed.code == "codex_missing"
    assert "npm install --global @openai/codex" in failed.hint


def test_the_double_of_other_tests_says_what_the_client_may_say(tmp_path: Path) -> None:
    house.run("env", f"CODEX_HOME={tmp_path}", PROGRAM, "app-server", "generate-json-schema", "--out", str(tmp_path))
    known: dict[str, dict[str, Any]] = {}
    for name in ("ServerNotification", "ServerRequest"):
        schema = json.loads((tmp_path / f"{name}.json").read_text())
        for variant in schema["oneOf"]:
            kind = variant["properties"]["params"]["$ref"].rpartition("/")[2]
            known[variant["properties"]["method"]["enum"][0]] = schema["definitions"][kind]
    for said in [codex.asks("touch made"), *codex.says("Hello!")]:
        schema, params = known[said["method"]], said["params"]
        assert set(schema["required"]) <= params.keys() <= schema["properties"].keys(), said
    assert known.keys() >= {"item/reasoning/textDelta", "item/fileChange/requestApproval", "error"}
