"""What the scheduler is told of the configuration, with the pins that systemd has."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from swapper.config import Config, GpuSettings, Group, Model, RouterSettings, Rule, Share
from swapper.core.model import Demand, Policy
from swapper.router.specs import applied

CONFIG = Config(
    gpus=(GpuSettings(0, None, Policy.PACK), GpuSettings(1)),
    models=(
        Model("a", "llama", Path("/a"), gpu_memory=Share(300_000)),
        Model("b", "llama", Path("/b"), gpu_memory=Share(400_000)),
        Model("c", "llama", Path("/c"), gpus=(1,)),
    ),
    groups=(Group("talk", Rule.ALWAYS, ("a", "b")), Group("heavy", Rule.NEVER, ("b", "c"))),
)


def test_a_pin_in_the_unit_counts_and_leaves_groups_as_they_are() -> None:
    event = applied(CONFIG, {"a": (0,), "b": (2,)})
    assert [spec.demands for spec in event.models] == [
        (Demand(0, 300_000),), (Demand(2, 400_000), Demand(-1)), (Demand(1), Demand(-1)),
    ]  # fmt: skip
    assert [gpu.group for gpu in event.gpus] == ["", "", "heavy"]


def test_models_of_vllm_start_early_unless_that_is_turned_off_and_their_units_are_the_same() -> None:
    config = Config(models=(Model("a", "llama", Path("/a")), Model("v", "vllm", Path("/v"))))
    off = replace(config, router=RouterSettings(early_start=False))
    assert [spec.early for spec in applied(config, {}).models] == [False, True]
    assert [spec.early for spec in applied(off, {}).models] == [False, False]
    assert [spec.fingerprint for spec in applied(off, {}).models] == [s.fingerprint for s in applied(config, {}).models]


def test_pins_that_part_who_is_always_together_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        applied(CONFIG, {})
        assert caplog.messages == []
        applied(CONFIG, {"a": (1,), "b": (1,)})
    assert caplog.messages == [
        "group talk: a, b do not fit together where their units are pinned, so each is loaded for itself"
    ]
