"""vLLM (its stand-in) and llama-server take turns on a GPU, and vLLM's processes go when they are to go."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import Load, ask, chat, configure, journal, rest_of, run, sentence, show, state, wait_for, watching
from tests.lab import media
from tests.lab.exposition import Scraped
from tests.media.sight import look
from tests.vllm.rig import (
    ASR,
    MISSION,
    SAID,
    SEEN,
    VL,
    active,
    engine,
    held,
    processes,
    talking,
    transcribe,
    unit,
    with_env,
)

PACKED = "gpus: {0: {policy: pack}}\n" + MISSION
SHARED = PACKED.replace("devstral.gguf,", "devstral.gguf, gpu_memory: 30%,")


@pytest.fixture(autouse=True)
def _clean(standin_and_devstral: None) -> Iterator[None]:  # noqa: ARG001
    house.reset()
    configure(MISSION)
    yield
    house.reset()


def most_resident() -> int:
    """How many models held GPU memory at once, at most, since the router started."""
    resident: set[str] = set()
    most = 0
    for change in ask("GET", "/api/models").json["changes"]:
        holds = change["new"] in {"starting", "ready", "draining", "stopping"}
        (resident.add if holds else resident.discard)(change["model"])
        most = max(most, len(resident))
    return most


def test_llama_and_vllm_take_turns_and_the_gpu_never_has_two() -> None:
    for _ in range(2):
        assert chat("code").content == sentence("devstral")
        assert active() == ["llama@devstral.service"]
        assert transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg())).json["text"] == SAID
        assert active() == [unit(ASR)]
        assert chat("vision").content == SEEN
        assert active() == [unit(VL)]
    assert chat("devstral").content == sentence("devstral")
    assert most_resident() == 1
    assert f"{VL}: stopped -> starting" in journal("swapper", f"MODEL={VL}")


def test_a_swap_waits_for_a_stream_of_vllm_and_the_stream_ends_whole() -> None:
    assert chat("vision").status == 200
    with held(VL) as go_on, talking("vision", 800) as response:
        with watching(VL, "draining") as draining:
            answers: list[str] = []
            asking = threading.Thread(target=lambda: answers.append(chat("devstral").content))
            asking.start()
            draining()
        assert show(unit(VL), "ActiveState") == "active"
        assert answers == []
        go_on()
        data, whole = rest_of(response)
    assert whole
    assert data.endswith(b"data: [DONE]\n\n")
    assert data.count(b" loop") == 800
    asking.join(house.PATIENCE)
    assert answers == [sentence("devstral")]
    assert show(unit(VL), "Result") == "success"


@pytest.mark.parametrize("on_term", ["hang", "abort"])
def test_a_stop_by_hand_while_a_stream_is_open_ends_in_seconds(on_term: str) -> None:
    configure(with_env(VL, {"STANDIN_ON_TERM": on_term}))
    with talking("vision", 100_000) as response:
        group = processes(unit(VL))
        began = time.monotonic()
        run("systemctl", "stop", unit(VL))
        took = time.monotonic() - began
        data, whole = rest_of(response)
    assert took < 10, f"{took:.1f} s"
    assert show(unit(VL), "Result") == "success", "it was not systemd's patience that ended"
    assert not whole, data[-300:]
    assert b'"code": "model_stopped"' in data or b'"code": "engine_broke_off"' in data
    assert b"[DONE]" not in data
    assert b'"abort"' not in data
    assert not any(Path("/proc", str(pid)).exists() for pid in group)
    assert chat("vision").content == SEEN


def test_a_stop_by_hand_while_a_client_does_not_read_ends_in_seconds() -> None:
    configure(with_env(VL, {"STANDIN_TOKEN_SECONDS": "0"}))
    with talking("vision", 200_000):  # 20 MB: more than all the buffers on the way
        began = time.monotonic()
        run("systemctl", "stop", unit(VL))
        assert time.monotonic() - began < 10
    assert show(unit(VL), "Result") == "success"


def test_all_processes_go_with_the_unit() -> None:
    chat("vision")
    group = processes(unit(VL))
    assert sorted(group.values()) == ["VLLM::EngineCor", "swapper-sidecar", "vllm"], group
    folder = Path("/sys/fs/cgroup" + show(unit(VL), "ControlGroup"))
    run("systemctl", "stop", unit(VL))
    assert processes(unit(VL)) == {}
    assert not folder.exists()
    assert not any(Path("/proc", str(pid)).exists() for pid in group)


@pytest.mark.parametrize("which", ["vllm", "VLLM::EngineCor"])
def test_when_one_process_dies_the_others_go_too_and_the_next_request_works(which: str) -> None:
    with talking("vision", 100_000) as response:
        group = processes(unit(VL))
        os.kill(next(pid for pid, name in group.items() if name == which), signal.SIGKILL)
        data, whole = rest_of(response)
    assert not whole
    assert b'"error": {' in data
    wait_for(VL, "failed")
    assert processes(unit(VL)) == {}
    assert chat("vision").content == SEEN


def test_the_socket_file_that_vllm_leaves_behind_does_not_break_the_next_start() -> None:
    socket = Path(f"/run/swapper/vllm@{ASR}/http.sock")
    starts = set()
    for end in ("stop", "kill", "restart", "stop"):
        assert chat("asr").content == SAID
        assert socket.is_socket()
        starts.add(show(unit(ASR), "InvocationID"))
        if end == "kill":
            with watching(ASR, "failed") as failed:
                run("systemctl", "kill", "--signal=KILL", unit(ASR))
                failed()
        else:
            run("systemctl", end, unit(ASR))
    assert len(starts) == 4
    assert not socket.exists()


def test_two_models_of_vllm_share_a_gpu_where_its_policy_is_pack() -> None:
    configure(PACKED)
    assert chat("asr").content == SAID
    assert chat("vision").content == SEEN
    assert active() == [unit(ASR), unit(VL)]
    assert (state(ASR), state(VL)) == ("ready", "ready")
    before = show(unit(ASR), "InvocationID"), show(unit(VL), "InvocationID")
    for _ in range(3):
        assert (chat("asr").content, chat("vision").content) == (SAID, SEEN)
    assert (show(unit(ASR), "InvocationID"), show(unit(VL), "InvocationID")) == before


def comings_and_goings() -> dict[str, float]:
    """How often models were started and stopped since the router runs."""
    scraped = Scraped.read(ask("GET", "/metrics").body.decode())
    return {name: scraped.get(f"swapper_model_{name}_total") for name in ("starts", "stops")}


def dialogue() -> None:
    """A recording, and then a picture, as somebody sends them who talks to a bot."""
    assert transcribe(("model", "asr"), ("file", "voice.ogg", media.ogg())).json["text"] == SAID
    assert look(media.data_url("image/png", media.png())).content == SEEN


def test_a_dialogue_of_voice_and_pictures_swaps_nothing_where_both_models_fit() -> None:
    configure(PACKED)
    dialogue()
    before = show(unit(ASR), "InvocationID"), show(unit(VL), "InvocationID")
    counts = comings_and_goings()
    assert counts == {"starts": 2, "stops": 0}
    for _ in range(5):
        dialogue()
    assert active() == [unit(ASR), unit(VL)]
    assert (show(unit(ASR), "InvocationID"), show(unit(VL), "InvocationID")) == before
    assert comings_and_goings() == counts


def test_a_dialogue_of_voice_and_pictures_swaps_every_time_where_one_model_may_be_there() -> None:
    for _ in range(3):
        dialogue()
    assert active() == [unit(VL)]
    assert comings_and_goings() == {"starts": 6, "stops": 5}
    assert most_resident() == 1


def test_who_speaks_and_shows_at_once_never_has_both_models_there_where_one_may_be() -> None:
    with Load(ASR, clients=2) as hearing, Load(VL, clients=2) as seeing:
        hearing.answers(20)
        seeing.answers(20)
    assert set(hearing.statuses) == set(seeing.statuses) == {"200"}, (hearing.failures, seeing.failures)
    assert comings_and_goings()["stops"] >= 1
    assert most_resident() == 1


def test_a_model_that_takes_the_whole_gpu_makes_both_of_them_go() -> None:
    configure(PACKED)
    assert (chat("asr").content, chat("vision").content) == (SAID, SEEN)
    assert chat("devstral").content == sentence("devstral")
    assert active() == ["llama@devstral.service"]


def test_a_model_that_fits_beside_them_makes_nobody_go() -> None:
    configure(SHARED)
    assert (chat("asr").content, chat("vision").content) == (SAID, SEEN)
    assert chat("devstral").content == sentence("devstral")
    assert active() == ["llama@devstral.service", unit(ASR), unit(VL)]


def test_where_three_do_not_fit_only_the_one_that_waited_longest_goes() -> None:
    configure(SHARED.replace("gpu_memory: 30%", "gpu_memory: 50%", 1))
    assert chat("vision").content == SEEN
    assert chat("asr").content == SAID
    assert chat("devstral").content == sentence("devstral")
    assert active() == ["llama@devstral.service", unit(ASR)]


def test_models_start_one_after_the_other_on_a_gpu_that_they_share() -> None:
    configure(PACKED)
    answers: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda name=name: answers.update({name: chat(name).content})) for name in (ASR, VL)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(house.PATIENCE)
    assert answers == {ASR: SAID, VL: SEEN}
    starting: set[str] = set()
    for change in ask("GET", "/api/models").json["changes"]:
        (starting.add if change["new"] == "starting" else starting.discard)(change["model"])
        assert len(starting) <= 1, "vLLM measures the GPU's memory while it starts, and must be alone then"


def test_a_crowded_gpu_still_answers_each_request_from_the_right_model() -> None:
    said = {"devstral": sentence("devstral"), ASR: SAID, VL: SEEN}
    wrong: list[str] = []

    def ask_in_turn(names: list[str]) -> None:
        for name in names:
            content = chat(name).content
            if content != said[name]:
                wrong.append(f"{name}: {content}")

    orders = [["devstral", VL, ASR], [ASR, "devstral", VL], [VL, ASR, "devstral"]]
    threads = [threading.Thread(target=ask_in_turn, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * house.PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert most_resident() == 1


def test_the_engine_is_asked_by_its_first_name_too() -> None:
    chat("vision")
    names = [entry["id"] for entry in engine(VL, "GET", "/v1/models").json["data"]]
    assert names == [VL, "qwen3-vl-4b-vllm", "vision", "vl", "ocr"]
