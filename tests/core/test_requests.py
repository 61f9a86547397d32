"""Leases: on-demand start, joining a start, failure to all who wait, cancelled waiters."""

import pytest

from swapper.core.events import ActiveState, RequestArrived, StartRefused
from swapper.core.model import Failure, State
from tests.core.playbook import Abort, Admit, Playbook, Reject, StartUnit, StopUnit, spec


def codes(actions: list[object]) -> list[str]:
    return [action.failure.code for action in actions if isinstance(action, Reject | Abort)]


def test_first_request_starts_the_model_and_is_admitted_when_it_is_ready() -> None:
    book = Playbook(spec("a"))
    request, actions = book.ask("a")
    assert actions == [StartUnit("a")]
    assert book.unit("a", ActiveState.ACTIVATING, new=True) == []
    assert book.unit("a", ActiveState.ACTIVE) == [Admit(request, "a")]
    assert [(a.old, a.new) for a in book.announced] == [("stopped", "starting"), ("starting", "ready")]


def test_requests_join_a_start_that_is_under_way_in_their_order() -> None:
    book = Playbook(spec("a"))
    first, _ = book.ask("a")
    second, actions = book.ask("a")
    assert actions == []
    assert book.comes_up("a") == [Admit(first, "a"), Admit(second, "a")]


def test_a_ready_model_admits_at_once() -> None:
    book = Playbook(spec("a"))
    book.ready("a")
    request, actions = book.ask("a")
    assert actions == [Admit(request, "a")]


def test_an_unknown_model_is_rejected() -> None:
    book = Playbook(spec("a"))
    _, actions = book.ask("b")
    assert codes([*actions]) == ["model_not_found"]


def test_the_same_request_twice_is_an_error_that_changes_nothing() -> None:
    book = Playbook(spec("a"))
    request = book.ready("a")
    with pytest.raises(ValueError, match="has arrived already"):
        book.feed(RequestArrived(request, "a"))
    assert book.leases("a") == {request}


def test_a_failed_start_fails_all_who_wait_with_the_reason() -> None:
    book = Playbook(spec("a"))
    first, _ = book.ask("a")
    second, _ = book.ask("a")
    actions = book.fails("a")
    assert [(action.request, action.failure.message) for action in actions if isinstance(action, Reject)] == [
        (first, "a failed"),
        (second, "a failed"),
    ]
    assert book.state("a") is State.FAILED


def test_a_model_that_keeps_failing_is_not_started_again_at_each_request() -> None:
    book = Playbook(spec("a"))
    starts = 0
    for _ in range(100):
        _, actions = book.ask("a")
        if StartUnit("a") in actions:
            starts += 1
            book.fails("a")
        else:
            assert codes([*actions]) == ["model_failed"]
        book.passes(0.5)
    assert starts <= 6


def test_a_refused_start_says_when_to_try_again_and_a_good_one_forgets() -> None:
    book = Playbook(spec("a"))
    book.ask("a")
    book.fails("a")
    _, [refusal] = book.ask("a")
    assert isinstance(refusal, Reject)
    assert refusal.failure.retry_after == pytest.approx(1.0)
    book.passes(1.0)
    book.ready("a")
    record = book.scheduler.record("a")
    assert record is not None
    assert record.failures == 0


def test_missing_files_and_masked_units_have_states_of_their_own_and_no_pause() -> None:
    book = Playbook(spec("a"))
    for code, state in (("model_incomplete", State.INCOMPLETE), ("model_disabled", State.DISABLED)):
        _, actions = book.ask("a")
        assert actions == [StartUnit("a")]
        assert codes([*book.feed(StartRefused("a", Failure(code, "no")))]) == [code]
        assert book.state("a") is state


def test_a_cancelled_waiter_leaves_no_trace() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.ready("a")
    waiting, _ = book.ask("b")
    assert book.state("a") is State.DRAINING
    assert book.over(waiting) == []
    assert book.state("a") is State.READY
    assert book.scheduler.claims == ()
    _, actions = book.ask("a")
    assert len(actions) == 1
    assert isinstance(actions[0], Admit)


def test_when_all_waiters_of_a_start_leave_the_start_goes_on() -> None:
    book = Playbook(spec("a"))
    request, _ = book.ask("a")
    assert book.over(request) == []
    assert book.comes_up("a") == []
    assert book.state("a") is State.READY


def test_a_request_that_is_over_twice_is_over_once() -> None:
    book = Playbook(spec("a"))
    request = book.ready("a")
    assert book.over(request) == []
    assert book.over(request) == []


def test_concurrency_holds_back_and_lets_on_in_order() -> None:
    book = Playbook(spec("a", concurrency=1))
    first = book.ready("a")
    second, actions = book.ask("a")
    assert actions == []
    third, _ = book.ask("a")
    assert book.over(first) == [Admit(second, "a")]
    assert book.over(second) == [Admit(third, "a")]


def test_a_full_queue_rejects() -> None:
    book = Playbook(spec("a", concurrency=1, queue=1))
    book.ready("a")
    book.ask("a")
    _, actions = book.ask("a")
    assert codes([*actions]) == ["queue_full"]


def test_without_a_queue_as_many_wait_for_the_load_as_are_served_then() -> None:
    book = Playbook(spec("a", concurrency=2, queue=0), spec("b", queue=0))
    first, actions = book.ask("a")
    assert actions == [StartUnit("a")]
    second, _ = book.ask("a")
    _, actions = book.ask("a")
    assert codes([*actions]) == ["queue_full"]
    assert book.comes_up("a") == [Admit(first, "a"), Admit(second, "a")]
    _, actions = book.ask("b")
    assert actions == []


def test_a_model_that_is_never_ready_is_stopped_and_its_waiters_are_told() -> None:
    book = Playbook(spec("a"))
    book.ask("a")
    book.unit("a", ActiveState.ACTIVATING, new=True)
    assert book.passes(614.0) == []
    assert [type(action) for action in book.passes(2.0)] == [StopUnit]
    assert codes([*book.goes_down("a")]) == ["model_load_timeout"]
    assert book.state("a") is State.FAILED
    _, actions = book.ask("a")
    assert codes([*actions]) == ["model_load_timeout"]
