"""What systemd reports is always right: adoption, stops by hand, crashes, reloads of the configuration."""

from dataclasses import replace

from swapper.core.events import ActiveState, AvailabilityChanged, StartRefused
from swapper.core.model import Failure, State
from tests.core.playbook import Abort, Admit, Playbook, Reject, StartUnit, StopUnit, spec


def test_what_runs_at_the_start_is_adopted_and_used() -> None:
    book = Playbook(spec("a"), spec("b"))
    assert book.unit("a", ActiveState.ACTIVE, new=True) == []
    request, actions = book.ask("a")
    assert actions == [Admit(request, "a")]
    _, actions = book.ask("b")
    assert actions == []


def test_what_failed_before_the_start_is_known_as_failed_and_the_next_request_starts_it_at_once() -> None:
    book = Playbook(spec("a"))
    crash = Failure("model_failed", "killed by SIGKILL")
    assert book.unit("a", ActiveState.FAILED, failure=crash, new=True) == []
    assert book.state("a") is State.FAILED
    record = book.scheduler.record("a")
    assert record is not None
    assert record.failure == crash
    _, actions = book.ask("a")
    assert actions == [StartUnit("a")]


def test_a_start_by_hand_is_joined() -> None:
    book = Playbook(spec("a"))
    book.unit("a", ActiveState.ACTIVATING, new=True)
    request, actions = book.ask("a")
    assert actions == []
    assert book.unit("a", ActiveState.ACTIVE) == [Admit(request, "a")]


def test_a_start_by_hand_makes_the_other_resident_go_once_it_is_idle() -> None:
    book = Playbook(spec("a"), spec("b"))
    request = book.ready("a")
    book.unit("b", ActiveState.ACTIVATING, new=True)
    assert book.state("a") is State.DRAINING
    assert [type(action) for action in book.over(request)] == [StopUnit]


def test_a_stop_by_hand_aborts_with_a_clear_error_and_the_next_request_starts_it_again() -> None:
    book = Playbook(spec("a"))
    request = book.ready("a")
    [abort] = book.unit("a", ActiveState.DEACTIVATING)
    assert isinstance(abort, Abort)
    assert (abort.request, abort.failure.code) == (request, "model_stopped")
    later, _ = book.ask("a")
    assert book.unit("a", ActiveState.INACTIVE) == [StartUnit("a")]
    assert book.comes_up("a") == [Admit(later, "a")]


def test_a_stop_by_hand_while_starting_tells_those_who_wait() -> None:
    book = Playbook(spec("a"))
    request, _ = book.ask("a")
    book.unit("a", ActiveState.ACTIVATING, new=True)
    [reject] = book.goes_down("a")
    assert isinstance(reject, Reject)
    assert (reject.request, reject.failure.code) == (request, "model_stopped")
    assert book.state("a") is State.STOPPED


def test_a_crash_aborts_with_its_reason_and_the_next_request_starts_at_once() -> None:
    book = Playbook(spec("a"))
    book.ready("a")
    crash = Failure("model_failed", "killed by SIGKILL")
    [abort] = book.unit("a", ActiveState.DEACTIVATING, failure=crash)
    assert isinstance(abort, Abort)
    assert abort.failure == replace(crash, retry_after=0.0)
    book.unit("a", ActiveState.FAILED, failure=crash)
    assert book.state("a") is State.FAILED
    _, actions = book.ask("a")
    assert actions == [StartUnit("a")]


def test_another_invocation_is_another_process() -> None:
    book = Playbook(spec("a"))
    request = book.ready("a")
    [abort] = book.unit("a", ActiveState.ACTIVE, new=True)
    assert isinstance(abort, Abort)
    assert (abort.request, abort.failure.code) == (request, "model_restarted")
    _, actions = book.ask("a")
    assert isinstance(actions[0], Admit)


def test_the_end_of_the_run_before_is_not_taken_for_the_end_of_this_one() -> None:
    book = Playbook(spec("a"))
    book.over(book.ready("a"))
    book.goes_down("a")
    request, actions = book.ask("a")
    assert actions == [StartUnit("a")]
    assert book.unit("a", ActiveState.INACTIVE) == []
    assert book.comes_up("a") == [Admit(request, "a")]


def test_a_late_refusal_of_an_old_start_is_ignored() -> None:
    book = Playbook(spec("a"))
    book.ready("a")
    assert book.feed(StartRefused("a", Failure("model_failed", "late"))) == []
    assert book.state("a") is State.READY


def test_files_that_changed_make_a_failed_model_worth_a_try() -> None:
    book = Playbook(spec("a"))
    book.ask("a")
    book.fails("a")
    book.feed(AvailabilityChanged("a", None))
    _, actions = book.ask("a")
    assert actions == [StartUnit("a")]


def test_availability_is_shown_and_never_touches_a_resident() -> None:
    book = Playbook(spec("a"), spec("b"))
    missing = Failure("model_incomplete", "x.part is still downloading")
    book.feed(AvailabilityChanged("b", missing))
    assert book.state("b") is State.INCOMPLETE
    book.feed(AvailabilityChanged("b", None))
    assert book.state("b") is State.STOPPED
    book.ready("a")
    book.feed(AvailabilityChanged("a", missing))
    assert book.state("a") is State.READY


def test_a_reload_keeps_unchanged_models_and_drains_changed_and_removed_ones() -> None:
    same, changed, gone = spec("same", 0, fingerprint="1"), spec("changed", 1, fingerprint="1"), spec("gone", 2)
    book = Playbook(same, changed, gone, gpus=(0, 1, 2))
    for name in ("same", "gone"):
        book.over(book.ready(name))
    busy = book.ready("changed")
    actions = book.configure(spec("same", 0, fingerprint="1", ttl=None), spec("changed", 1, fingerprint="2"))
    assert actions == [StopUnit("gone", "no longer configured")]
    assert book.state("same") is State.READY
    assert book.state("changed") is State.DRAINING
    assert book.over(busy) == [StopUnit("changed", "its configuration changed")]
    book.goes_down("gone")
    assert book.scheduler.record("gone") is None


def test_a_changed_model_that_is_asked_for_is_started_anew() -> None:
    book = Playbook(spec("a", fingerprint="1"))
    busy = book.ready("a")
    book.configure(spec("a", fingerprint="2"))
    request, _ = book.ask("a")
    book.over(busy)
    assert book.goes_down("a") == [StartUnit("a")]
    assert book.comes_up("a") == [Admit(request, "a")]


def test_those_who_wait_for_a_model_that_is_removed_are_told() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.ready("a")
    request, _ = book.ask("b")
    actions = book.configure(spec("a"))
    assert [(a.request, a.failure.code) for a in actions if isinstance(a, Reject)] == [(request, "model_not_found")]
    assert book.state("a") is State.READY
