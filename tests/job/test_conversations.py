"""Conversations that outlast a stop, where a model keeps them: by a swap, by hand, and whatever goes wrong with it.

How much of a prompt an engine had to read is what it says itself (`timings` of llama-server's answers).
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.bare import UnixConnection
from tests.job import house
from tests.job.house import BASIC, MODELS, chat, configure, journal, main_pid, run, sentence, show, stream
from tests.job.mishaps import nothing_is_left, override
from tests.lab.mmproj import write_projector
from tests.system.look import as_user

UNIT = "llama@alpha"
KEPT = Path("/var/cache/swapper/conversations")
MINE = KEPT / UNIT
SHOWN = Path("/run/swapper/llama@alpha/conversations")
KEEPING = BASIC.replace("aliases: [first]", "aliases: [first], keep_conversations: true")
ONE, OTHER = "x y " * 1000, "z w " * 1000
LONG = 4000
"""Tokens that each of them has at least: each letter, and each blank, is one."""


@pytest.fixture(autouse=True)
def keeping() -> Iterator[None]:
    """Alpha keeps its conversations, and has none yet."""
    forget_all()
    configure(KEEPING)
    yield
    house.reset()
    forget_all()


def forget_all() -> None:
    for folder in KEPT.iterdir():
        shutil.rmtree(folder)


def prompt(model: str, text: str) -> tuple[int, int]:
    """Say something; how many tokens of the prompt the engine read, and how many it had in mind."""
    answer = chat(model, text)
    assert answer.content == sentence(model)
    return answer.json["timings"]["prompt_n"], answer.json["timings"]["cache_n"]


def begun(text: str = ONE) -> None:
    """Begin a long conversation with alpha."""
    assert prompt("alpha", text)[0] > LONG


def goes_on(text: str = ONE) -> None:
    """It costs nothing to go on with it."""
    read, known = prompt("alpha", f"{text} and more")
    assert (read < 100, known > LONG) == (True, True), (read, known)


def is_lost(text: str = ONE) -> None:
    """It is answered all the same, at its whole price."""
    read, known = prompt("alpha", f"{text} and more")
    assert (read > LONG, known < 100) == (True, True), (read, known)


def files() -> list[str]:
    return sorted(path.name for path in MINE.iterdir())


def said(text: str) -> bool:
    return text in journal(UNIT)


def test_over_a_swap_and_back() -> None:
    begun()
    assert prompt("beta", "Hello!")[1] == 0
    assert show(UNIT, "ActiveState") == "inactive"
    assert files() == ["0", "made-of"]
    goes_on()
    assert said("kept 1 conversation: ")
    assert said("took up 1 conversation: ")
    nothing_is_left()


def test_as_many_as_there_are_slots() -> None:
    begun(ONE)
    begun(OTHER)
    prompt("beta", "Hello!")
    goes_on(OTHER)
    goes_on(ONE)
    prompt("beta", "Hello!")
    goes_on(ONE)
    goes_on(OTHER)
    assert files() == ["0", "1", "made-of"]


def test_a_short_one_in_between_takes_nothing_away() -> None:
    begun()
    prompt("alpha", "Hello!")
    prompt("beta", "Hello!")
    goes_on()


def test_over_a_restart_by_hand_and_without_a_router() -> None:
    begun()
    run("systemctl", "stop", "swapper.service")
    run("systemctl", "restart", UNIT)
    goes_on()


def test_one_that_was_taken_up_and_not_continued_is_kept_as_it_was() -> None:
    begun()
    run("systemctl", "restart", UNIT)
    run("systemctl", "restart", UNIT)
    goes_on()


def test_not_unless_that_is_said() -> None:
    configure(BASIC)
    begun()
    run("systemctl", "restart", UNIT)
    is_lost()
    assert not MINE.exists()
    assert "slot-save-path" not in show(UNIT, "ExecStart")
    assert show(UNIT, "ExecStop") == show(UNIT, "ExecStartPost") == ""


def test_no_other_model_and_no_other_user_sees_them() -> None:
    configure(KEEPING.replace("gamma.gguf,", "gamma.gguf, keep_conversations: true,"))
    begun()
    run("systemctl", "restart", UNIT)
    prompt("gamma", "Hello!")
    inside = ("setpriv", "--reuid=swapper-engine", "--regid=swapper", "--clear-groups", "ls")
    alpha, gamma = (("nsenter", f"--target={main_pid(f'llama@{name}')}", "--mount") for name in ("alpha", "gamma"))
    assert run(*alpha, *inside, str(SHOWN)).split() == ["0", "made-of"]
    for where in (alpha, gamma):
        assert "Permission denied" in run(*where, *inside, str(MINE), check=False)
    assert run(*gamma, *inside, str(SHOWN)) == ""
    for user in ("swapper", "nobody"):
        assert as_user(user, lambda: next(MINE.iterdir())) == 13


@pytest.mark.parametrize("left", [0, 20, 100_000])
def test_a_damaged_file_is_told_and_removed(left: int) -> None:
    begun()
    run("systemctl", "stop", UNIT)
    os.truncate(MINE / "0", left)
    is_lost()
    assert said("the conversation in slot 0 is lost, and its prompt is paid again: Unable to restore slot")
    assert files() == ["made-of"]
    run("systemctl", "restart", UNIT)
    goes_on()


def test_what_an_engine_did_not_survive_is_not_tried_again() -> None:
    begun()
    run("systemctl", "stop", UNIT)
    (MINE / "0").rename(MINE / "0.trying")
    (MINE / "1.part").touch()
    is_lost()
    assert said("the engine did not end reading it")
    assert files() == ["made-of"]


def test_those_of_another_model_are_not_taken_up() -> None:
    begun()
    run("systemctl", "stop", UNIT)
    os.utime(MODELS / "alpha.gguf")
    is_lost()
    assert said("not taken up: 1 conversation from before the model or its settings changed")
    run("systemctl", "stop", UNIT)
    configure(KEEPING.replace("context: 65536", "context: 32768"))
    is_lost()


def test_an_engine_that_was_killed_leaves_those_of_its_last_stop() -> None:
    begun()
    run("systemctl", "restart", UNIT)
    os.kill(main_pid(UNIT), signal.SIGKILL)
    house.until(lambda: show(UNIT, "ActiveState") == "failed", "systemd sees it")
    run("systemctl", "reset-failed", UNIT)
    goes_on()


@contextlib.contextmanager
def disk(size: int) -> Iterator[None]:
    """A disk of so many bytes for what alpha keeps."""
    run("systemctl", "stop", UNIT)
    MINE.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "test-disk", str(MINE))
    try:
        yield
    finally:
        run("systemctl", "stop", UNIT)
        run("umount", str(MINE))


def test_a_full_disk_costs_the_conversation_and_not_the_stop() -> None:
    with disk(256 << 10):
        begun()
        prompt("beta", "Hello!")
        assert show(UNIT, "Result") == "success"
        assert said("the conversation in slot 0 is not kept: Unable to save slot")
        assert files() == ["made-of"]
        is_lost()


def test_a_disk_that_cannot_be_written_to_costs_the_conversation_and_not_the_stop() -> None:
    with disk(64 << 20):
        begun()
        run("mount", "-o", "remount,ro", str(MINE))
        prompt("beta", "Hello!")
        assert show(UNIT, "Result") == "success"
        assert said("the conversation in slot 0 is not kept: Unable to save slot")
        run("mount", "-o", "remount,rw", str(MINE))
        is_lost()


def test_a_stop_by_hand_cuts_off_who_still_speaks_and_keeps_what_was_said() -> None:
    begun()
    with stream("alpha"):
        run("systemctl", "stop", UNIT)
    assert show(UNIT, "Result") == "success"
    goes_on()


def test_who_does_not_come_by_the_router_and_still_speaks_is_not_waited_for() -> None:
    begun()
    with contextlib.closing(UnixConnection(str(SHOWN.with_name("http.sock")))) as connection:
        body = json.dumps(house.question("alpha", "LOOP", stream=True, max_tokens=2_000_000))
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        assert connection.getresponse().readline().startswith(b"data: ")
        run("systemctl", "stop", UNIT)
    run("systemctl", "reset-failed", UNIT, check=False)
    assert said("the conversation in slot 1 is not kept: it still goes on")
    goes_on()


def test_an_engine_that_hangs_is_stopped_as_ever() -> None:
    # Of its usual ten seconds the keeper takes eight: a busy machine could have it ended before it can tell.
    with override(UNIT, "WatchdogSec=0\nTimeoutStopSec=20"):
        begun()
        os.kill(main_pid(UNIT), signal.SIGSTOP)
        prompt("beta", "Hello!")
        assert said("there was no more time for it")
    is_lost()


def test_an_engine_that_tells_nothing_of_its_slots_serves_all_the_same() -> None:
    configure(KEEPING.replace("keep_conversations", "args: [--no-slots], keep_conversations"))
    begun()
    run("systemctl", "restart", UNIT)
    assert said("no more of what was said is kept: This server does not support slots endpoint")
    is_lost()


def test_a_model_that_sees_keeps_what_was_said_in_words() -> None:
    projector = MODELS / "alpha-mmproj.gguf"
    write_projector(projector, "vision")
    configure(KEEPING.replace("keep_conversations", f"mmproj: {projector.name}, keep_conversations"))
    begun()
    run("systemctl", "restart", UNIT)
    goes_on()
    house.reset()
    projector.unlink()


def test_what_nobody_took_up_for_four_weeks_goes() -> None:
    begun(ONE)
    begun(OTHER)
    run("systemctl", "stop", UNIT)
    run("touch", "--date=3 weeks ago", str(MINE / "1"))
    run("touch", "--date=5 weeks ago", str(MINE / "0"), str(MINE / "made-of"), str(MINE))
    subprocess.run(["systemd-tmpfiles", "--clean"], check=False, capture_output=True)
    assert files() == ["1", "made-of"]
    goes_on(OTHER)
    is_lost(ONE)
