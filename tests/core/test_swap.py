"""Swapping: drain before stop, victims, pins, several GPUs, packing."""

from swapper.core.events import UnloadAsked
from swapper.core.model import State
from tests.core.playbook import Abort, Admit, Playbook, Reject, StartUnit, StopUnit, spec


def test_an_idle_resident_is_stopped_before_the_next_is_started() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.over(book.ready("a"))
    request, actions = book.ask("b")
    assert actions == [StopUnit("a", "makes room for b")]
    assert book.goes_down("a") == [StartUnit("b")]
    assert book.comes_up("b") == [Admit(request, "b")]


def test_a_busy_model_is_never_stopped_by_a_swap() -> None:
    book = Playbook(spec("a"), spec("b"))
    one = book.ready("a")
    two, _ = book.ask("a")
    _, actions = book.ask("b")
    assert actions == []
    assert book.over(one) == []
    assert book.over(two) == [StopUnit("a", "makes room for b")]


def test_a_draining_model_admits_nobody_and_comes_back_after_the_swap() -> None:
    book = Playbook(spec("a"), spec("b"))
    one = book.ready("a")
    two, _ = book.ask("b")
    three, actions = book.ask("a")
    assert actions == []
    book.over(one)
    assert book.goes_down("a") == [StartUnit("b")]
    assert book.comes_up("b") == [Admit(two, "b")]
    assert book.state("b") is State.DRAINING
    assert book.over(two) == [StopUnit("b", "makes room for a")]
    assert book.goes_down("b") == [StartUnit("a")]
    assert book.comes_up("a") == [Admit(three, "a")]


def test_a_drain_that_takes_too_long_is_given_up_and_the_busy_model_goes_on() -> None:
    book = Playbook(spec("a"), spec("b"))
    one = book.ready("a")
    two, _ = book.ask("b")
    three, _ = book.ask("a")
    actions = book.passes(600.0)
    assert [(a.request, a.failure.code) for a in actions if isinstance(a, Reject)] == [(two, "model_busy")]
    assert Admit(three, "a") in actions
    assert book.leases("a") == {one, three}


def test_two_claims_are_served_in_the_order_of_asking() -> None:
    book = Playbook(spec("a"), spec("b"), spec("c"))
    one = book.ready("a")
    book.ask("b")
    book.ask("c")
    assert book.scheduler.claims == ("b", "c")
    book.over(one)
    assert book.goes_down("a") == [StartUnit("b")]


def test_on_one_packed_gpu_models_stay_as_long_as_they_fit_and_the_least_recently_used_goes() -> None:
    book = Playbook(spec("asr", parts=300_000), spec("vl", parts=400_000), spec("big", parts=500_000), pack=True)
    book.over(book.ready("asr"))
    book.passes(1)
    book.over(book.ready("vl"))
    book.passes(1)
    _, actions = book.ask("asr")
    assert isinstance(actions[0], Admit)
    book.over(actions[0].request)
    _, actions = book.ask("big")
    assert actions == [StopUnit("vl", "makes room for big")]


def test_only_as_many_victims_as_are_needed() -> None:
    book = Playbook(*(spec(name, parts=250_000) for name in "abcd"), spec("half", parts=500_000), pack=True)
    for name in "abcd":
        book.over(book.ready(name))
        book.passes(1)
    _, actions = book.ask("half")
    assert actions == [StopUnit("a", "makes room for half"), StopUnit("b", "makes room for half")]


def test_starts_on_one_gpu_are_made_one_after_the_other() -> None:
    book = Playbook(spec("a", parts=300_000), spec("b", parts=300_000), pack=True)
    book.ask("a")
    request, actions = book.ask("b")
    assert actions == []
    assert StartUnit("b") in book.comes_up("a")
    assert book.comes_up("b") == [Admit(request, "b")]


def test_a_pinned_model_is_no_victim_and_who_cannot_fit_is_told() -> None:
    book = Playbook(spec("a", pinned=True), spec("b"))
    book.over(book.ready("a"))
    _, actions = book.ask("b")
    assert [a.failure.code for a in actions if isinstance(a, Reject)] == ["gpu_pinned"]
    assert book.state("a") is State.READY


def test_gpus_do_not_wait_for_each_other() -> None:
    book = Playbook(spec("a", 0), spec("b", 0), spec("c", 1))
    book.ready("a")
    book.ask("b")
    _, actions = book.ask("c")
    assert actions == [StartUnit("c")]


def test_a_model_on_two_gpus_waits_for_both_and_is_not_overtaken() -> None:
    book = Playbook(spec("a", 0), spec("b", 1), spec("wide", 0, 1), spec("late", 1))
    one = book.ready("a")
    book.over(book.ready("b"))
    request, actions = book.ask("wide")
    assert actions == [StopUnit("b", "makes room for wide")]
    assert book.goes_down("b") == []
    _, actions = book.ask("late")
    assert actions == []
    assert book.over(one) == [StopUnit("a", "makes room for wide")]
    assert book.goes_down("a") == [StartUnit("wide")]
    assert book.comes_up("wide")[0] == Admit(request, "wide")


def test_a_model_just_loaded_serves_those_who_waited_before_it_goes_again() -> None:
    book = Playbook(spec("a"), spec("b", concurrency=1))
    book.over(book.ready("a"))
    first, _ = book.ask("b")
    second, _ = book.ask("b")
    later, _ = book.ask("a")
    book.goes_down("a")
    assert book.comes_up("b") == [Admit(first, "b")]
    assert book.over(first) == [Admit(second, "b")]
    assert book.over(second) == [StopUnit("b", "makes room for a")]
    book.goes_down("b")
    assert book.comes_up("a") == [Admit(later, "a")]


def test_ttl_stops_an_idle_model_and_never_a_busy_one() -> None:
    book = Playbook(spec("a", ttl=10.0))
    request = book.ready("a")
    assert book.passes(100.0) == []
    book.over(request)
    assert book.passes(9.0) == []
    assert book.passes(2.0) == [StopUnit("a", "idle for 10 s")]


def test_unload_drains_and_then_stops_even_who_does_not_end() -> None:
    book = Playbook(spec("a"))
    request = book.ready("a")
    assert book.feed(UnloadAsked("a")) == []
    assert book.state("a") is State.DRAINING
    actions = book.passes(600.0)
    assert [type(action) for action in actions] == [Abort, StopUnit]
    assert book.leases("a") == set()
    assert book.over(request) == []


def test_unload_while_starting_tells_those_who_wait() -> None:
    book = Playbook(spec("a"))
    book.ask("a")
    actions = book.feed(UnloadAsked("a"))
    assert [type(action) for action in actions] == [Reject, StopUnit]


def test_stopping_that_does_not_end_is_ordered_again() -> None:
    book = Playbook(spec("a"))
    book.over(book.ready("a"))
    assert book.feed(UnloadAsked("a")) == [StopUnit("a", "unloaded by an operator")]
    assert book.passes(76.0) == [StopUnit("a", "it does not stop")]


def test_a_model_without_a_gpu_needs_no_room() -> None:
    book = Playbook(spec("a"))
    cpu = spec("cpu")
    book.configure(spec("a"), type(cpu)("cpu", ()))
    book.ready("a")
    _, actions = book.ask("cpu")
    assert actions == [StartUnit("cpu")]
