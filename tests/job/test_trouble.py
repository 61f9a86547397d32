"""What goes wrong: by hand, by signals, by files. Each error says what happened, and the next request works."""

import math
import os
import signal
import threading
import time
from pathlib import Path

from tests.job.house import (
    BASIC,
    CONFIG,
    MODELS,
    Answer,
    Load,
    ask,
    chat,
    configure,
    journal,
    main_pid,
    rest_of,
    run,
    sentence,
    show,
    state,
    stream,
    until,
    wait_for,
    watching,
    write_gguf,
)


def test_a_stop_by_hand_gives_a_clear_error_and_the_next_request_starts_it_again() -> None:
    with stream("alpha") as response:
        run("systemctl", "stop", "llama@alpha")
        data, whole = rest_of(response)
    assert not whole
    assert b'"code": "model_stopped"' in data
    assert chat("alpha").content == sentence("alpha")


def test_a_masked_unit_is_disabled() -> None:
    run("systemctl", "mask", "--runtime", "llama@alpha")
    try:
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "model_disabled")
        assert "systemctl unmask" in answer.error["hint"]
        assert state("alpha") == "disabled"
    finally:
        run("systemctl", "unmask", "--runtime", "llama@alpha")
    assert chat("alpha").content == sentence("alpha")


def test_the_router_killed_in_the_middle_of_a_stream_leaves_models_running() -> None:
    with stream("alpha"):
        invocation = show("llama@alpha", "InvocationID")
        run("systemctl", "kill", "--signal=KILL", "swapper.service")
    assert chat("alpha").content == sentence("alpha")
    assert show("llama@alpha", "InvocationID") == invocation
    assert ask("GET", "/api/models/alpha").json["reason"] == "adopted: it was running already"


def test_a_restart_under_load_refuses_no_connection() -> None:
    chat("alpha")
    with Load("alpha") as load:
        load.answers(20)
        for _ in range(3):
            run("systemctl", "restart", "swapper")
            load.answers(20)
    assert load.failures == []
    assert set(load.statuses) == {"200"}, load.statuses


def test_a_killed_engine_is_reported_and_the_next_request_works() -> None:
    with stream("alpha") as response:
        os.kill(main_pid("llama@alpha"), signal.SIGKILL)
        data, whole = rest_of(response)
    assert not whole
    assert b'"error": {' in data
    wait_for("alpha", "failed")
    assert "SIGKILL" in ask("GET", "/api/models/alpha").json["failure"]["message"]
    assert chat("alpha").content == sentence("alpha")


def test_a_hung_engine_is_ended_by_the_watchdog() -> None:
    chat("alpha")
    with watching("alpha", "failed") as failed:
        os.kill(main_pid("llama@alpha"), signal.SIGSTOP)
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(chat("alpha").status))
        asking.start()
        failed()
    asking.join(60)
    assert answers[0] in {502, 503}
    assert "Watchdog timeout" in journal("llama@alpha")
    assert chat("alpha").content == sentence("alpha")


def test_a_truncated_file_says_why_causes_no_storm_and_works_once_it_is_whole() -> None:
    path = write_gguf("alpha")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    loads = journal("llama@alpha").count("loading model")
    began = time.monotonic()
    try:
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        assert "exit status" in answer.error["message"]
        assert any("alpha.gguf" in line for line in answer.error["journal"]), answer.error
        for _ in range(20):
            again = chat("alpha")
            assert (again.status, again.error["code"]) == (503, "model_failed")
            assert "Retry-After" in again.headers
        # It is tried again after a second, and after twice as long each time: more often only if all this took long.
        more = int(math.log2(1 + time.monotonic() - began))
        assert journal("llama@alpha").count("loading model") - loads <= 4 + 2 * more
    finally:
        path.write_bytes(whole)
    assert chat("alpha").content == sentence("alpha")


def test_a_file_that_engines_may_not_read_works_as_soon_as_they_may() -> None:
    path = write_gguf("alpha")
    path.chmod(0o600)
    try:
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        assert any("Permission denied" in line for line in answer.error["journal"]), answer.error
    finally:
        path.chmod(0o644)
    assert chat("alpha").content == sentence("alpha")


def test_missing_and_unfinished_files_are_named() -> None:
    path = write_gguf("alpha")
    part = path.with_name("alpha.gguf.part")
    path.rename(part)
    try:
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "model_incomplete")
        assert str(part) in answer.error["message"]
        assert state("alpha") == "incomplete"
        away = MODELS / "elsewhere"
        part.rename(away)
        assert f"{path} is not there" in chat("alpha").error["message"]
        away.rename(part)
    finally:
        part.rename(path)
    assert chat("alpha").content == sentence("alpha")
    assert state("alpha") == "ready"


def test_a_vllm_folder_whose_index_names_shards_that_are_not_there() -> None:
    folder = MODELS / "half"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(index)
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"x")
    configure("models:\n  half: {engine: vllm, model: half}\n")
    answer = chat("half")
    assert (answer.status, answer.error["code"]) == (503, "model_incomplete")
    assert "model-00002-of-00002.safetensors" in answer.error["message"]


FIVE = """
models_dir: relative/path
gpus:
  0: {memory: lots}
models:
  alpha: {engine: lama, model: alpha.gguf}
  beta: {engine: llama, model: beta.gguf, contxt: 2048}
  gamma: {engine: llama, model: gamma.gguf, aliases: [beta]}
"""


def test_five_mistakes_are_all_reported_with_file_and_line_and_nothing_changes() -> None:
    chat("alpha")
    invocation = show("llama@alpha", "InvocationID")
    before = run("systemctl", "cat", "llama@alpha")
    CONFIG.write_text(FIVE)
    out = run("systemctl", "reload", "swapper", check=False)
    assert out != ""
    said = journal("swapper")
    for line in (2, 4, 6, 7, 8):
        assert f"swapper.yaml:{line}:" in said, said
    assert "did you mean" in said.lower()
    run("systemctl", "daemon-reload")
    assert run("systemctl", "cat", "llama@alpha") == before
    assert chat("alpha").content == sentence("alpha")
    assert chat("beta").content == sentence("beta")
    assert show("llama@alpha", "InvocationID") in {invocation, ""}


def test_a_router_that_starts_with_a_bad_configuration_goes_on_with_the_last_good_one() -> None:
    chat("alpha")
    invocation = show("llama@alpha", "InvocationID")
    CONFIG.write_text(FIVE)
    run("systemctl", "kill", "--signal=KILL", "swapper.service")
    assert chat("alpha").content == sentence("alpha")
    assert show("llama@alpha", "InvocationID") == invocation
    health = ask("GET", "/health").json
    assert health["status"] == "degraded"
    assert len(health["configuration"]) == 5


def test_where_no_configuration_was_ever_good_every_client_is_told() -> None:
    CONFIG.write_text(FIVE)
    run("rm", "--recursive", "/run/swapper-generator")
    answer = chat("alpha")
    assert (answer.status, answer.error["code"]) == (503, "config_invalid")
    assert "swapper.yaml:6" in answer.error["message"]
    CONFIG.write_text(BASIC)
    run("systemctl", "reload", "swapper")
    assert chat("alpha").content == sentence("alpha")


def test_a_reload_keeps_unchanged_models_and_changes_the_others() -> None:
    chat("alpha")
    chat("gamma")
    alpha, gamma = show("llama@alpha", "InvocationID"), show("llama@gamma", "InvocationID")
    with watching("gamma", "stopped") as stopped:
        configure(BASIC.replace("context: 2048, gpu: 1", "context: 1024, gpu: 1"))
        stopped()
    assert chat("alpha").content == sentence("alpha")
    assert show("llama@alpha", "InvocationID") == alpha
    assert chat("gamma").content == sentence("gamma")
    assert show("llama@gamma", "InvocationID") != gamma
    assert "--ctx-size 1024" in show("llama@gamma", "ExecStart")


def test_an_upgrade_under_load_refuses_no_connection_and_models_keep_running() -> None:
    new = sorted(map(str, Path(os.environ["SWAPPER_TEST_DEBS"]).glob("*+upgrade_all.deb")))
    chat("alpha")
    invocation = show("llama@alpha", "InvocationID")
    router = show("swapper.service", "InvocationID")
    with Load("alpha") as load:
        load.answers(20)
        run("dpkg", "--install", *new)
        load.answers(20)
    assert "upgrade" in run("dpkg-query", "--show", "--showformat=${Version}", "swapper")
    assert load.failures == []
    assert set(load.statuses) == {"200"}, load.statuses
    assert show("llama@alpha", "InvocationID") == invocation
    assert show("swapper.service", "InvocationID") != router
    until(lambda: show("swapper.service", "ActiveState") == "active", "the router runs the new version")


def test_a_request_whose_engine_is_killed_before_it_answers_is_told_by_what() -> None:
    # Loaded without a request: on a connection that was kept from one, an early end is taken for the connection's own.
    ask("POST", "/api/models/alpha/load")
    pid = main_pid("llama@alpha")
    os.kill(pid, signal.SIGSTOP)
    answers: list[Answer] = []
    with watching("alpha", "failed") as failed:
        asking = threading.Thread(target=lambda: answers.append(chat("alpha")))
        asking.start()
        until(lambda: ask("GET", "/api/models/alpha").json["leases"] == 1, "the request is under way")
        os.kill(pid, signal.SIGKILL)
        failed()
    asking.join(60)
    assert (answers[0].status, answers[0].error["code"]) == (503, "model_failed")
    assert "SIGKILL" in answers[0].error["message"]
    assert chat("alpha").content == sentence("alpha")
