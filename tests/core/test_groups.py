"""Groups: models that are never together take turns as on one GPU, models that always are come and go as one."""

import math
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings

from swapper.core import turns
from swapper.core.actions import ParkUnit, WakeUnit
from swapper.core.events import ActiveState, AvailabilityChanged, Parked, StartRefused, UnloadAsked, Woken
from swapper.core.model import Demand, Failure, Gpu, ModelSpec, Policy, State, Turns
from tests.core.playbook import NO_TURNS, Admit, Playbook, Reject, StartUnit, StopUnit, spec
from tests.core.test_parking import Hotel
from tests.core.test_turns import SEEDS, Load, bound, random_load, start_clients
from tests.core.world import Asked, World

HEAVY, LICENCE = -1, -2


def never(name: str, *gpus: int, place: int = HEAVY) -> ModelSpec:
    """A model of a group that is never together, on GPUs or on none."""
    return ModelSpec(name, (*(Demand(gpu) for gpu in gpus), Demand(place)))


def always(name: str, *gpus: int, parts: int = 400_000, ttl: float | None = None, pinned: bool = False) -> ModelSpec:
    """A model of a group that is always together."""
    return replace(spec(name, *gpus, parts=parts, ttl=ttl, pinned=pinned), together="talk")


def book(*models: ModelSpec, pack: bool = True, rule: Turns = NO_TURNS) -> Playbook:
    made = Playbook(pack=pack, turns=rule)
    made.gpus = (*made.gpus, Gpu(HEAVY, group="heavy"), Gpu(LICENCE, group="licence"))
    made.configure(*models)
    return made


def reasons(told: Playbook, model: str) -> list[str]:
    return [change.reason.whole for change in told.announced if change.model == model]


# -- never together --------------------------------------------------------------------------------------------------


def test_two_on_different_gpus_take_turns() -> None:
    told = book(never("a", 0), never("b", 1), pack=False)
    one = told.ready("a")
    two, actions = told.ask("b")
    assert actions == [], "a busy one drains first"
    assert told.over(one) == [StopUnit("a", "makes room for b")]
    assert "never together with b (group heavy)" in reasons(told, "a")[-1]
    assert told.goes_down("a") == [StartUnit("b")]
    assert told.comes_up("b") == [Admit(two, "b")]


def test_two_that_need_no_gpu_take_turns_as_well() -> None:
    told = book(never("a"), never("b"), ModelSpec("c", ()))
    told.over(told.ready("a"))
    assert told.ask("c")[1] == [StartUnit("c")], "who is in no group waits for nobody"
    assert told.ask("b")[1] == [StopUnit("a", "makes room for b")]


def test_one_that_starts_is_waited_for() -> None:
    told = book(never("a", 0), never("b", 1))
    request, _ = told.ask("a")
    assert told.ask("b")[1] == []
    told.comes_up("a")
    assert told.over(request) == [StopUnit("a", "makes room for b")]


def test_of_two_groups_each_forbids() -> None:
    both = replace(never("b"), demands=(Demand(HEAVY), Demand(LICENCE)))
    told = book(never("a", 0), both, never("c", 1, place=LICENCE))
    told.over(told.ready("a"))
    told.over(told.ready("c"))
    assert told.ask("b")[1] == [StopUnit("a", "makes room for b"), StopUnit("c", "makes room for b")]
    assert "never together with b (group licence)" in reasons(told, "c")[-1]


def test_started_by_hand_beside_another_one_relieves() -> None:
    told = book(never("a", 0), never("b", 1))
    told.over(told.ready("a"))
    actions = told.unit("b", ActiveState.ACTIVATING, new=True)
    assert actions == [StopUnit("a", "makes room for b, which somebody else started")]
    assert reasons(told, "a")[-1].endswith("never together with b (group heavy)")


def test_a_pinned_one_keeps_the_others_out_and_they_are_told_why() -> None:
    told = book(replace(never("a", 0), pinned=True), never("b", 1))
    told.over(told.ready("a"))
    _, actions = told.ask("b")
    (rejected,) = (action for action in actions if isinstance(action, Reject))
    assert rejected.failure.code == "gpu_pinned"
    assert rejected.failure.message == "b: never together with a (group heavy), which is pinned."


def test_a_group_that_is_new_parts_those_that_are_there_and_one_that_is_gone_parts_nobody() -> None:
    told = book(spec("a", 0), spec("b", 1), pack=False)
    told.over(told.ready("a"))
    told.passes(1)
    told.over(told.ready("b"))
    assert told.configure(never("a", 0), never("b", 1)) == [StopUnit("a", "its group changed")]
    told.goes_down("a")
    assert told.ask("a")[1] == [StopUnit("b", "makes room for a")]
    assert told.configure(spec("a", 0), spec("b", 1)) == [StartUnit("a")]


# -- always together -------------------------------------------------------------------------------------------------


def test_one_request_brings_all_and_the_one_that_was_asked_for_comes_first() -> None:
    told = book(always("a"), always("b"), always("c", 1))
    request, actions = told.ask("b")
    assert actions == [StartUnit("b")]
    assert told.comes_up("b") == [Admit(request, "b"), StartUnit("a")]
    assert told.state("c") is State.STOPPED, "they start one after the other, on different GPUs too"
    assert told.comes_up("a") == [StartUnit("c")]
    assert told.comes_up("c") == []
    assert reasons(told, "c")[0] == "always together: group talk"
    request, actions = told.ask("c")
    assert actions == [Admit(request, "c")]


def test_room_is_made_for_all_of_them_at_once_and_nobody_takes_it() -> None:
    told = book(always("a"), always("b"), spec("c", parts=300_000), spec("d", parts=200_000))
    told.over(told.ready("c"))
    told.ask("a")
    assert told.state("c") is State.STOPPING, "beside c there is room for a, and not for both"
    assert told.goes_down("c") == [StartUnit("a")]
    told.ask("c")
    told.comes_up("a")
    assert told.state("c") is State.STOPPED, "nobody passes b"
    assert told.state("b") is State.STARTING
    assert told.ask("d")[1] == []
    told.comes_up("b")


def test_a_request_for_the_other_one_meanwhile_does_not_change_who_is_next() -> None:
    told = book(always("a"), always("b"), spec("c", parts=1_000_000))
    one, _ = told.ask("a")
    told.ask("c")
    two, actions = told.ask("b")
    assert actions == []
    assert told.comes_up("a") == [Admit(one, "a"), StartUnit("b")]
    told.over(one)
    assert told.state("a") is State.READY, "as long as they gather, nobody sends them away"
    assert told.comes_up("b") == [Admit(two, "b"), StopUnit("a", "makes room for c")]
    assert told.over(two) == [StopUnit("b", "makes room for c")]


def test_nobody_is_sent_away_while_another_one_is_still_to_come_to_another_gpu() -> None:
    told = book(always("a", 0), always("b", 1), spec("c", 0), spec("d", 1))
    one, _ = told.ask("a")
    told.ask("c")
    told.ask("d")
    assert told.comes_up("a") == [Admit(one, "a"), StartUnit("b")], "nobody passes b"
    assert told.over(one) == [], "as long as b is still to come, a stays"
    assert told.comes_up("b")[0] == StopUnit("a", "makes room for c")
    assert told.state("b") is State.STOPPING


def test_all_go_when_one_of_them_is_in_the_way() -> None:
    told = book(always("a", 0), always("b", 1), spec("c", 1, parts=700_000))
    one, _ = told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    told.ask("c")
    assert (told.state("a"), told.state("b")) == (State.DRAINING, State.STOPPING)
    assert "always together with b (group talk)" in reasons(told, "a")[-1]
    assert told.over(one) == [StopUnit("a", "makes room for c")]
    assert told.goes_down("b") == [StartUnit("c")]


def test_who_asks_meanwhile_for_one_that_goes_stands_behind_whoever_wants_the_others_place() -> None:
    told = book(always("a", 0), always("b", 1), spec("c", 1, parts=700_000))
    one, _ = told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    told.ask("c")
    three, actions = told.ask("a")
    assert actions == []
    assert told.state("a") is State.DRAINING
    assert told.over(one) == [StopUnit("a", "makes room for c")]
    assert told.goes_down("b") == [StartUnit("c")]
    told.goes_down("a")
    assert told.state("a") is State.STOPPED, "with b, or not at all"
    assert three in set(told.scheduler.record("a").waiting)  # type: ignore[union-attr]


def test_one_that_is_still_busy_when_the_room_is_free_stays_and_brings_back_the_other_later() -> None:
    told = book(always("a", 0), always("b", 1), spec("c", 1, parts=700_000))
    one, _ = told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    two, _ = told.ask("c")
    assert told.goes_down("b") == [StartUnit("c")], "what c needs is free"
    assert told.state("a") is State.READY
    assert told.comes_up("c") == [Admit(two, "c")]
    assert told.over(one) == []
    told.ask("a")
    assert told.state("c") is State.DRAINING


def test_what_going_costs_is_what_all_of_them_cost() -> None:
    told = book(always("a", 0, parts=300_000), always("b", 1), spec("c", 0, parts=500_000), spec("d", 0, parts=500_000))
    told.ask("a")
    told.comes_up("a", after=4.0)
    told.comes_up("b", after=4.0)
    told.over(1)
    told.over(told.ready("c", after=5.0))
    for name in "ab":
        told.answers(name, 0.0)
    told.ask("d")
    assert told.state("c") is State.STOPPING, "a alone would be cheaper, but b would go with it"
    assert told.state("a") is State.READY


def test_an_unload_of_one_unloads_all() -> None:
    told = book(always("a"), always("b"))
    request, _ = told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    assert told.feed(UnloadAsked("b")) == [StopUnit("b", "unloaded by an operator")]
    assert told.state("a") is State.DRAINING
    assert told.over(request) == [StopUnit("a", "unloaded by an operator")]
    told.goes_down("a")
    assert told.goes_down("b") == []


def test_idle_times_count_from_the_last_use_of_any() -> None:
    told = book(always("a", ttl=10.0), always("b", ttl=20.0))
    request, _ = told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    told.over(request)
    told.passes(15)
    told.over(told.ask("b")[0])
    assert told.passes(19.9) == []
    assert told.passes(0.1) == [StopUnit("a", "idle for 20 s"), StopUnit("b", "idle for 20 s")]


def test_one_without_a_ttl_keeps_all() -> None:
    told = book(always("a", ttl=10.0), always("b"))
    request, _ = told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    told.over(request)
    assert told.passes(1000) == []


def test_one_stopped_by_hand_goes_alone_and_comes_back_with_the_next_request_for_any() -> None:
    told = book(always("a"), always("b"))
    request, _ = told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    told.over(request)
    assert told.goes_down("b") == []
    assert told.state("a") is State.READY
    request, actions = told.ask("a")
    assert actions == [Admit(request, "a"), StartUnit("b")]


def test_one_called_back_waits_for_its_turn_like_any_claim() -> None:
    told = book(always("a"), always("b"), spec("c", parts=600_000), rule=Turns(10.0, 0.2))
    told.ask("a")
    told.comes_up("a")
    told.comes_up("b")
    told.goes_down("b")
    two = told.ready("c")
    three, actions = told.ask("a")
    assert actions == [Admit(three, "a")]
    assert told.state("c") is State.READY, "its turn is not over"
    told.over(two)
    assert told.state("c") is State.STOPPING
    assert told.goes_down("c") == [StartUnit("b")]


def test_one_that_cannot_be_started_keeps_the_others_from_nothing_and_is_left_alone() -> None:
    told = book(always("a"), always("b"), always("c", parts=200_000))
    one, _ = told.ask("a")
    assert told.comes_up("a") == [Admit(one, "a"), StartUnit("b")]
    assert told.fails("b") == [StartUnit("c")]
    told.comes_up("c")
    told.over(one)
    for _ in range(5):
        told.passes(100)
        request, actions = told.ask("a")
        assert actions == [Admit(request, "a")], "b is not tried again for a"
        told.over(request)
    two, actions = told.ask("b")
    assert actions == [StartUnit("b")], "but for itself"
    assert told.comes_up("b") == [Admit(two, "b")]
    told.goes_down("b")
    assert told.ask("a")[1][1:] == [StartUnit("b")], "and for the others as before"


def test_if_the_first_one_fails_those_that_nobody_asked_for_stay_away() -> None:
    told = book(always("a"), always("b"), always("c", parts=200_000))
    one, _ = told.ask("a")
    two, _ = told.ask("c")
    actions = told.fails("a")
    assert next(action for action in actions if isinstance(action, Reject)).request == one
    assert [action for action in actions if isinstance(action, StartUnit)] == [StartUnit("c")]
    assert told.comes_up("c") == [Admit(two, "c"), StartUnit("b")]


@pytest.mark.parametrize("code", ["model_incomplete", "model_disabled"])
def test_one_that_is_incomplete_or_disabled_is_not_waited_for(code: str) -> None:
    told = book(always("a"), always("b", 1, parts=1_000_000), spec("c", 1, parts=1_000_000))
    told.feed(AvailabilityChanged("b", Failure(code, "not there")))
    told.over(told.ready("c"))
    request, actions = told.ask("a")
    assert actions == [StartUnit("a")], "no room is made for it"
    assert told.comes_up("a") == [Admit(request, "a")]
    told.feed(AvailabilityChanged("b", None))
    told.ask("a")
    assert told.state("c") is State.STOPPING, "now it can be had"


def test_one_that_ends_before_it_is_ready_is_not_tried_again_either() -> None:
    told = book(always("a"), always("b"))
    request, _ = told.ask("a")
    told.comes_up("a")
    told.unit("b", ActiveState.ACTIVATING, new=True)
    assert told.unit("b", ActiveState.INACTIVE) == []
    assert told.state("b") is State.STOPPED
    told.over(request)
    assert told.ask("a")[1] == [Admit(2, "a")]


def test_their_turn_is_as_long_as_all_of_them_cost() -> None:
    told = book(always("a"), always("b"), rule=Turns(min_hold=1.0, swap_share=0.2))
    told.ask("a")
    told.comes_up("a", after=5.0)
    told.comes_up("b", after=3.0)
    record = told.scheduler.record("a")
    assert record is not None
    assert turns.quantum(record, told.turns) == pytest.approx(4 * 8.0)


def test_a_start_that_is_refused_is_no_reason_to_try_again() -> None:
    told = book(always("a"), always("b"))
    request, _ = told.ask("a")
    told.comes_up("a")
    told.feed(StartRefused("b", Failure("model_incomplete", "not there")))
    assert told.over(request) == []
    assert told.ask("a")[1] == [Admit(2, "a")]


def test_where_one_is_pinned_all_are() -> None:
    told = book(always("a", pinned=True), always("b"), spec("c", parts=500_000))
    told.over(told.ask("b")[0])
    told.comes_up("b")
    told.comes_up("a")
    _, actions = told.ask("c")
    assert [action.failure.code for action in actions if isinstance(action, Reject)] == ["gpu_pinned"]


def test_they_are_told_together_what_is_in_their_way() -> None:
    told = book(always("a"), always("b"), spec("c", parts=300_000, pinned=True))
    told.over(told.ready("c"))
    _, actions = told.ask("a")
    (rejected,) = (action for action in actions if isinstance(action, Reject))
    assert rejected.failure.message == "a, b do not fit beside c, which is pinned to the GPU."


def test_those_that_do_not_fit_together_are_no_group() -> None:
    told = book(always("a", 0), always("b", 0), pack=False)
    told.over(told.ready("a"))
    assert told.ask("b")[1] == [StopUnit("a", "makes room for b")]


def test_a_group_is_joined_and_left_without_a_new_start() -> None:
    told = book(always("a"), spec("b", parts=400_000))
    told.over(told.ready("a"))
    assert told.configure(always("a"), always("b")) == []
    request, actions = told.ask("a")
    assert actions == [Admit(request, "a"), StartUnit("b")]
    told.comes_up("b")
    told.over(request)
    assert told.configure(always("a"), spec("b", parts=400_000)) == []
    assert told.feed(UnloadAsked("a")) == [StopUnit("a", "unloaded by an operator")]
    assert told.state("b") is State.READY


def test_a_reload_meanwhile_changes_nothing() -> None:
    told = book(always("a"), always("b"))
    request, _ = told.ask("a")
    assert told.configure(always("a"), always("b")) == []
    assert told.comes_up("a") == [Admit(request, "a"), StartUnit("b")]


def test_a_room_that_somebody_else_took_is_given_up() -> None:
    told = book(always("a", 0), always("b", 1, parts=1_000_000), spec("c", 1, parts=1_000_000))
    request, _ = told.ask("a")
    told.unit("c", ActiveState.ACTIVATING, new=True)
    told.unit("c", ActiveState.ACTIVE)
    assert told.comes_up("a") == [Admit(request, "a")]
    assert told.state("b") is State.STOPPED
    told.ask("a")
    assert told.state("c") is State.STOPPING, "until the next request calls it"


def test_without_a_gpu_they_start_one_after_the_other_too() -> None:
    told = book(replace(always("a"), demands=()), replace(always("b"), demands=()))
    request, actions = told.ask("b")
    assert actions == [StartUnit("b")]
    assert told.comes_up("b") == [Admit(request, "b"), StartUnit("a")]


def test_one_that_is_never_with_a_third_brings_its_companions_into_the_line() -> None:
    told = book(
        replace(always("a", 0), demands=(Demand(0, 400_000), Demand(HEAVY))), always("b", 1), never("c", 1)
    )
    told.over(told.ready("c"))
    told.ask("b")
    assert told.state("c") is State.STOPPING
    assert "never together with a (group heavy)" in reasons(told, "c")[-1]
    assert told.goes_down("c") == [StartUnit("b")]


def test_those_that_are_parked_wake_one_after_the_other_too() -> None:
    hotel = Hotel(pack=True)
    hotel.configure(*(replace(always(name), park=True) for name in "ab"), spec("c"))
    one, _ = hotel.ask("a")
    hotel.comes_up("a")
    hotel.comes_up("b")
    assert hotel.over(one) == []
    two, actions = hotel.ask("c")
    assert actions == [ParkUnit("a"), ParkUnit("b")]
    hotel.feed(Parked("a"))
    assert hotel.feed(Parked("b")) == [StartUnit("c")]
    hotel.comes_up("c")
    hotel.over(two)
    three, _ = hotel.ask("b")
    assert hotel.goes_down("c") == [WakeUnit("b")]
    assert hotel.feed(Woken("b")) == [Admit(three, "b"), WakeUnit("a")]


# -- bounds ----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_waits_in_a_group_that_is_never_together_are_bounded_as_on_one_gpu(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a load, not a secret
    load = random_load(random, saturated=False)
    # Each on a GPU of its own, or on none.
    models = [
        replace(model, demands=(*([Demand(number)] if random.random() < 0.5 else []), Demand(HEAVY)))
        for number, model in enumerate(load.specs())
    ]
    world = World(models, dict(zip(load.names, load.loads, strict=True)), load.stop, load.turns)
    start_clients(world, load, lambda: random.uniform(0.2, 1.0))
    world.run(250.0)
    for asked in world.requests.values():
        waited = (asked.admitted if asked.admitted is not None else world.now) - asked.arrived
        assert waited <= bound(load, asked) + 1e-6
    stays = sorted((stay.begun, math.inf if stay.gone is None else stay.gone) for stay in world.stays)
    assert all(gone <= begun for (_, gone), (begun, _) in pairwise(stays)), "two were there at the same time"


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_in_a_quiet_world_a_company_is_there_as_a_whole_and_waits_are_bounded(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a load, not a secret
    load = random_load(random, saturated=False)
    names = load.names
    company = names[: random.randint(2, len(names))]
    share = 1_000_000 // len(company)
    models = [
        replace(model, demands=(Demand(0, share),), together="talk") if model.name in company
        else replace(model, demands=(Demand(0, 1_000_000 - share + 1),))
        for model in load.specs()
    ]  # fmt: skip
    world = World(models, dict(zip(names, load.loads, strict=True)), load.stop, load.turns, policy=Policy.PACK)
    start_clients(world, load, lambda: random.uniform(0.2, 1.0))
    world.run(250.0)
    for asked in world.requests.values():
        waited = (asked.admitted if asked.admitted is not None else world.now) - asked.arrived
        assert waited <= company_bound(load, company, asked) + 1e-6
    for stay in world.stays:
        if stay.gone is not None:
            assert set(stay.waiting) <= set(stay.admitted), "a model just loaded serves those who waited for it"
    for first in world.stays:
        if first.model == company[0] and first.stopped is not None:
            beside = {
                stay.model
                for stay in world.stays
                if stay.ready is not None and stay.ready <= first.stopped and (stay.gone or math.inf) > first.begun
            }
            assert set(company) <= beside, "one of them came without the others"


def company_bound(load: Load, company: list[str], asked: Asked) -> float:
    """HACKING.md's bound, where a company counts as one model: its loads and stops one after the other."""
    factor = 1 / load.turns.swap_share - 1
    models = {
        name: (seconds, limit, clients)
        for name, seconds, limit, clients in zip(load.names, load.loads, load.limits, load.clients, strict=True)
    }
    parties = [company, *([name] for name in load.names if name not in company)]
    total = 0.0
    for party in parties:
        swap = sum(models[name][0] + load.stop for name in party)
        owed = max(math.ceil(models[name][2] / models[name][1]) for name in party) * load.service
        turn = max(load.turns.min_hold, factor * swap, owed)
        total += swap + (owed if asked.model in party else turn) + load.service
    own = next(party for party in parties if asked.model in party)
    loads = sum(models[name][0] for name in own)
    return total + loads + math.ceil((asked.place + 1) / models[asked.model][1]) * load.service
