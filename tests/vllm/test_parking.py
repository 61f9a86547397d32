"""Models of vLLM (its stand-in) that are parked when others need their place, and woken when they are asked for."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import MODELS, ask, chat, configure, journal, run, sentence, show, state, until, watching
from tests.lab import media
from tests.vllm.rig import ASR, FOLDERS, MISSION, SAID, SEEN, VL, engine, held, talking, transcribe, unit

PARKED = MISSION.replace("engine: vllm,", "engine: vllm, on_swap: park,")
TALKS = {"messages": [{"role": "user", "content": "Hello!"}]}
DROPIN = Path("/run/systemd/system/swapper.service.d/50-meminfo.conf")
MEMINFO = Path("/run/swapper-test-meminfo")


@pytest.fixture(autouse=True)
def _clean(standin_and_devstral: None) -> Iterator[None]:  # noqa: ARG001
    house.reset()
    configure(PARKED)
    yield
    house.reset()


def hear() -> str:
    """What the model that hears makes of a recording."""
    text: str = transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg())).json["text"]
    return text


def invocation(model: str) -> str:
    """Systemd's name for the run of a model's unit."""
    return show(unit(model), "InvocationID")


def asleep(model: str) -> bool:
    """What the engine itself says."""
    said: bool = engine(model, "GET", "/is_sleeping").json["is_sleeping"]
    return said


def with_env(model: str, variable: str) -> str:
    """The configuration, with a variable in the environment of one model."""
    folder = FOLDERS[model]
    return PARKED.replace(f"model: {folder},", f"model: {folder}, env: {{{variable}}},")


def test_a_swap_parks_and_wakes_and_no_process_ends() -> None:
    assert chat("vision").content == SEEN
    assert hear() == SAID
    runs = invocation(VL), invocation(ASR)
    assert (state(VL), state(ASR)) == ("parked", "ready")
    assert (asleep(VL), asleep(ASR)) == (True, False)
    assert show(unit(VL), "ActiveState") == "active"
    model = ask("GET", f"/api/models/{VL}").json
    assert model["reason"] == f"parked: makes room for {ASR}"
    assert chat("vision").content == SEEN
    assert (state(VL), state(ASR)) == ("ready", "parked")
    assert (invocation(VL), invocation(ASR)) == runs
    assert chat("devstral").content == sentence("devstral")
    assert (state(VL), state(ASR)) == ("parked", "parked")
    assert chat("vision").content == SEEN
    assert state("devstral") == "stopped", "llama-server is stopped, as ever"
    assert (invocation(VL), invocation(ASR)) == runs


def test_the_second_level_loads_the_weights_again() -> None:
    configure(PARKED.replace("on_swap: park,", "on_swap: park, park_level: 2,"))
    assert chat("vision").content == SEEN
    run_of_it = invocation(VL)
    assert hear() == SAID
    assert state(VL) == "parked"
    assert chat("vision").content == SEEN
    assert invocation(VL) == run_of_it


def test_no_request_reaches_a_model_that_sleeps() -> None:
    failed: list[str] = []

    def talk(model: str) -> None:
        for _ in range(8):
            answer = chat(model)
            if answer.status != 200 or (SEEN not in answer.content and SAID not in answer.content):
                failed.append(f"{model}: {answer.body!r}")

    configure("turns: {min_hold: 0s, swap_share: 100%}\n" + PARKED)
    end = time.monotonic() + house.PATIENCE
    while [change["new"] for change in ask("GET", "/api/models").json["changes"]].count("parked") < 6:
        assert time.monotonic() < end, "they do not take turns"
        threads = [threading.Thread(target=talk, args=(model,)) for model in (VL, ASR, "vision", "asr")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(house.PATIENCE)
        assert not failed
    for model in (VL, ASR):
        assert engine(model, "GET", "/standin/slept").json["disturbed"] == 0


def test_it_drains_before_it_is_parked() -> None:
    heard: list[str] = []
    asking = threading.Thread(target=lambda: heard.append(hear()))
    with talking("vision", 100_000):  # until its client leaves
        with watching(VL, "draining") as draining:
            asking.start()
            draining()
        assert not asleep(VL)
        assert state(VL) == "draining"
    asking.join(house.PATIENCE)
    assert heard == [SAID]
    assert state(VL) == "parked"
    assert asleep(VL)


def test_an_engine_that_does_not_park_is_stopped() -> None:
    configure(with_env(VL, "STANDIN_SLEEP: refuse"))
    assert chat("vision").content == SEEN
    assert hear() == SAID
    assert (state(VL), show(unit(VL), "ActiveState")) == ("stopped", "inactive")
    assert "it could not be parked: POST /sleep?level=1 of qwen3-vl-4b was answered with 500" in journal("swapper")


def test_an_engine_that_does_not_wake_is_started_anew() -> None:
    configure(with_env(VL, "STANDIN_WAKE: refuse"))
    assert chat("vision").content == SEEN
    run_of_it = invocation(VL)
    assert hear() == SAID
    assert state(VL) == "parked"
    assert chat("vision").content == SEEN
    assert invocation(VL) != run_of_it
    assert "POST /wake_up of qwen3-vl-4b was answered with 500" in journal("swapper")


def test_an_engine_that_ends_while_it_is_parked_is_started_by_the_next_request() -> None:
    assert chat("vision").content == SEEN
    assert hear() == SAID
    with watching(VL, "failed") as failed:
        run("systemctl", "kill", "--signal=KILL", unit(VL))
        failed()
    assert chat("vision").content == SEEN
    assert hear() == SAID
    with watching(VL, "stopped") as stopped:
        run("systemctl", "stop", unit(VL))
        stopped()
    assert chat("vision").content == SEEN


def test_a_router_that_comes_back_knows_who_is_parked() -> None:
    assert chat("vision").content == SEEN
    assert hear() == SAID
    runs = invocation(VL), invocation(ASR)
    run("systemctl", "kill", "--signal=KILL", "swapper.service")
    until(lambda: (state(VL), state(ASR)) == ("parked", "ready"), "both are known")
    assert ask("GET", f"/api/models/{VL}").json["reason"] == "adopted: it was parked already"
    assert chat("vision").content == SEEN
    assert (invocation(VL), invocation(ASR)) == runs
    assert state(ASR) == "parked"


def test_a_router_that_comes_back_waits_for_what_an_engine_is_just_doing() -> None:
    assert chat("vision").content == SEEN
    run_of_it = invocation(VL)
    heard: list[int] = []

    def swap_to(ask_for: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: heard.append(_status_of(ask_for)))
        thread.start()
        return thread

    for other, comes in (("asr", "parked"), ("vision", "ready")):
        with held(VL) as go_on:
            asking = swap_to(other)
            until(lambda: bool(slept()["at_work"]), "the engine does something about it")
            asked = slept()["asked"]
            run("systemctl", "kill", "--signal=KILL", "swapper.service")
            until(lambda asked=asked: slept()["asked"] > asked, "it is asked what it is")  # type: ignore[misc]
            go_on()
        asking.join(house.PATIENCE)
        until(lambda comes=comes: state(VL) == comes, f"it is taken over as {comes}")  # type: ignore[misc]
    assert chat("vision").content == SEEN
    assert invocation(VL) == run_of_it
    assert slept()["disturbed"] == 0


def slept() -> dict[str, int]:
    """What the model that sees says of its sleep."""
    told: dict[str, int] = engine(VL, "GET", "/standin/slept").json
    return told


def _status_of(model: str) -> int:
    """How a request ends whose router is killed meanwhile: 0 for a connection that broke."""
    try:
        return chat(model).status
    except (ConnectionError, http.client.HTTPException):
        return 0


def test_an_operator_ends_a_parked_model() -> None:
    assert chat("vision").content == SEEN
    assert hear() == SAID
    assert ask("POST", f"/api/models/{VL}/unload").status == 200
    assert (state(VL), show(unit(VL), "ActiveState")) == ("stopped", "inactive")
    assert state(ASR) == "ready"


def test_an_operator_parks_a_model_and_the_next_request_wakes_it() -> None:
    assert chat("vision").content == SEEN
    run_of_it = invocation(VL)
    assert run("swapperctl", "park", "vision") == f"{VL} is parked\n"
    assert (state(VL), asleep(VL), invocation(VL)) == ("parked", True, run_of_it)
    assert ask("GET", f"/api/models/{VL}").json["reason"] == "parked: an operator wants its GPU memory"
    assert ask("POST", f"/api/models/{VL}/park").json["state"] == "parked", "it is already"
    assert chat("vision").content == SEEN
    assert (state(VL), invocation(VL)) == ("ready", run_of_it)


def test_an_operator_is_told_who_cannot_be_parked() -> None:
    told = ask("POST", f"/api/models/{VL}/park")
    assert (told.status, told.error["code"]) == (409, "model_not_parked")
    assert told.error["message"] == f"{VL} is stopped, and a model is parked when it is ready."
    assert chat("devstral").content == sentence("devstral")
    told = ask("POST", "/api/models/devstral/park")
    assert (told.status, told.error["message"]) == (409, "devstral is not to be parked.")
    configure(with_env(VL, "STANDIN_SLEEP: refuse"))
    assert chat("vision").content == SEEN
    told = ask("POST", f"/api/models/{VL}/park")
    assert (told.status, told.error["message"]) == (409, f"{VL} was stopped: it could not be parked.")


def test_another_configuration_ends_a_parked_model() -> None:
    assert chat("vision").content == SEEN
    assert hear() == SAID
    with watching(VL, "stopped") as stopped:
        configure(PARKED.replace("context: 16384", "context: 8192"))
        stopped()
    assert chat("vision").content == SEEN


@contextlib.contextmanager
def weights(size: int) -> Iterator[None]:
    """Both models' weights are so large."""
    files = [MODELS / folder / "model.safetensors" for folder in ("qwen3-asr", "qwen3-vl-vllm")]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(bytes(size))
    try:
        yield
    finally:
        for file, data in zip(files, before, strict=True):
            file.write_bytes(data)


def test_parked_models_take_no_more_than_their_memory() -> None:
    with weights(600):
        configure("router: {park_memory: 1kB}\n" + PARKED)
        assert chat("vision").content == SEEN
        assert hear() == SAID
        with watching(VL, "stopped") as stopped:
            assert chat("devstral").content == sentence("devstral")
            stopped()
        assert state(ASR) == "parked", "the other one was parked before it"
        assert "the longest parked, and others need its part of park_memory" in journal("swapper", f"MODEL={VL}")
    with weights(2000):
        configure("router: {park_memory: 1kB}\n" + PARKED.replace("context: 8192", "context: 4096"))
        assert hear() == SAID
        assert chat("devstral").content == sentence("devstral")
        assert state(ASR) == "stopped", "it does not even fit alone"


@contextlib.contextmanager
def host_memory() -> Iterator[None]:
    """The router reads a file of ours as /proc/meminfo: a host whose memory fills up is not to be had."""
    DROPIN.parent.mkdir(parents=True, exist_ok=True)
    MEMINFO.write_text("MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n")
    keeps = [line for line in run("systemctl", "cat", "swapper.service").splitlines() if line.startswith("OpenFile=")]
    ours = [line for line in keeps if ":meminfo" not in line] + [f"OpenFile={MEMINFO}:meminfo:read-only"]
    DROPIN.write_text("\n".join(["[Service]", "OpenFile=", *ours, ""]))
    try:
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "swapper.service")
        yield
    finally:
        DROPIN.unlink()
        MEMINFO.unlink()
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "swapper.service")


def test_who_was_parked_first_goes_when_the_hosts_memory_runs_short() -> None:
    with host_memory():
        assert chat("vision").content == SEEN
        assert hear() == SAID
        assert chat("devstral").content == sentence("devstral")
        assert (state(VL), state(ASR)) == ("parked", "parked")
        with watching(VL, "stopping") as stopping, watching(VL, "stopped") as stopped:
            MEMINFO.write_text("MemTotal: 1000000 kB\nMemAvailable:  40000 kB\n")
            stopping()
            # At once: where it is still short a few seconds later, the next one goes.
            MEMINFO.write_text("MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n")
            stopped()
        assert state(ASR) == "parked"
        assert "the host's memory runs short" in journal("swapper", f"MODEL={VL}")
        assert hear() == SAID


@pytest.mark.parametrize("path", ["/sleep", "/sleep?level=1", "/wake_up", "/is_sleeping", "/collective_rpc"])
def test_nobody_but_the_router_puts_an_engine_to_sleep(path: str) -> None:
    assert chat("vision").content == SEEN
    for where in (path, f"/upstream/{VL}{path}"):
        for method in ("GET", "POST"):
            assert ask(method, where, {}).status in {403, 404, 405}
    assert not asleep(VL)
    assert show(unit(VL), "ActiveState") == "active"
    assert state(VL) == "ready"
