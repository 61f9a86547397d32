"""Schedules worked out by hand: models a and b share GPU 0, load in 2 s, stop in 1 s, one request at a time."""

import pytest

from swapper.core.actions import StartUnit, StopUnit
from swapper.core.model import ModelSpec
from swapper.simulate.policies import POLICIES
from swapper.simulate.workload import Ask, Model
from swapper.simulate.world import World
from tests.simulate.scripts import Watched, model, run, waits, workload

MIXED = workload((0.0, "a", 1.0), (0.5, "b", 1.0), (0.6, "a", 1.0), (3.5, "a", 1.0))


@pytest.mark.parametrize("policy", POLICIES)
def test_an_idle_model_makes_room(policy: str) -> None:
    """Loaded 0-2, works 2-3; stopped 10-11; b loads 11-13, works 13-14."""
    tally = run(policy, workload((0.0, "a", 1.0), (10.0, "b", 1.0)))
    assert (waits(tally, "a"), waits(tally, "b")) == ([2.0], [3.0])
    assert (tally.swaps, tally.makespan) == (1, 14.0)
    gpu = tally.gpus[0]
    assert (gpu.serving.total(14.0), gpu.swapping.total(14.0)) == (2.0, 5.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_model_that_is_there_answers_at_once(policy: str) -> None:
    tally = run(policy, workload((0.0, "a", 1.0), (5.0, "a", 2.0), (6.0, "a", 1.0)))
    assert (waits(tally, "a"), tally.swaps, tally.makespan) == ([2.0, 0.0, 1.0], 0, 8.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_as_many_at_once_as_it_may(policy: str) -> None:
    asks = [(0.0, "a", 3.0)] * 4
    tally = run(policy, workload(*asks, models=(model("a", concurrency=3),)))
    assert (waits(tally, "a"), tally.makespan) == ([2.0, 2.0, 2.0, 5.0], 8.0)


def test_first_come_first_served() -> None:
    """Works: a 2-3; stops 3-4; b loads 4-6, works 6-7; stops 7-8; a loads 8-10, works 10-11 and 11-12."""
    tally = run("fcfs", MIXED)
    assert (waits(tally, "a"), waits(tally, "b")) == ([2.0, 9.4, 7.5], [5.5])
    assert (tally.swaps, tally.makespan) == (2, 12.0)


def test_swap_always_serves_those_who_waited_and_leaves_newcomers() -> None:
    """Works: a 2-3 and 3-4, draining: whoever comes at 3.5 waits; stops 4-5; b loads 5-7, works 7-8; a again 11-12."""
    tally = run("swap-always", MIXED)
    assert (waits(tally, "a"), waits(tally, "b")) == ([2.0, 2.4, 7.5], [6.5])
    assert (tally.swaps, tally.makespan) == (2, 12.0)


def test_collation_lets_others_wait_until_nobody_is_left() -> None:
    """Works: a 2-3, 3-4 and 4-5; stops 5-6; b loads 6-8, works 8-9."""
    tally = run("collation", MIXED)
    assert (waits(tally, "a"), waits(tally, "b")) == ([2.0, 2.4, 0.5], [7.5])
    assert (tally.swaps, tally.makespan) == (1, 9.0)


@pytest.mark.parametrize(("policy", "bounded"), [("fcfs", True), ("swap-always", True), ("collation", False)])
@pytest.mark.parametrize("requests", [20, 200])
def test_what_a_greedy_model_does_to_a_patient_client(policy: str, requests: int, *, bounded: bool) -> None:
    """Two clients of a, without a pause: the wait of one who asks for b grows with them under collation only."""
    clients = tuple((Ask(0.0, "a", seconds),) * requests for seconds in (1.0, 0.95))
    models = (model("a", concurrency=2), model("b"))
    tally = run(policy, workload((2.0, "b", 1.0), models=models, clients=clients))
    assert (waits(tally, "b")[0] < 10.0) is bounded
    assert bounded or waits(tally, "b")[0] > 0.95 * requests


@pytest.mark.parametrize("policy", POLICIES)
def test_models_on_different_gpus_do_not_wait_for_each_other(policy: str) -> None:
    models = (model("a", 0), model("b", 1))
    tally = run(policy, workload((0.0, "a", 50.0), (1.0, "b", 1.0), (2.0, "a", 1.0), (9.0, "b", 1.0), models=models))
    assert (waits(tally, "a"), waits(tally, "b"), tally.swaps) == ([2.0, 50.0], [2.0, 0.0], 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_fits_together_stays_together(policy: str) -> None:
    models = (model("a", parts=300_000), model("b", parts=400_000))
    tally = run(policy, workload((0.0, "a", 1.0), (10.0, "b", 1.0), (20.0, "a", 1.0), models=models, pack=True))
    assert (waits(tally, "a"), waits(tally, "b"), tally.swaps) == ([2.0, 0.0], [2.0], 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_of_several_residents_the_least_recently_used_goes(policy: str) -> None:
    models = tuple(model(name, parts=400_000) for name in "abc")
    asks = (0.0, "a", 1.0), (10.0, "b", 1.0), (20.0, "a", 1.0), (30.0, "c", 1.0)
    watched = Watched(POLICIES[policy]())
    World(workload(*asks, models=models, pack=True), watched).run()
    assert [(type(order), order.model) for order in watched.orders] == [
        (StartUnit, "a"), (StartUnit, "b"), (StopUnit, "b"), (StartUnit, "c")
    ]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
def test_a_model_on_two_gpus_waits_for_both(policy: str) -> None:
    models = (model("a", 0), model("b", 1), model("both", 0, 1))
    tally = run(policy, workload((0.0, "a", 1.0), (0.0, "b", 9.0), (5.0, "both", 1.0), models=models))
    assert waits(tally, "both") == [9.0]  # b works 2-11, stops 11-12; loads 12-14


@pytest.mark.parametrize("policy", POLICIES)
def test_what_needs_no_gpu_is_in_nobodys_way(policy: str) -> None:
    models = (model("a"), Model(ModelSpec("cpu", demands=()), 2.0, 1.0))
    tally = run(policy, workload((0.0, "a", 20.0), (1.0, "cpu", 1.0), models=models))
    assert (waits(tally, "a"), waits(tally, "cpu"), tally.swaps) == ([2.0], [2.0], 0)
