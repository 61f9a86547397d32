"""Settings as people read them: all that a model may have, with the place that each comes from."""

from pathlib import Path

import pytest

from swapper.config import load
from swapper.config.sections import Section
from swapper.core.events import ConfigApplied
from swapper.core.model import Demand, ModelSpec
from swapper.core.scheduler import Scheduler
from swapper.router.api.catalog import Catalog
from swapper.router.api.settings import SHOWN, settings
from swapper.router.api.views import Setting
from swapper.router.feed import Feed
from swapper.router.measured import Measured
from swapper.router.places import Places

TEXT = """
models:
  a:
    engine: llama
    model: /a.gguf
    gpu: [0, 1]
    gpu_memory: 30%
    ttl: 10m
    args: [--no-warmup]
    filters: {set: {temperature: 0.7}, strip: [top_k]}
"""


def test_every_key_that_a_model_may_have_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, set[str]] = {}
    close = Section.close

    def noted(section: Section) -> None:
        known[section.what] = set(section._known)
        close(section)

    monkeypatch.setattr(Section, "close", noted)
    file = tmp_path / "swapper.yaml"
    file.write_text(TEXT)
    load(file)
    assert known["model 'a'"] == set(SHOWN)


def shown(tmp_path: Path, *gpus: int) -> dict[str, Setting]:
    file = tmp_path / "swapper.yaml"
    file.write_text(TEXT)
    config, scheduler = load(file), Scheduler()
    places = Places(config, scheduler)
    scheduler.handle(ConfigApplied((ModelSpec("a", tuple(Demand(gpu) for gpu in gpus)),), ()), 0.0)
    catalog = Catalog(places, scheduler, Feed(), {}, 0, Measured(places, scheduler))
    return {each.name: each for each in settings(catalog, config.models[0])}


def test_values_are_for_people_and_places_are_lines(tmp_path: Path) -> None:
    said = shown(tmp_path, 0, 1)
    at = f"{tmp_path}/swapper.yaml"
    assert said["gpu"] == Setting("gpu", "0, 1", "configuration", f"{at}:6")
    assert said["gpu_memory"] == Setting("gpu_memory", "30%", "configuration", f"{at}:7")
    assert said["ttl"] == Setting("ttl", "600 s", "configuration", f"{at}:8")
    assert said["filters"].value == "set temperature: 0.7; strip top_k"
    assert said["queue"] == Setting("queue", "no limit", "default", "")


def test_a_pin_of_an_administrators_drop_in_is_what_counts(tmp_path: Path) -> None:
    said = shown(tmp_path, 1)
    assert said["gpu"] == Setting("gpu", "1", "unit", "CUDA_VISIBLE_DEVICES of llama@a.service")
