"""Where a model runs while the configuration says something else already."""

from pathlib import Path

import pytest

from swapper.config import Config, Model
from swapper.core.actions import Action, Announce
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, UnitChanged
from swapper.core.model import Demand, Gpu, ModelSpec
from swapper.core.scheduler import Scheduler
from swapper.router.places import Places

OLD = Model("a", "llama", Path("/a.gguf"))
NEW = Model("a", "vllm", Path("/a"))


class Stage:
    """A model that runs as `OLD`."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.places = Places(Config(models=(OLD,)), self.scheduler)
        self.feed(ConfigApplied((self.spec(OLD),), (Gpu(0),)))
        self.feed(UnitChanged("a", ActiveState.ACTIVE, "1"))

    @staticmethod
    def spec(model: Model) -> ModelSpec:
        return ModelSpec(model.name, (Demand(0),), fingerprint=model.unit)

    def feed(self, event: Event) -> list[Action]:
        actions = self.scheduler.handle(event, 0.0)
        for action in actions:
            if isinstance(action, Announce):
                self.places.note(action)
        return actions

    def reconfigure(self, *models: Model) -> None:
        self.places.apply(Config(models=models))
        self.feed(ConfigApplied(tuple(self.spec(model) for model in models), (Gpu(0),)))


def test_a_model_that_moves_to_another_engine_is_stopped_where_it_was_and_started_where_it_is() -> None:
    stage = Stage()
    stage.reconfigure(NEW)
    assert stage.places.of("a") is OLD
    assert stage.places.socket("a") == str(OLD.socket)
    assert stage.places.at(OLD.unit) is OLD
    stage.feed(RequestArrived(1, "a"))
    stage.feed(UnitChanged("a", ActiveState.INACTIVE, "1"))
    assert stage.scheduler.record("a").state == "starting"  # type: ignore[union-attr]
    assert stage.places.of("a") is NEW
    assert stage.places.socket("a") == str(NEW.socket)
    assert stage.places.at(OLD.unit) is None


def test_a_model_that_is_removed_is_known_until_it_is_gone() -> None:
    stage = Stage()
    stage.reconfigure()
    assert stage.places.of("a") is OLD
    stage.feed(UnitChanged("a", ActiveState.INACTIVE, "1"))
    with pytest.raises(KeyError):
        stage.places.of("a")
