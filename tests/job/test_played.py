"""The simulator and the installed router make the same of the same requests: who is served when, and how many swaps.

Whatever time decides is decided by what was measured in the run itself (`tests/lab/played.py`). So that is compared
which a few milliseconds cannot change: everybody comes while the first request is still being worked on.
"""

from itertools import pairwise

import pytest

from swapper import config as configuration
from swapper.core.actions import Action, Admit
from swapper.core.events import Event
from swapper.core.model import Demand, ModelSpec
from swapper.simulate.policies import POLICIES
from swapper.simulate.workload import Ask, Model, Workload
from swapper.simulate.world import Decider, World
from tests.job import house
from tests.job.house import ask, configure
from tests.lab import other_policy
from tests.lab.played import Run, play

NAMES = ("alpha", "beta", "gamma")
CONFIG = "turns: {min_hold: 2s, swap_share: 100%}\nmodels:\n" + "".join(
    f"  {name}: {{engine: llama, model: {name}.gguf, context: 16384, concurrency: 1, args: [--threads, '1']}}\n"
    for name in NAMES
)
RATE = 1000.0
"""Tokens of a tiny model a second, about."""


class Watched:
    """A policy, and whom it admitted, in this order: the numbers of requests, from 1, as they arrived."""

    def __init__(self, policy: Decider) -> None:
        self._policy = policy
        self.admitted: list[int] = []
        self.deadline = policy.deadline

    def handle(self, event: Event, now: float) -> list[Action]:
        actions = self._policy.handle(event, now)
        self.admitted += [action.request for action in actions if isinstance(action, Admit)]
        return actions


def played(policy: str, *, asks: tuple[Ask, ...] = (), clients: tuple[tuple[Ask, ...], ...] = ()) -> Run:
    """What was seen on the real router."""
    models = tuple(Model(ModelSpec(name, (Demand(0),)), 0.0, 0.0) for name in NAMES)
    with other_policy.in_charge(policy):
        configure(CONFIG)
        assert ask("GET", "/health").status == 200
        run = play(Workload("test", models, asks=asks, clients=clients).under(configuration.load()), RATE)
        house.reset()
    house.run("systemctl", "daemon-reload")
    return run


@pytest.mark.parametrize("policy", POLICIES)
def test_those_who_wait_are_served_in_the_same_order(policy: str) -> None:
    # The first takes longer than it takes all of them to come; of each model some come before others, and some after.
    order = ["alpha", "beta", "alpha", "gamma", "beta", "alpha", "gamma", "beta"]
    run = played(policy, asks=tuple(Ask(0.25 * at, name, 0.2 if at else 6.0) for at, name in enumerate(order)))
    arrived = sorted(run.asks, key=lambda heard: heard.arrived)
    assert arrived[0].over > arrived[-1].arrived, "the first was still being worked on"
    numbers = {heard: number for number, heard in enumerate(arrived, 1)}
    served = [numbers[heard] for heard in sorted(run.asks, key=lambda heard: heard.arrived + heard.waited)]
    watched = Watched(POLICIES[policy]())
    tally = World(run.seen, watched).run()
    assert watched.admitted == served
    assert tally.swaps == run.swaps
    assert {name: model.starts for name, model in tally.models.items()} == {n: run.stays.count(n) for n in NAMES}


def test_clients_that_take_turns_cost_as_many_swaps() -> None:
    clients = tuple(tuple(Ask(0.0, name, 0.1, 0.01) for _ in range(60)) for name in NAMES[:2])
    run = played("ours", clients=clients)
    tally = World(run.seen, POLICIES["ours"]()).run()
    assert [model.answered for model in tally.models.values()] == [60, 60, 0]
    assert all(one != next_one for one, next_one in pairwise(run.stays)), run.stays
    # Of a turn of two seconds, one more or less at the end.
    assert abs(tally.swaps - run.swaps) <= 1 + run.swaps // 4, (tally.swaps, run.swaps)
