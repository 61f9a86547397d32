"""Models of a profile that was ordered are on their way for the scheduler, before systemd has started them."""

import asyncio
from pathlib import Path

from swapper.config import Config, Model, Profile
from swapper.core.actions import StartUnit
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, UnitChanged
from swapper.core.invariants import validate
from swapper.core.model import State
from swapper.core.scheduler import Scheduler
from swapper.host.status import UnitStatus
from swapper.router.places import Places
from swapper.router.profiles import Profiles
from tests.core.playbook import NO_TURNS

NIGHT = "swapper-profile@night.target"


class House:
    """Models a and b on one GPU, of which b is the night's, and c on the last; a runs."""

    def __init__(self, gpus: tuple[int, ...] = (0,)) -> None:
        models = tuple(Model(name, "llama", Path("/m")) for name in ("a", "b"))
        models += (Model("c", "llama", Path("/m"), gpus=gpus[-1:]),)
        config = Config(models=models, profiles=(Profile("night", ("b", "gone")),))
        self.scheduler = Scheduler()
        self.started: list[str] = []
        self.says = ActiveState.INACTIVE
        self.profiles = Profiles(Places(config, self.scheduler), self.scheduler, self.handle)
        self.handle(ConfigApplied(tuple(map(config.spec, models)), (), NO_TURNS))
        self.handle(UnitChanged("a", ActiveState.ACTIVE, "1"))

    def handle(self, event: Event) -> None:
        actions = self.scheduler.handle(event, asyncio.get_running_loop().time())
        self.started += [action.model for action in actions if isinstance(action, StartUnit)]
        validate(self.scheduler)

    async def status(self, unit: str) -> UnitStatus:
        return UnitStatus(unit, active=self.says)

    async def order(self, *, begins: bool, target: str = NIGHT) -> None:
        self.profiles.ordered(target, begins, self.status)
        await asyncio.gather(*self.profiles._chores._tasks)

    def state(self, model: str) -> State:
        record = self.scheduler.record(model)
        assert record is not None
        return record.state


async def test_nobody_is_loaded_onto_room_that_is_made_for_a_profile() -> None:
    house = House()
    await house.order(begins=True)
    assert (house.state("a"), house.state("b")) == (State.STOPPING, State.STARTING)
    house.handle(RequestArrived(1, "a"))
    house.handle(UnitChanged("a", ActiveState.INACTIVE, "1"))
    assert house.started == []
    house.handle(UnitChanged("b", ActiveState.ACTIVATING, "2"))
    house.handle(UnitChanged("b", ActiveState.ACTIVE, "2"))
    await house.order(begins=False)
    assert house.state("b") is State.STOPPING, "it has been loaded, and now a is wanted again"


async def test_whoever_fits_beside_the_profile_is_left_alone() -> None:
    house = House(gpus=(0, 1))
    house.handle(UnitChanged("c", ActiveState.ACTIVE, "7"))
    await house.order(begins=True)
    assert (house.state("a"), house.state("c")) == (State.STOPPING, State.READY)


async def test_an_order_of_which_nothing_comes_leaves_nothing_behind() -> None:
    house = House()
    await house.order(begins=True)
    house.handle(UnitChanged("a", ActiveState.INACTIVE, "1"))
    house.handle(RequestArrived(1, "a"))
    assert house.started == []
    await house.order(begins=False)
    assert house.state("b") is State.STOPPED
    assert house.started == ["a"]


async def test_a_model_that_is_on_its_way_when_the_order_is_over_is_left_alone() -> None:
    house = House()
    await house.order(begins=True)
    house.says = ActiveState.ACTIVATING
    await house.order(begins=False)
    assert house.state("b") is State.STARTING


async def test_who_is_there_already_and_other_targets_are_no_matter() -> None:
    house = House()
    await house.order(begins=True, target="swapper-profile@day.target")
    assert house.state("b") is State.STOPPED
    house.handle(UnitChanged("a", ActiveState.INACTIVE, "1"))
    house.handle(UnitChanged("b", ActiveState.ACTIVE, "2"))
    await house.order(begins=True)
    await house.order(begins=False)
    assert house.state("b") is State.READY
    await house.profiles.close()
