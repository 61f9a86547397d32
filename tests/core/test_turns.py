"""Taking turns: each rule as a script, and the bounds that HACKING.md states as properties of random loads."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapper.core import turns
from swapper.core.model import ModelSpec, State, Turns
from swapper.core.waiting import BOOST
from tests.core.playbook import Admit, Playbook, Reject, StartUnit, StopUnit, spec
from tests.core.world import Asked, World

HOLD = Turns(min_hold=10.0, swap_share=0.2)
CHEAP = Turns(min_hold=1.0, swap_share=0.2)


def test_a_busy_model_keeps_its_place_for_its_quantum() -> None:
    book = Playbook(spec("a"), spec("b"), turns=HOLD)
    one = book.ready("a")
    book.passes(4)
    book.ask("b")
    assert book.state("a") is State.READY
    book.passes(5.9)
    two, actions = book.ask("a")
    assert actions == [Admit(two, "a")], "newcomers are served as well"
    book.passes(0.1)
    assert book.state("a") is State.DRAINING
    book.over(one)
    assert book.over(two) == [StopUnit("a", "makes room for b")]


def test_of_a_model_that_has_been_there_for_long_the_turn_is_over() -> None:
    book = Playbook(spec("a"), spec("b"), turns=HOLD)
    book.ready("a")
    book.passes(10)
    book.ask("b")
    assert book.state("a") is State.DRAINING


def test_a_model_without_anything_to_do_goes_at_once() -> None:
    book = Playbook(spec("a"), spec("b"), turns=HOLD)
    one = book.ready("a")
    book.ask("b")
    assert book.over(one) == [StopUnit("a", "makes room for b")]


def test_why_it_is_this_one_that_goes_is_told() -> None:
    book = Playbook(spec("a", parts=500_000), spec("b", parts=500_000), spec("c", parts=500_000), pack=True)
    book.over(book.ready("a", after=3.0))
    book.over(book.ready("b", after=9.0))
    book.passes(25)
    book.ask("c")
    gone = next(change for change in book.announced if change.new is State.STOPPING)
    assert (gone.model, gone.reason) == ("a", "makes room for c")
    assert gone.reason.whole == "makes room for c: unused for 34 s, loads in 3.0 s"


def test_a_turn_lasts_as_long_as_the_swap_is_dear() -> None:
    book = Playbook(spec("a"), spec("b"), turns=CHEAP)
    one = book.ready("a", after=5.0)
    book.over(one)
    book.ask("b")
    book.passes(1.0)
    book.goes_down("a")
    book.comes_up("b")
    record = book.scheduler.record("a")
    assert record is not None
    assert record.pace.swap == pytest.approx(6.0)
    assert turns.quantum(record, CHEAP) == pytest.approx(4 * 6.0)


def test_systemds_own_times_count_where_it_says_them() -> None:
    world = World([spec("a")], {"a": 3.0}, 0.5, CHEAP)
    world.ask("a", 1.0)
    world.run(10.0)
    record = world.scheduler.record("a")
    assert record is not None
    assert record.pace.loads.known == 3.0


@pytest.mark.parametrize("now", [0.0, 0.1, 1e6])
def test_a_model_that_was_never_used_has_not_just_been_used_whatever_the_clock_says(now: float) -> None:
    book = Playbook(spec("a"))
    book.now = now
    book.ask("a")
    record = book.scheduler.record("a")
    assert record is not None
    assert record.pace.gaps == (math.inf, math.inf)


def test_a_claimant_that_leaves_ends_nobodys_turn() -> None:
    book = Playbook(spec("a"), spec("b"), turns=HOLD)
    book.ready("a")
    waiting, _ = book.ask("b")
    book.over(waiting)
    assert book.passes(20) == []
    assert book.state("a") is State.READY


def test_those_who_waited_for_a_load_are_served_though_the_turn_is_over() -> None:
    book = Playbook(spec("a", concurrency=1), spec("b"), turns=CHEAP)
    first, _ = book.ask("a")
    second, _ = book.ask("a")
    assert book.comes_up("a") == [Admit(first, "a")]
    book.ask("b")
    book.passes(5)
    late, actions = book.ask("a")
    assert actions == []
    assert book.over(first) == [Admit(second, "a")], "it waited for the load"
    assert book.over(second) == [StopUnit("a", "makes room for b")], "and who came after its turn was over waits"
    assert late in set(book.scheduler.record("a").waiting)  # type: ignore[union-attr]


def test_those_who_came_before_the_claim_are_served_first() -> None:
    book = Playbook(spec("a", concurrency=1), spec("b"), turns=CHEAP)
    one = book.ready("a")
    book.passes(5)
    two, _ = book.ask("a")
    book.passes(1)
    book.ask("b")
    book.passes(0.1)
    three, _ = book.ask("a")
    assert book.over(one) == [Admit(two, "a")]
    assert book.over(two) == [StopUnit("a", "makes room for b")]
    assert three in set(book.scheduler.record("a").waiting)  # type: ignore[union-attr]


def test_when_the_claimant_leaves_meanwhile_all_are_served_again() -> None:
    book = Playbook(spec("a", concurrency=1), spec("b"), turns=CHEAP)
    one = book.ready("a")
    two, _ = book.ask("a")
    book.passes(1)
    claimant, _ = book.ask("b")
    three, _ = book.ask("a")
    book.over(claimant)
    assert book.over(one) == [Admit(two, "a")]
    assert book.over(two) == [Admit(three, "a")]


def test_when_the_claimant_is_taken_out_of_the_configuration_all_are_served_again() -> None:
    book = Playbook(spec("a", concurrency=1), spec("b"), turns=CHEAP)
    one = book.ready("a")
    two, _ = book.ask("a")
    book.passes(1)
    claimant, _ = book.ask("b")
    three, _ = book.ask("a")
    assert [action for action in book.configure(spec("a", concurrency=1)) if isinstance(action, Reject)]
    assert book.over(one) == [Admit(two, "a")]
    assert book.over(two) == [Admit(three, "a")]
    assert claimant not in book.leases("a")


def test_all_that_must_go_go_when_the_last_turn_of_them_is_over() -> None:
    book = Playbook(spec("a", parts=500_000), spec("b", parts=500_000), spec("c"), pack=True, turns=HOLD)
    one = book.ready("a")
    book.passes(8)
    two = book.ready("b")
    book.passes(4)
    book.ask("c")
    three, actions = book.ask("a")
    assert actions == [Admit(three, "a")], "its turn is over, but it need not go before the other does"
    book.passes(6)
    assert (book.state("a"), book.state("b")) == (State.DRAINING, State.DRAINING)
    book.over(one)
    assert book.over(three) == [StopUnit("a", "makes room for c")]
    assert book.over(two) == [StopUnit("b", "makes room for c")]


# -- who comes back at once ------------------------------------------------------------------------------------------


def sequential(world: World, model: str, service: float, pause: float) -> None:
    """A client that asks again, a little after it has its answer."""

    def ask() -> None:
        world.ask(model, service, lambda: world.at(world.now + pause, ask))

    ask()


def test_clients_that_ask_one_after_the_other_do_not_make_a_swap_each() -> None:
    world = World([spec("a"), spec("b")], {"a": 2.0, "b": 2.0}, 0.5, CHEAP)
    sequential(world, "a", 0.5, 0.002)
    sequential(world, "b", 0.5, 0.002)
    world.run(1000.0)
    served = [len(stay.admitted) for stay in world.stays[4:-1]]
    assert min(served) > 15, "a turn of 10 s has place for twenty answers of half a second"


def test_a_client_that_takes_its_time_does_not_keep_the_place() -> None:
    world = World([spec("a"), spec("b")], {"a": 2.0, "b": 2.0}, 0.5, CHEAP)
    sequential(world, "a", 0.5, 30.0)
    sequential(world, "b", 0.5, 30.0)
    world.run(1000.0)
    waits = [asked.waited for asked in world.requests.values() if asked.admitted is not None][4:]
    assert max(waits) < 2.6, "nobody waits for more than a stop and a load"


# -- priorities ------------------------------------------------------------------------------------------------------


def test_the_more_important_model_is_loaded_first() -> None:
    book = Playbook(spec("a"), spec("b"), spec("c", priority=1))
    one = book.ready("a")
    book.ask("b")
    book.passes(BOOST - 1)
    book.ask("c")
    book.over(one)
    assert book.goes_down("a") == [StartUnit("c")]


def test_but_not_before_those_who_have_waited_long_enough() -> None:
    book = Playbook(spec("a"), spec("b"), spec("c", priority=1))
    one = book.ready("a")
    book.ask("b")
    book.passes(BOOST + 1)
    book.ask("c")
    book.over(one)
    assert book.goes_down("a") == [StartUnit("b")]


def test_the_more_important_key_is_served_first() -> None:
    book = Playbook(spec("a", concurrency=1))
    one = book.ready("a")
    normal, _ = book.ask("a")
    urgent, _ = book.ask("a", priority=1)
    assert book.over(one) == [Admit(urgent, "a")]
    assert book.over(urgent) == [Admit(normal, "a")]


def test_and_brings_its_model_forward() -> None:
    book = Playbook(spec("a"), spec("b"), spec("c"))
    one = book.ready("a")
    book.ask("b")
    book.ask("c")
    book.ask("c", priority=1)
    assert book.scheduler.claims == ("c", "b")
    book.over(one)
    assert book.goes_down("a") == [StartUnit("c")]


# -- bounds ----------------------------------------------------------------------------------------------------------


SEEDS = st.integers(0, 2**32)


@dataclass(frozen=True, slots=True)
class Load:
    """A random load on one exclusive GPU.

    Attributes:
        loads: Seconds of loading, per model.
        stop: Seconds of stopping.
        service: Longest service in seconds.
        limits: Requests at once, per model.
        clients: Sequential clients, per model.
        pauses: Seconds between their requests, per model.
        turns: The setting.
    """

    loads: tuple[float, ...]
    stop: float
    service: float
    limits: tuple[int, ...]
    clients: tuple[int, ...]
    pauses: tuple[float, ...]
    turns: Turns

    @property
    def names(self) -> list[str]:
        return [f"m{number}" for number in range(len(self.loads))]

    def specs(self) -> list[ModelSpec]:
        return [spec(name, concurrency=limit) for name, limit in zip(self.names, self.limits, strict=True)]

    def world(self, *, check: bool) -> World:
        loads = dict(zip(self.names, self.loads, strict=True))
        return World(self.specs(), loads, self.stop, self.turns, check=check)


def random_load(random: Random, *, saturated: bool) -> Load:
    count = random.randint(2, 4)
    limits = tuple(random.randint(1, 3) for _ in range(count))
    return Load(
        loads=tuple(random.uniform(0.1, 8.0) for _ in range(count)),
        stop=random.uniform(0.0, 2.0),
        service=random.uniform(0.1, 3.0),
        limits=limits,
        clients=tuple(limit + 2 if saturated else random.randint(1, 6) for limit in limits),
        pauses=tuple(0.0 if saturated else random.choice([0.0, random.uniform(0.0, 40.0)]) for _ in range(count)),
        turns=Turns(random.uniform(0.1, 5.0), random.uniform(0.05, 0.5)),
    )


def start_clients(world: World, load: Load, draw: Callable[[], float]) -> None:
    for name, clients, pause in zip(load.names, load.clients, load.pauses, strict=True):
        for _ in range(clients):
            client(world, name, load.service, pause, draw)


def client(world: World, name: str, service: float, pause: float, draw: Callable[[], float]) -> None:
    def ask() -> None:
        world.ask(name, service * draw(), lambda: world.at(world.now + pause * draw(), ask))

    world.at(pause * draw(), ask)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_swaps_take_no_more_than_their_share_while_all_models_are_busy(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a load, not a secret
    load = random_load(random, saturated=True)
    world = load.world(check=False)
    start_clients(world, load, lambda: random.uniform(0.2, 1.0))
    world.run(800.0)
    # The first stay of each model is not yet known to be dear, and the last one is not over.
    first = {stay.model: number for number, stay in reversed(list(enumerate(world.stays)))}
    stays = world.stays[max(first.values()) + 1 : -1]
    if len(stays) < 2:
        return
    swapping = sum((stay.ready or 0) - stay.begun + load.stop for stay in stays)
    whole = (stays[-1].gone or math.inf) - stays[0].begun
    assert swapping / whole <= load.turns.swap_share * 1.001 + 1e-9


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_nobody_waits_longer_than_the_bound_and_all_are_served_once(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a load, not a secret
    load = random_load(random, saturated=False)
    world = load.world(check=True)
    start_clients(world, load, lambda: random.uniform(0.2, 1.0))
    world.run(250.0)
    for asked in world.requests.values():
        waited = (asked.admitted if asked.admitted is not None else world.now) - asked.arrived
        assert waited <= bound(load, asked) + 1e-6
    for stay in world.stays:
        if stay.gone is not None:
            assert set(stay.waiting) <= set(stay.admitted), "a model just loaded serves those who waited for it"


def bound(load: Load, asked: Asked) -> float:
    """Longest wait of a request, as HACKING.md has it: a turn of each other model, and what is left of its own."""
    factor = 1 / load.turns.swap_share - 1
    total = 0.0
    for name, seconds, limit, clients in zip(load.names, load.loads, load.limits, load.clients, strict=True):
        swap = seconds + load.stop
        owed = math.ceil(clients / limit) * load.service
        turn = max(load.turns.min_hold, factor * swap, owed)
        # Of its own model the present turn may be over when it comes; of the others each has one before it.
        total += swap + (owed if name == asked.model else turn) + load.service
    own = load.names.index(asked.model)
    return total + load.loads[own] + math.ceil((asked.place + 1) / load.limits[own]) * load.service
