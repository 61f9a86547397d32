"""Models that make room by being parked: who is, for how long, and what becomes of those who cannot be."""

from dataclasses import replace

import pytest

from swapper.core.actions import Action, Admit, ParkUnit, StartUnit, StopUnit, WakeUnit
from swapper.core.events import (
    ActiveState,
    ConfigApplied,
    MemoryShort,
    ParkAsked,
    Parked,
    UnitChanged,
    UnloadAsked,
    Weighed,
    Woken,
)
from swapper.core.model import Failure, ModelSpec, State
from swapper.core.reasons import Cause
from tests.core.playbook import Playbook, spec

FAILURE = Failure("model_failed", "It does not do that.")


class Hotel(Playbook):
    """A playbook whose host has memory for parked models."""

    memory = 100

    def configure(self, *models: ModelSpec) -> list[Action]:
        return self.feed(ConfigApplied(models, self.gpus, self.turns, self.memory))

    def weighs(self, model: str, weight: int) -> None:
        assert self.feed(Weighed(model, weight)) == []

    def parks(self, old: str, new: str) -> int:
        """A request for `new` has `old`, which is idle, parked and `new` started or woken."""
        request, actions = self.ask(new)
        assert actions[-1] == ParkUnit(old)
        assert self.state(old) is State.STOPPING
        [begun] = self.feed(Parked(old))
        assert self.state(old) is State.PARKED
        if begun == WakeUnit(new):
            assert self.feed(Woken(new)) == [Admit(request, new)]
        else:
            assert begun == StartUnit(new)
            assert self.comes_up(new)[-1] == Admit(request, new)
        self.over(request)
        return request


def parking(name: str) -> ModelSpec:
    return replace(spec(name), park=True)


def idle(*names: str, memory: int = 100) -> Hotel:
    """Models that may be parked, each of weight 40, the first of them ready and idle."""
    hotel = Hotel()
    hotel.memory = memory
    hotel.configure(*map(parking, names))
    for name in names:
        hotel.weighs(name, 40)
    hotel.over(hotel.ready(names[0]))
    return hotel


def test_a_model_is_parked_and_woken_by_the_request_that_wants_it() -> None:
    hotel = idle("a", "b")
    hotel.parks("a", "b")
    assert hotel.parks("b", "a")
    assert (hotel.state("a"), hotel.state("b")) == (State.READY, State.PARKED)
    record = hotel.scheduler.record("b")
    assert record is not None
    assert (str(record.reason), record.reason.cause) == ("parked: makes room for a", Cause.SWAP)


def test_nobody_gets_a_lease_before_it_has_woken() -> None:
    hotel = idle("a", "b")
    hotel.parks("a", "b")
    first, actions = hotel.ask("a")
    assert actions == [ParkUnit("b")]
    second, actions = hotel.ask("a")
    assert actions == []
    assert hotel.feed(Parked("b")) == [WakeUnit("a")]
    assert hotel.told("a", 2) == [], "what systemd says of its unit says nothing of the engine"
    assert hotel.feed(Woken("a")) == [Admit(first, "a"), Admit(second, "a")]


def test_a_busy_model_is_not_parked() -> None:
    hotel = idle("a", "b")
    request, _ = hotel.ask("a")
    _, actions = hotel.ask("b")
    assert actions == []
    assert hotel.state("a") is State.DRAINING
    assert hotel.over(request) == [ParkUnit("a")]


def test_a_parked_model_that_is_asked_for_while_it_parks_comes_back() -> None:
    hotel = idle("a", "b")
    other, actions = hotel.ask("b")
    assert actions == [ParkUnit("a")]
    again, actions = hotel.ask("a")
    assert actions == []
    hotel.over(other)
    assert hotel.feed(Parked("a")) == [WakeUnit("a")]
    assert hotel.feed(Woken("a")) == [Admit(again, "a")]


def test_who_was_parked_first_goes_when_one_more_does_not_fit() -> None:
    hotel = idle("a", "b", "c", "d")
    hotel.parks("a", "b")
    hotel.parks("b", "c")
    _, actions = hotel.ask("d")
    assert actions == [StopUnit("a", "the longest parked, and others need its part of park_memory"), ParkUnit("c")]
    assert (hotel.state("a"), hotel.state("b")) == (State.STOPPING, State.PARKED)
    assert hotel.feed(Parked("c")) == [StartUnit("d")], "one that sleeps holds no GPU while it stops"


def test_one_that_does_not_fit_alone_is_stopped() -> None:
    hotel = idle("a", "b", memory=30)
    _, actions = hotel.ask("b")
    assert [type(action) for action in actions] == [StopUnit]


@pytest.mark.parametrize("late", [False, True])
def test_an_engine_that_does_not_park_is_stopped(*, late: bool) -> None:
    hotel = idle("a", "b")
    request, _ = hotel.ask("b")
    actions = hotel.passes(76.0) if late else hotel.feed(Parked("a", FAILURE))
    assert [type(action) for action in actions] == [StopUnit]
    assert hotel.feed(Parked("a")) == [], "too late"
    assert hotel.goes_down("a") == [StartUnit("b")]
    assert hotel.comes_up("b") == [Admit(request, "b")]


def test_one_that_does_not_wake_is_started_anew_and_nobody_is_turned_away() -> None:
    hotel = idle("a", "b")
    hotel.parks("a", "b")
    request, _ = hotel.ask("a")
    assert hotel.feed(Parked("b")) == [WakeUnit("a")]
    [stop] = hotel.feed(Woken("a", FAILURE))
    assert isinstance(stop, StopUnit)
    assert hotel.goes_down("a") == [StartUnit("a")]
    assert hotel.comes_up("a") == [Admit(request, "a")]


def test_memory_that_runs_short_ends_one_after_the_other() -> None:
    hotel = idle("a", "b", "c")
    hotel.parks("a", "b")
    hotel.parks("b", "c")
    assert hotel.feed(MemoryShort()) == [StopUnit("a", "the host's memory runs short")]
    assert hotel.goes_down("a") == []
    assert hotel.feed(MemoryShort()) == [StopUnit("b", "the host's memory runs short")]
    assert hotel.feed(MemoryShort()) == []
    assert hotel.state("c") is State.READY


def test_an_operator_and_a_new_configuration_end_a_parked_model() -> None:
    hotel = idle("a", "b")
    hotel.parks("a", "b")
    assert [type(action) for action in hotel.feed(UnloadAsked("a"))] == [StopUnit]
    assert hotel.goes_down("a") == []
    assert hotel.state("a") is State.STOPPED
    hotel.parks("b", "a")
    assert [type(action) for action in hotel.configure(parking("a"))] == [StopUnit]
    assert hotel.goes_down("b") == []
    assert hotel.scheduler.record("b") is None


def test_one_that_runs_and_sleeps_is_taken_over_as_parked() -> None:
    hotel = Hotel(parking("a"))
    hotel.weighs("a", 40)
    assert hotel.feed(UnitChanged("a", ActiveState.ACTIVATING, "i1")) == []
    assert hotel.feed(UnitChanged("a", ActiveState.ACTIVE, "i1", parked=True)) == []
    assert hotel.state("a") is State.PARKED
    request, actions = hotel.ask("a")
    assert actions == [WakeUnit("a")]
    assert hotel.feed(Woken("a")) == [Admit(request, "a")]


def test_a_parked_engine_that_crashes_has_failed_and_starts_anew() -> None:
    hotel = idle("a", "b")
    hotel.parks("a", "b")
    assert hotel.unit("a", ActiveState.FAILED, failure=FAILURE) == []
    assert hotel.state("a") is State.FAILED
    _, actions = hotel.ask("a")
    assert actions == [ParkUnit("b")]
    assert hotel.feed(Parked("b")) == [StartUnit("a")]


def test_its_ttl_goes_on_while_it_is_parked() -> None:
    hotel = Hotel(replace(parking("a"), ttl=50.0), parking("b"))
    hotel.over(hotel.ready("a"))
    hotel.passes(20.0)
    hotel.parks("a", "b")
    assert hotel.passes(29.0) == []
    assert hotel.state("a") is State.PARKED
    assert hotel.passes(1.0) == [StopUnit("a", "idle for 50 s")]
    assert hotel.goes_down("a") == []


def test_one_that_is_taken_over_as_parked_has_its_ttl_from_then() -> None:
    hotel = Hotel(replace(parking("a"), ttl=50.0))
    hotel.feed(UnitChanged("a", ActiveState.ACTIVE, "i1", parked=True))
    assert hotel.passes(49.0) == []
    assert hotel.passes(1.0) == [StopUnit("a", "idle for 50 s")]


def test_other_ways_out_stop_it() -> None:
    hotel = Hotel(replace(parking("a"), ttl=5.0))
    hotel.over(hotel.ready("a"))
    [stop] = hotel.passes(5.0)
    assert isinstance(stop, StopUnit)


# ---- by an operator -------------------------------------------------------------------------------------------------


def test_an_operator_parks_one_and_the_next_request_wakes_it() -> None:
    hotel = idle("a", "b")
    request, _ = hotel.ask("a")
    assert hotel.feed(ParkAsked("a")) == []
    assert hotel.state("a") is State.DRAINING, "it drains first"
    assert hotel.over(request) == [ParkUnit("a")]
    assert hotel.feed(ParkAsked("a")) == [], "that is on its way"
    assert hotel.feed(Parked("a")) == []
    record = hotel.scheduler.record("a")
    assert record is not None
    reason = ("parked: an operator wants its GPU memory", Cause.OPERATOR)
    assert (hotel.state("a"), str(record.reason), record.reason.cause) == (State.PARKED, *reason)
    assert hotel.feed(ParkAsked("a")) == []
    again, actions = hotel.ask("a")
    assert actions == [WakeUnit("a")]
    assert hotel.feed(Woken("a")) == [Admit(again, "a")]


def test_the_last_word_of_an_operator_counts() -> None:
    hotel = idle("a")
    request, _ = hotel.ask("a")
    hotel.feed(ParkAsked("a"))
    hotel.feed(UnloadAsked("a"))
    assert [type(action) for action in hotel.over(request)] == [StopUnit]
    hotel.goes_down("a")
    request = hotel.ready("a")
    hotel.feed(UnloadAsked("a"))
    hotel.feed(ParkAsked("a"))
    assert hotel.over(request) == [ParkUnit("a")]


def test_who_waits_for_its_place_gets_it_when_it_is_parked() -> None:
    hotel = idle("a", "b")
    request, _ = hotel.ask("a")
    other, actions = hotel.ask("b")
    assert (actions, hotel.state("a")) == ([], State.DRAINING)
    hotel.feed(ParkAsked("a"))
    assert hotel.over(request) == [ParkUnit("a")]
    assert hotel.feed(Parked("a")) == [StartUnit("b")]
    assert hotel.comes_up("b")[-1] == Admit(other, "b")


def obstacle(hotel: Hotel, model: str) -> str:
    """Why it is not parked, which the order to do so does not change."""
    failure = hotel.scheduler.not_parked(model)
    assert failure is not None
    before = hotel.state(model)
    assert hotel.feed(ParkAsked(model)) == []
    assert hotel.state(model) is before
    return failure.message


def test_who_cannot_be_parked_is_left_alone_and_says_why() -> None:
    hotel = idle("a", "b")
    assert obstacle(hotel, "b") == "b is stopped, and a model is parked when it is ready."
    hotel.weighs("a", 101 << 20)
    assert obstacle(hotel, "a") == "a would take 101 MiB of host memory, and parked models may take 0."
    hotel.configure(spec("a"), parking("b"))
    assert obstacle(hotel, "a") == "a is not to be parked."
    hotel.configure(parking("b"))
    assert hotel.scheduler.not_parked("nobody") is not None
    assert hotel.feed(ParkAsked("nobody")) == []


def test_what_is_configured_anew_while_it_is_used_is_not_parked() -> None:
    hotel = idle("a")
    hotel.ask("a")
    hotel.configure(replace(parking("a"), fingerprint="other"))
    assert obstacle(hotel, "a") == "The configuration of a has changed since it was loaded."
    hotel.configure()
    assert obstacle(hotel, "a").startswith("a is draining, ")
