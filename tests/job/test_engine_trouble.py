"""Engines that run out of memory, end while they load, load for ever, or answer their health check and nothing else.

What each client is told, what becomes of the others on that GPU, and that the next request works.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.job import house
from tests.job.house import (
    BASIC,
    ask,
    chat,
    configure,
    connect,
    main_pid,
    rest_of,
    run,
    sentence,
    show,
    state,
    stream,
    until,
)
from tests.job.mishaps import (
    Question,
    agree,
    begun,
    detail,
    gate,
    nothing_is_left,
    out_of_memory,
    override,
    standing_still,
)
from tests.lab.hold import held

LARGE_MB = 1000


def with_settings(settings: str) -> str:
    """The usual models, with more said of alpha."""
    return BASIC.replace("aliases: [first]", f"aliases: [first], {settings}")


@pytest.fixture
def large() -> Iterator[None]:
    """A model of a gigabyte, which its engine reads into memory of its own."""
    path = house.write_gguf("large", size_mb=LARGE_MB)
    configure(f"{BASIC}  large: {{engine: llama, model: large.gguf, context: 2048, args: [-lm, none]}}\n")
    yield
    house.reset()
    path.unlink()


# Memory. An engine that asks for it and is refused; and the host, or the unit's MemoryMax=, that has no more: there
# systemd's verdict is `oom-kill`. The machine has no memory controller, so that who kills is a double (out_of_memory).


@pytest.mark.usefixtures("large")
def test_an_engine_that_gets_no_memory_for_its_model_says_so_and_loads_once_there_is_some() -> None:
    """As CUDA's "out of memory" does it: the allocation fails, and the engine ends by itself."""
    with override("llama@large", f"LimitAS={LARGE_MB}M"):
        answer = chat("large")
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        assert any("insufficient memory" in line for line in answer.error["journal"]), answer.error
        assert int(answer.headers["Retry-After"]) >= 1
        assert state("large") == "failed"
        assert chat("alpha").content == sentence("alpha")
        agree()
    until(lambda: chat("large").status == 200, "it loads")
    nothing_is_left()


def test_an_engine_that_gets_no_memory_while_it_serves_fails_that_request_alone() -> None:
    chat("alpha")
    pid = main_pid("llama@alpha")
    user = ("setpriv", "--reuid=swapper-engine", "--regid=swapper", "--init-groups")
    run(*user, "prlimit", "--pid", str(pid), "--as=4096")
    answer = chat("alpha", "y " * 1000)
    assert answer.status == 500, answer.body
    assert b"bad_alloc" in answer.body
    assert chat("alpha").content == sentence("alpha")
    assert main_pid("llama@alpha") == pid
    nothing_is_left()


def test_an_engine_that_is_killed_for_memory_while_it_answers_is_told_so_and_starts_anew() -> None:
    with stream("alpha") as response:
        waiting = Question("beta")
        until(lambda: detail("beta", "waiting") == 1, "somebody waits for the GPU")
        out_of_memory("llama@alpha")
        data, whole = rest_of(response)
    assert not whole
    assert b'"code": "engine_broke_off"' in data
    assert b"it ran out of memory (oom-kill)" in data
    assert show("llama@alpha", "Result") == "oom-kill"
    assert waiting.answer.content == sentence("beta"), "who waited for its GPU has it"
    assert state("alpha") == "failed"
    assert "ran out of memory" in ask("GET", "/api/models/alpha").json["failure"]["message"]
    agree()
    until(lambda: chat("alpha").status == 200, "it loads")
    nothing_is_left()


@pytest.mark.usefixtures("large")
def test_an_engine_that_is_killed_for_memory_while_it_loads_fails_those_who_wait_with_the_reason() -> None:
    with standing_still("large"):
        asked = [Question("large"), Question("large")]
        until(lambda: detail("large", "waiting") == 2, "both wait for it")
        begun("large")
        out_of_memory("llama@large")
        answers = [one.answer for one in asked]
    for answer in answers:
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        assert "it ran out of memory (oom-kill)" in answer.error["message"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert chat("alpha").content == sentence("alpha")
    agree()
    until(lambda: chat("large").status == 200, "it loads")
    nothing_is_left()


# Loading.


def test_an_engine_that_exits_while_it_loads_is_told_with_its_status_and_its_words() -> None:
    configure(with_settings("args: [--no-such-argument]"))
    answer = chat("alpha")
    assert (answer.status, answer.error["code"]) == (503, "model_failed")
    assert "exit status 1" in answer.error["message"]
    assert any("--no-such-argument" in line for line in answer.error["journal"]), answer.error
    assert chat("beta").content == sentence("beta")
    agree()
    configure(BASIC)
    until(lambda: chat("alpha").status == 200, "it loads")


@pytest.mark.usefixtures("large")
def test_an_engine_that_crashes_while_it_loads_is_told_with_the_signal() -> None:
    with standing_still("large"):
        asked = Question("large")
        begun("large")
        os.kill(main_pid("llama@large"), signal.SIGSEGV)
        answer = asked.answer
    assert (answer.status, answer.error["code"]) == (503, "model_failed")
    assert "killed by SIGSEGV" in answer.error["message"]
    agree()
    until(lambda: chat("large").status == 200, "it loads")


def test_an_engine_that_is_never_ready_is_ended_after_its_load_timeout() -> None:
    configure(with_settings("load_timeout: 10s"))  # the load in the end has to be done in that time, too
    with override("llama@alpha", "ExecStart=\nExecStart=/bin/sleep infinity"):
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        assert "was not ready within 10 s (timeout)" in answer.error["message"]
        assert chat("beta").content == sentence("beta")
        assert state("alpha") == "failed"
        agree()
    until(lambda: chat("alpha").status == 200, "it loads")


def test_where_systemd_waits_without_limit_the_router_does_not() -> None:
    """An administrator's `TimeoutStartSec=infinity` does not make the GPU wait without end: 15 s more is all."""
    configure(with_settings("load_timeout: 10s"))
    with gate("llama@alpha", "TimeoutStartSec=infinity\nExecStartPre"):
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "model_load_timeout")
        assert chat("beta").content == sentence("beta")
        assert state("alpha") == "failed"
    until(lambda: chat("alpha").status == 200, "it loads")


# Healthy, and deaf to requests: its main thread, which does the work, is held; others answer /health. So SIGTERM does
# nothing either, and systemd kills it after its TimeoutStopSec=, which is shortened here.


def test_clients_of_an_engine_that_does_not_answer_may_leave_and_then_others_have_the_gpu() -> None:
    chat("alpha")
    with override("llama@alpha", "TimeoutStopSec=1"), held(main_pid("llama@alpha")):
        connection = connect()
        connection.request("POST", "/v1/chat/completions", b'{"model": "alpha", "messages": []}')
        until(lambda: detail("alpha", "leases") == 1, "the request is under way")
        waiting = Question("beta")
        until(lambda: detail("beta", "waiting") == 1, "somebody waits for the GPU")
        assert state("alpha") in {"ready", "draining"}
        connection.close()
        assert waiting.answer.content == sentence("beta")
    assert show("llama@alpha", "ActiveState") in {"inactive", "failed"}
    assert chat("alpha").content == sentence("alpha")
    nothing_is_left()


def test_whoever_waits_for_the_gpu_of_an_engine_that_does_not_answer_is_told_after_its_drain_timeout() -> None:
    configure(with_settings("drain_timeout: 1s"))
    chat("alpha")
    with held(main_pid("llama@alpha")):
        silent = Question("alpha")
        until(lambda: detail("alpha", "leases") == 1, "the request is under way")
        answer = chat("beta")
        assert (answer.status, answer.error["code"]) == (503, "model_busy")
        assert "alpha was still answering after 1 s" in answer.error["message"]
        assert chat("gamma").content == sentence("gamma"), "another GPU has nothing to do with it"
        assert not silent.over
    assert silent.answer.content == sentence("alpha")
    assert chat("beta").content == sentence("beta")


def test_an_unload_ends_an_engine_that_does_not_answer_after_its_drain_timeout() -> None:
    configure(with_settings("drain_timeout: 10s"))  # within which the unload has to come: beta would give up after it
    chat("alpha")
    with override("llama@alpha", "TimeoutStopSec=1"), held(main_pid("llama@alpha")):
        silent = Question("alpha")
        until(lambda: detail("alpha", "leases") == 1, "the request is under way")
        waiting = Question("beta")
        unloaded = ask("POST", "/api/models/alpha/unload")
        assert unloaded.status == 200, unloaded.body
        answer = silent.answer
        assert (answer.status, answer.error["code"]) == (503, "model_unloaded")
        assert waiting.answer.content == sentence("beta")
    assert chat("alpha").content == sentence("alpha")
    nothing_is_left()
