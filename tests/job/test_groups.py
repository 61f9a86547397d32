"""Groups with real engines: models that are never there at the same time, and models that come and go as one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.job import house
from tests.job.house import Load, ask, chat, configure, run, sentence, show, state, wait_for, watching

NEVER = """
turns: {min_hold: 300ms, swap_share: 50%}
groups: {heavy: {never_together: [first, beta]}}
models:
  alpha: {engine: llama, model: alpha.gguf, context: 2048, gpu: [], aliases: [first]}
  beta: {engine: llama, model: beta.gguf, context: 2048, gpu: 1}
  gamma: {engine: llama, model: gamma.gguf, context: 2048, gpu: 1, gpu_memory: 10%}
"""
ALWAYS = """
gpus: {0: {policy: pack}}
groups: {talk: {always_together: [alpha, beta]}}
models:
  alpha: {engine: llama, model: alpha.gguf, context: 65536, gpu_memory: 30%}
  beta: {engine: llama, model: beta.gguf, context: 2048, gpu_memory: 40%}
  gamma: {engine: llama, model: gamma.gguf, context: 2048, gpu_memory: 50%}
"""
# systemd.journal-fields(7) and `journalctl --catalog` have them.
STARTING, STOPPED = "7d4958e842da4a758f6c1cdc7b36dcc5", "9d1aaa27d60140bd96365438aad20286"


def units(*models: str) -> Callable[[], list[tuple[str, str]]]:
    """From now on: which of these models' units began to start, and which had stopped, in systemd's own order."""
    run("journalctl", "--sync")
    cursor = run("journalctl", "--boot", "--lines=1", "--output=json", "--output-fields=__CURSOR")
    after = json.loads(cursor)["__CURSOR"]

    def told() -> list[tuple[str, str]]:
        run("journalctl", "--sync")
        match = [f"UNIT=llama@{model}.service" for model in models]
        lines = run("journalctl", "--boot", "--output=json", f"--after-cursor={after}", "_PID=1", *match)
        found = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
        kinds = {STARTING: "starting", STOPPED: "stopped"}
        return [
            (kinds[entry["MESSAGE_ID"]], entry["UNIT"].removeprefix("llama@").removesuffix(".service"))
            for entry in found
            if entry.get("MESSAGE_ID") in kinds
        ]

    return told


def details(model: str) -> dict[str, Any]:
    """A model as operators see it."""
    found: dict[str, Any] = ask("GET", f"/api/models/{model}").json
    return found


@pytest.fixture
def _together(_clean: None) -> None:
    configure(ALWAYS)
    assert chat("alpha").content == sentence("alpha")
    wait_for("beta", "ready")


def test_two_that_are_never_together_take_turns_though_they_share_no_gpu() -> None:
    configure(NEVER)
    told = units("alpha", "beta")
    with Load("alpha", clients=2) as one, Load("beta", clients=2) as other:
        for _ in range(4):
            one.answers(5)
            other.answers(5)
    assert one.failures == other.failures == []
    assert set(one.statuses) == set(other.statuses) == {"200"}
    there: set[str] = set()
    starts = 0
    for what, model in told():
        (there.add if what == "starting" else there.discard)(model)
        starts += what == "starting"
        assert len(there) <= 1, f"{there} are there at the same time"
    assert starts >= 4, "they took turns"
    assert [gpu["gpu"] for gpu in ask("GET", "/api/models").json["gpus"]] == [1], "the group's place is no GPU"


def test_why_it_goes_is_said_with_the_group() -> None:
    configure(NEVER)
    chat("alpha")
    assert details("alpha")["groups"] == [{"name": "heavy", "rule": "never_together", "models": ["alpha", "beta"]}]
    assert details("alpha")["gpus"] == []
    assert details("gamma")["groups"] == []
    chat("beta")
    changes = [change for change in ask("GET", "/api/models").json["changes"] if change["model"] == "alpha"]
    assert any(change["reason"].startswith("makes room for beta") for change in changes)
    assert "makes room for beta: never together with beta (group heavy)" in house.journal("swapper", "MODEL=alpha")
    assert "GPU -" not in house.journal("swapper")
    assert '"-1"' not in ask("GET", "/metrics").body.decode()


def test_started_by_hand_beside_one_that_it_is_never_with_it_stays_and_the_other_goes() -> None:
    configure(NEVER)
    chat("alpha")
    with watching("alpha", "stopped") as gone:
        run("systemctl", "start", "llama@beta")
        gone()
    wait_for("beta", "ready")
    assert state("alpha") == "stopped"


@pytest.mark.usefixtures("_together")
def test_one_request_loads_both_and_the_others_first_one_waits_for_no_load() -> None:
    told = units("alpha", "beta")
    answer = chat("beta")
    assert answer.content == sentence("beta")
    assert told() == [], "nothing had to be started"
    assert details("beta")["groups"] == [{"name": "talk", "rule": "always_together", "models": ["alpha", "beta"]}]


@pytest.mark.usefixtures("_together")
def test_a_third_one_that_needs_room_sends_both_away_and_one_request_brings_both_back() -> None:
    with watching("alpha", "stopped") as one, watching("beta", "stopped") as other:
        assert chat("gamma").content == sentence("gamma")
        one()
        other()
    told = units("alpha", "beta", "gamma")
    assert chat("beta").content == sentence("beta")
    wait_for("alpha", "ready")
    assert told() == [("stopped", "gamma"), ("starting", "beta"), ("starting", "alpha")]


@pytest.mark.usefixtures("_together")
def test_to_unload_one_is_to_unload_both() -> None:
    with watching("alpha", "stopped") as gone:
        assert ask("POST", "/api/models/beta/unload").json["state"] == "stopped"
        gone()


@pytest.mark.usefixtures("_together")
def test_one_stopped_by_hand_goes_alone_and_the_next_request_for_either_brings_it_back() -> None:
    run("systemctl", "stop", "llama@beta")
    wait_for("beta", "stopped")
    assert show("llama@alpha", "ActiveState") == "active"
    with watching("beta", "ready") as back:
        assert chat("alpha").content == sentence("alpha")
        back()


def test_one_that_cannot_be_started_keeps_the_other_from_nothing_and_is_not_tried_again_for_it() -> None:
    (house.MODELS / "broken.gguf").write_bytes(b"GGUF, but no model")
    configure(ALWAYS.replace("model: beta.gguf", "model: broken.gguf"))
    assert chat("alpha").content == sentence("alpha")
    wait_for("beta", "failed")
    tried = show("llama@beta", "InvocationID")
    for _ in range(3):
        assert chat("alpha").content == sentence("alpha")
    assert (show("llama@beta", "InvocationID"), state("beta")) == (tried, "failed")


def test_a_group_comes_and_goes_with_the_configuration_and_nothing_is_loaded_anew() -> None:
    configure(ALWAYS.replace("groups:", "# groups:"))
    chat("alpha")
    assert state("beta") == "stopped"
    alpha = show("llama@alpha", "InvocationID")
    configure(ALWAYS)
    with watching("beta", "ready") as came:
        chat("alpha")
        came()
    assert chat("beta").content == sentence("beta")
    configure(ALWAYS.replace("always_together", "never_together"))
    wait_for("alpha", "stopped")
    assert state("beta") == "ready", "of two that are there already, the one that was used last stays"
    assert chat("alpha").content == sentence("alpha")
    assert state("beta") == "stopped"
    assert show("llama@alpha", "InvocationID") != alpha
