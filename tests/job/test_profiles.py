"""Profiles: a target loads a set of models, a timer does it by the clock, and the router takes note."""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import MODELS, ask, chat, configure, journal, run, sentence, show, stream, until, wait_for

PROFILES = """
gpus: {0: {policy: pack}}
models:
  big: {engine: llama, model: alpha.gguf, context: 2048, args: [--context-shift]}
  coder: {engine: llama, model: beta.gguf, context: 2048, gpu_memory: 60%}
  ears: {engine: llama, model: gamma.gguf, context: 2048, gpu_memory: 30%}
  tiny: {engine: llama, model: gamma.gguf, context: 2048, gpu_memory: 10%}
  eyes: {engine: llama, model: gamma.gguf, context: 2048, gpu_memory: 10%}
  apart: {engine: llama, model: gamma.gguf, context: 2048, gpu: 1}
profiles:
  night: [big]
  day: [coder, ears]
"""
NIGHT, DAY = "swapper-profile@night.target", "swapper-profile@day.target"
UNITS = Path("/run/systemd/system")
_JOB = re.compile(r"(Starting|Started|Stopping|Stopped) llama@(\w+)\.service")


@pytest.fixture(autouse=True)
def _configured(_clean: None) -> None:
    configure(PROFILES)


def start(profile: str) -> None:
    run("systemctl", "start", profile)


def resident() -> set[str]:
    """Models whose units are active."""
    listed = run("systemctl", "list-units", "--state=active", "--no-legend", "--plain", "llama@*")
    return {line.split()[0].removeprefix("llama@").removesuffix(".service") for line in listed.splitlines()}


def states() -> Mapping[str, str]:
    """Models that are anything but stopped, as the router has it."""
    models = ask("GET", "/api/models").json["models"]
    return {model["id"]: model["state"] for model in models if model["state"] != "stopped"}


def jobs() -> list[str]:
    """What systemd did with models since the day's profile was loaded last, such as `Starting coder`."""
    lines = journal("llama@*", "_PID=1").splitlines()
    told = [found.expand(r"\1 \2") for line in lines if (found := _JOB.match(line))]
    return told[max(place for place, what in enumerate(told) if what == "Started ears") :]


def agrees() -> bool:
    return states() == dict.fromkeys(resident(), "ready")


def test_a_profile_is_loaded_without_the_router_and_adopted_by_it() -> None:
    start(DAY)
    assert resident() == {"coder", "ears"}
    assert show("swapper", "ActiveState") == "inactive"
    assert agrees()
    assert chat("coder").content == sentence("beta")
    assert chat("ears").content == sentence("gamma")
    assert resident() == {"coder", "ears"}


def test_one_profile_replaces_the_other_and_the_router_agrees() -> None:
    assert chat("apart").content == sentence("gamma")
    for profile, wanted in ((DAY, {"coder", "ears"}), (NIGHT, {"big"}), (DAY, {"coder", "ears"})):
        start(profile)
        assert resident() == wanted | {"apart"}, "and what is on another GPU stays"
        until(agrees, "the router takes note")
    assert chat("coder").content == sentence("beta")
    assert chat("big").content == sentence("alpha")
    assert "had been stopped" not in journal("swapper", "--priority=err")


def test_what_fits_beside_a_profile_stays_and_what_might_not_goes() -> None:
    for model in ("tiny", "eyes"):
        assert chat(model).content == sentence("gamma")
    start(DAY)
    assert resident() == {"coder", "ears", "tiny"}
    until(agrees, "the router takes note")


def test_nothing_starts_before_there_is_room() -> None:
    start(DAY)
    start(NIGHT)
    told = jobs()
    begins = told.index("Starting big")
    assert {"Stopped coder", "Stopped ears"} <= set(told[:begins]), told


def test_models_on_one_gpu_are_loaded_one_after_the_other() -> None:
    start(DAY)
    first = int(show("llama@coder", "ActiveEnterTimestampMonotonic"))
    assert first <= int(show("llama@ears", "InactiveExitTimestampMonotonic"))


def test_what_requests_swapped_out_is_loaded_again_by_the_same_profile() -> None:
    start(DAY)
    assert chat("big").content == sentence("alpha")
    assert resident() == {"big"}
    start(DAY)
    assert resident() == {"coder", "ears"}
    run("systemctl", "stop", "llama@ears")
    start(DAY)
    assert resident() == {"coder", "ears"}
    until(agrees, "the router takes note")


def test_who_is_in_the_middle_of_an_answer_is_told_so() -> None:
    assert chat("big").content == sentence("alpha")
    with stream("big") as response:
        start(DAY)
        rest, _ = house.rest_of(response)
    assert b'"code": "model_stopped"' in rest
    wait_for("coder", "ready")


def test_clients_that_go_on_asking_do_not_get_in_between() -> None:
    house.write_gguf("slow", size_mb=300)
    configure(PROFILES.replace("model: alpha.gguf, context: 2048, args: [--context-shift]",
                               "model: slow.gguf, context: 2048, args: [-lm, none]"))  # fmt: skip
    start(DAY)
    with house.Load("coder") as load:
        load.answers(5)
        start(NIGHT)  # and it is reached: a start in between would have cancelled it
        load.answers(5)
    told = jobs()
    assert "Starting coder" not in told[: told.index("Started big")], told
    assert load.failures == []


def test_a_profile_is_over_once_it_is_there() -> None:
    start(NIGHT)
    until(lambda: show(NIGHT, "ActiveState") == "inactive", "the target is over")
    until(lambda: show("swapper-room@night.target", "ActiveState") == "inactive", "and its room, which nothing needs")
    assert resident() == {"big"}


def test_a_model_that_fails_keeps_the_others_from_nothing() -> None:
    gone = MODELS / "beta.gguf"
    kept = gone.rename(MODELS / "beta.kept")
    try:
        start(DAY)
        assert resident() == {"ears"}
        assert show("llama@coder", "ActiveState") == "failed"
    finally:
        kept.rename(gone)


def test_a_profile_that_nobody_configured_says_so() -> None:
    said = run("systemctl", "start", "swapper-profile@noon.target", check=False)
    assert "Assertion failed" in said
    assert show("swapper-profile@noon.target", "ActiveState") == "inactive"


@contextlib.contextmanager
def timer(text: str) -> Iterator[str]:
    """A timer as an administrator makes it."""
    path = UNITS / "test-night.timer"
    path.write_text(f"[Timer]\nAccuracySec=10ms\nUnit={NIGHT}\n{text}\n")
    run("systemctl", "daemon-reload")
    try:
        yield path.name
    finally:
        run("systemctl", "stop", path.name, check=False)
        path.unlink()
        run("systemctl", "daemon-reload")


def test_a_timer_changes_who_is_resident_again_and_again() -> None:
    start(DAY)
    assert chat("coder").content == sentence("beta")
    with timer("OnActiveSec=1s") as name:
        for _ in range(2):
            began = time.monotonic()
            run("systemctl", "restart", name)
            until(lambda: resident() == {"big"}, "the timer has loaded the night's profile")
            assert time.monotonic() - began >= 1
            until(agrees, "the router takes note")
            assert chat("big").content == sentence("alpha")
            assert chat("coder").content == sentence("beta")


def test_one_timer_elapses_every_time() -> None:
    with timer("OnActiveSec=100ms\nOnUnitInactiveSec=1s") as name:
        run("systemctl", "start", name)
        for _ in range(2):
            until(lambda: resident() == {"big"}, "the timer has loaded the night's profile")
            run("systemctl", "stop", "llama@big")


def test_the_router_may_not_start_profiles() -> None:
    for unit in (DAY, "swapper-room@day.target", "swapper-gpus.socket"):
        said = run("runuser", "-u", "swapper", "--", "systemctl", "--no-ask-password", "start", unit, check=False)
        assert "ccess denied" in said or "authentication required" in said.lower(), said
    assert resident() == set()
    run("runuser", "-u", "swapper", "--", "systemctl", "--no-ask-password", "start", "llama@tiny")
    assert resident() == {"tiny"}


def test_another_profile_is_no_reason_to_load_a_model_anew() -> None:
    start(DAY)
    assert agrees()
    before = {model: show(f"llama@{model}", "InvocationID") for model in ("coder", "ears")}
    configure(PROFILES.replace("day: [coder, ears]", "day: [tiny, coder, ears]"))
    assert chat("ears").content == sentence("gamma")
    assert {model: show(f"llama@{model}", "InvocationID") for model in before} == before
