"""Places: light requests, slots that the engine tells, how long one may wait, and where one stands."""

from dataclasses import replace

import pytest

from swapper.core.events import ActiveState, UnloadAsked
from swapper.core.model import State
from tests.core.playbook import Admit, Playbook, Reject, StartUnit, StopUnit, spec


def codes(actions: list[object]) -> list[str]:
    return [action.failure.code for action in actions if isinstance(action, Reject)]


# Light requests


def test_a_light_request_is_admitted_at_once_though_others_wait() -> None:
    book = Playbook(spec("a", concurrency=1, queue=1))
    book.ready("a")
    book.ask("a")
    light, actions = book.ask("a", light=True)
    assert actions == [Admit(light, "a")]


def test_light_requests_take_no_place_and_hand_on_none() -> None:
    book = Playbook(spec("a", concurrency=1))
    first = book.ready("a")
    light, _ = book.ask("a", light=True)
    second, actions = book.ask("a")
    assert actions == []
    assert book.over(light) == []
    assert book.over(first) == [Admit(second, "a")]


def test_a_light_request_loads_the_model_and_all_light_ones_are_admitted_then() -> None:
    book = Playbook(spec("a", concurrency=1))
    light, actions = book.ask("a", light=True)
    assert actions == [StartUnit("a")]
    first, _ = book.ask("a")
    second, _ = book.ask("a")
    late, _ = book.ask("a", light=True)
    assert book.comes_up("a") == [Admit(light, "a"), Admit(late, "a"), Admit(first, "a")]
    assert book.over(first) == [Admit(second, "a")]


def test_while_the_model_loads_a_light_request_waits_in_the_same_queue() -> None:
    book = Playbook(spec("a", concurrency=1, queue=0))
    book.ask("a", light=True)
    _, actions = book.ask("a", light=True)
    assert codes([*actions]) == ["queue_full"]


def test_a_swap_waits_for_light_requests_and_none_is_admitted_meanwhile() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.over(book.ready("a"))
    light, _ = book.ask("a", light=True)
    assert book.ask("b")[1] == []
    assert book.ask("a", light=True)[1] == []
    assert book.over(light) == [StopUnit("a", "makes room for b")]


def test_a_light_request_is_a_use_of_the_model() -> None:
    book = Playbook(spec("a", ttl=10.0))
    book.over(book.ready("a"))
    book.passes(6.0)
    light, _ = book.ask("a", light=True)
    book.passes(60.0)
    book.over(light)
    assert book.passes(9.0) == []
    assert book.passes(2.0) == [StopUnit("a", "idle for 10 s")]


# Slots


def test_the_engine_s_slots_are_a_limit() -> None:
    book = Playbook(spec("a"))
    first = book.ready("a", slots=1)
    second, actions = book.ask("a")
    assert actions == []
    assert book.over(first) == [Admit(second, "a")]


@pytest.mark.parametrize(("concurrency", "slots", "limit"), [(2, 4, 2), (4, 2, 2), (None, 3, 3), (3, None, 3)])
def test_the_lower_limit_counts(concurrency: int | None, slots: int | None, limit: int) -> None:
    book = Playbook(spec("a", concurrency=concurrency))
    book.ready("a", slots=slots)
    while book.ask("a")[1]:
        pass
    assert len(book.leases("a")) == limit


def test_slots_that_become_known_late_let_leases_end_by_themselves() -> None:
    book = Playbook(spec("a"))
    running = [book.ready("a"), book.ask("a")[0], book.ask("a")[0]]
    assert book.told("a", 1) == []
    waiting, actions = book.ask("a")
    assert actions == []
    assert book.over(running[0]) == []
    assert book.over(running[1]) == []
    assert book.over(running[2]) == [Admit(waiting, "a")]


def test_more_slots_admit_more() -> None:
    book = Playbook(spec("a"))
    book.ready("a", slots=1)
    second, _ = book.ask("a")
    assert book.told("a", 2) == [Admit(second, "a")]


def test_slots_are_kept_from_one_run_to_the_next_and_count_while_it_loads() -> None:
    book = Playbook(spec("a", queue=0))
    book.over(book.ready("a", slots=2))
    book.unit("a", ActiveState.ACTIVE)
    book.goes_down("a")
    requests = [book.ask("a")[0], book.ask("a")[0]]
    assert codes([*book.ask("a")[1]]) == ["queue_full"]
    assert book.comes_up("a") == [Admit(request, "a") for request in requests]


def test_slots_of_another_definition_are_forgotten() -> None:
    book = Playbook(spec("a", fingerprint="1"))
    book.over(book.ready("a", slots=1))
    book.configure(spec("a", fingerprint="2"))
    book.goes_down("a")
    book.ready("a")
    second, actions = book.ask("a")
    assert actions == [Admit(second, "a")]


@pytest.mark.parametrize("slots", [0, -1])
def test_slots_that_cannot_be_are_no_slots(slots: int) -> None:
    book = Playbook(spec("a"))
    book.ready("a", slots=slots)
    second, actions = book.ask("a")
    assert actions == [Admit(second, "a")]


# How long one may wait


def test_who_waits_too_long_is_turned_away_and_the_others_are_not() -> None:
    book = Playbook(spec("a", concurrency=1, queue_timeout=10.0))
    running = book.ready("a")
    first, _ = book.ask("a")
    book.passes(4.0)
    second, _ = book.ask("a")
    assert book.passes(5.9) == []
    [rejected] = book.passes(0.2)
    assert isinstance(rejected, Reject)
    assert (rejected.request, rejected.failure.code) == (first, "queue_timeout")
    assert book.over(running) == [Admit(second, "a")]


def test_loading_counts_as_waiting_and_the_load_goes_on() -> None:
    book = Playbook(spec("a", queue_timeout=10.0))
    book.ask("a")
    assert codes([*book.comes_up("a", after=20.0)]) == ["queue_timeout"]
    assert book.state("a") is State.READY


def test_a_wait_is_over_at_its_deadline_however_that_was_rounded() -> None:
    book = Playbook(spec("a", queue_timeout=45.0))
    book.now = 470.50000000000006
    assert (book.now + 45.0) - 45.0 < book.now
    book.ask("a")
    assert codes([*book.passes(45.0)]) == ["queue_timeout"]


def test_who_waits_for_room_too_long_leaves_the_busy_model_where_it_is() -> None:
    book = Playbook(spec("a"), spec("b", queue_timeout=10.0))
    book.ready("a")
    book.ask("b")
    assert book.state("a") is State.DRAINING
    assert codes([*book.passes(10.0)]) == ["queue_timeout"]
    assert book.state("a") is State.READY
    assert book.scheduler.claims == ()


def test_each_wait_ends_in_its_own_time() -> None:
    book = Playbook(spec("a", concurrency=1, queue_timeout=10.0))
    book.ready("a")
    for _ in range(5):
        book.ask("a")
        book.passes(1.0)
    rejected = [len(codes([*book.passes(1.0)])) for _ in range(10)]
    assert rejected == [0, 0, 0, 0, 1, 1, 1, 1, 1, 0]


def test_a_wait_and_the_state_have_their_ends_side_by_side() -> None:
    book = Playbook(spec("a"))
    book.configure(replace(spec("a", queue_timeout=10.0), load_timeout=20.0))
    book.ask("a")
    book.unit("a", ActiveState.ACTIVATING, new=True)
    assert codes([*book.passes(15.0)]) == ["queue_timeout"]
    assert [type(action) for action in book.passes(25.0)] == [StopUnit]


def test_a_shorter_limit_is_for_those_who_wait_already() -> None:
    book = Playbook(spec("a", concurrency=1))
    book.ready("a")
    book.ask("a")
    book.passes(30.0)
    book.configure(spec("a", concurrency=1, queue_timeout=10.0))
    assert codes([*book.passes(0.0)]) == ["queue_timeout"]


# Where one stands, and what one waited for


def test_a_place_is_counted_from_one_and_moves_up() -> None:
    book = Playbook(spec("a", concurrency=1))
    running = book.ready("a")
    first, second = book.ask("a")[0], book.ask("a")[0]
    assert [book.scheduler.place(request) for request in (running, first, second, 99)] == [0, 1, 2, 0]
    book.over(running)
    assert [book.scheduler.place(request) for request in (first, second)] == [0, 1]


def test_what_of_a_wait_was_loading() -> None:
    book = Playbook(spec("a", concurrency=1), spec("b"))
    other = book.ready("b")
    first, _ = book.ask("a")
    book.passes(5.0)
    book.over(other)
    book.goes_down("b")
    book.unit("a", ActiveState.ACTIVATING, new=True)
    book.passes(3.0)
    second, _ = book.ask("a")
    book.passes(4.0)
    assert book.unit("a", ActiveState.ACTIVE) == [Admit(first, "a", 7.0)]
    book.passes(9.0)
    third, _ = book.ask("a")
    assert book.over(first) == [Admit(second, "a", 4.0)]
    assert book.over(second) == [Admit(third, "a", 0.0)]


def test_several_loads_in_one_wait_add_up() -> None:
    book = Playbook(spec("a", fingerprint="1"))
    request, _ = book.ask("a")
    book.unit("a", ActiveState.ACTIVATING, new=True)
    book.passes(3.0)
    book.configure(spec("a", fingerprint="2"))
    book.passes(1.0)
    assert book.goes_down("a") == [StartUnit("a")]
    assert book.comes_up("a", after=4.0) == [Admit(request, "a", 7.0)]


def test_an_unload_while_light_requests_wait_tells_them() -> None:
    book = Playbook(spec("a"))
    book.ask("a", light=True)
    assert codes([*book.feed(UnloadAsked("a"))]) == ["model_unloaded"]
