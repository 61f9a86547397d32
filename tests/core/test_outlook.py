"""`Retry-After`: made of what was measured, and not said where nothing is known."""

from dataclasses import replace

import pytest

from swapper.core.actions import Action
from swapper.core.events import ActiveState, StartRefused, UnloadAsked
from swapper.core.model import Failure
from swapper.core.pace import Mean
from tests.core.playbook import Abort, Playbook, Reject, spec


def after(actions: list[Action]) -> tuple[str, float | None]:
    """Code and seconds, to the microsecond, of the only answer."""
    [answer] = [action for action in actions if isinstance(action, Reject | Abort)]
    seconds = answer.failure.retry_after
    return answer.failure.code, None if seconds is None else round(seconds, 6)


def fill(book: Playbook, model: str) -> list[Action]:
    """Ask until somebody is turned away."""
    while True:
        _, actions = book.ask(model)
        if any(isinstance(action, Reject) for action in actions):
            return actions


def test_the_mean_is_plain_at_first_and_then_forgets() -> None:
    mean = Mean(4)
    assert mean.known is None
    for seconds in (1.0, 2.0, 3.0):
        mean.note(seconds)
    assert mean.known == pytest.approx(2.0)
    for _ in range(40):
        mean.note(10.0)
    assert mean.known == pytest.approx(10.0, rel=1e-3)
    mean.note(100.0)
    assert mean.known == pytest.approx(32.5, rel=1e-3)


def test_a_full_queue_before_anything_was_measured() -> None:
    book = Playbook(spec("a", concurrency=1, queue=0))
    book.ask("a")
    assert after(fill(book, "a")) == ("queue_full", None)
    book.comes_up("a")
    assert after(fill(book, "a")) == ("queue_full", None)


@pytest.mark.parametrize(("concurrency", "seconds"), [(1, 6.0), (2, 3.0), (4, 1.5)])
def test_a_full_queue_has_a_place_when_the_next_answer_ends(concurrency: int, seconds: float) -> None:
    book = Playbook(spec("a", concurrency=concurrency, queue=3))
    running = book.ready("a")
    book.passes(4.0)
    book.over(running)
    book.answers("a", 6.0, 8.0)
    assert after(fill(book, "a")) == ("queue_full", seconds)


def test_what_has_run_longer_than_usual_is_taken_to_need_as_long_again() -> None:
    book = Playbook(spec("a", concurrency=2, queue=0, ttl=None))
    running = book.ready("a")
    book.passes(2.0)
    book.over(running)
    book.ask("a")
    book.passes(8.0)
    book.ask("a")
    # One ends within 8 s, the other within 2 s: one of them within 1 / (1/8 + 1/2).
    assert after(book.ask("a")[1]) == ("queue_full", 1.6)


def test_light_requests_and_their_ends_say_nothing() -> None:
    book = Playbook(spec("a", concurrency=1, queue=0))
    running = book.ready("a")
    book.passes(4.0)
    book.over(running)
    light, _ = book.ask("a", light=True)
    book.over(light)
    book.ask("a", light=True)
    assert after(fill(book, "a")) == ("queue_full", 4.0)


def test_while_it_loads_the_rest_of_the_load_and_the_first_answer_come_first() -> None:
    book = Playbook(spec("a", concurrency=1, queue=0))
    running = book.ready("a", after=20.0)
    book.passes(3.0)
    book.over(running)
    book.goes_down("a")
    book.ask("a")
    book.unit("a", ActiveState.ACTIVATING, new=True)
    book.passes(5.0)
    assert after(fill(book, "a")) == ("queue_full", 15.0 + 3.0)
    book.passes(16.0)
    assert after(fill(book, "a")) == ("queue_full", None), "it takes longer than ever"


def test_a_swap_is_made_of_the_drain_the_stop_and_the_load() -> None:
    book = Playbook(spec("a"), spec("b", queue=0))
    for name, load, answer, stop in (("b", 10.0, 1.0, 2.0), ("a", 20.0, 4.0, 3.0)):
        running = book.ready(name, after=load)
        book.passes(answer)
        book.over(running)
        book.feed(UnloadAsked(name))
        book.unit(name, ActiveState.DEACTIVATING)
        book.passes(stop)
        book.unit(name, ActiveState.INACTIVE)
    one = book.ready("a", after=20.0)
    two, _ = book.ask("a")
    book.ask("b")
    # Both answers of a, 4 s (1 + 1/2); its stop; the load of b. Who waits for b then is served at once.
    assert after(fill(book, "b")) == ("queue_full", 6.0 + 3.0 + 10.0)
    book.over(one)
    book.over(two)
    book.passes(1.0)
    assert after(fill(book, "b")) == ("queue_full", 2.0 + 10.0)


def test_while_it_drains_what_ends_makes_a_place_in_its_queue() -> None:
    book = Playbook(spec("a", concurrency=2, queue=1), spec("b"))
    running = [book.ready("a")]
    book.passes(6.0)
    book.over(running[0])
    running = [book.ask("a")[0], book.ask("a")[0]]
    book.ask("b")
    assert after(fill(book, "a")) == ("queue_full", 3.0)
    book.over(running[0])
    assert book.ask("a")[1] == []
    assert after(book.ask("a")[1])[0] == "queue_full"


def test_nobody_foresees_what_others_do_with_the_gpu_first() -> None:
    book = Playbook(spec("a"), spec("b"), spec("c", queue=0))
    for name in "cba":
        running = book.ready(name, after=5.0)
        book.over(running)
        book.feed(UnloadAsked(name))
        book.goes_down(name)
    book.ready("a", after=5.0)
    book.ask("b")
    book.ask("c")
    assert after(fill(book, "c")) == ("queue_full", None)


def test_another_definition_has_other_times() -> None:
    book = Playbook(spec("a", concurrency=1, queue=0, fingerprint="1"))
    running = book.ready("a", after=20.0)
    book.passes(3.0)
    book.configure(spec("a", concurrency=1, queue=0, fingerprint="2"))
    book.over(running)
    book.goes_down("a")
    book.ask("a")
    assert after(fill(book, "a")) == ("queue_full", None)


def test_who_waited_too_long_comes_again_when_the_others_have_been_served() -> None:
    book = Playbook(spec("a", concurrency=1, queue_timeout=10.0))
    running = book.ready("a")
    book.passes(6.0)
    book.over(running)
    book.ask("a")
    book.ask("a")
    book.passes(5.0)
    book.ask("a")
    code, seconds = after(book.passes(5.5))
    # The one that runs has taken 10 s, so it needs as long again, and so do the one that waits and his own: at
    # its pace, two of them.
    assert (code, seconds) == ("queue_timeout", 20.0)


def test_what_failed_is_tried_again_after_its_pause() -> None:
    book = Playbook(spec("a"))
    for pause in (1.0, 2.0, 4.0):
        book.ask("a")
        assert after(book.fails("a")) == ("model_failed", pause)
        book.passes(pause / 4)
        assert after(book.ask("a")[1]) == ("model_failed", pause * 3 / 4)
        book.passes(pause)


def test_a_load_that_took_too_long_is_tried_again_after_its_pause() -> None:
    book = Playbook(replace(spec("a"), load_timeout=5.0))
    book.ask("a")
    book.unit("a", ActiveState.ACTIVATING, new=True)
    book.passes(60.0)
    assert after(book.goes_down("a")) == ("model_load_timeout", 1.0)


def test_files_that_are_missing_come_when_they_come() -> None:
    book = Playbook(spec("a"))
    book.ask("a")
    assert after(book.feed(StartRefused("a", Failure("model_incomplete", "no")))) == ("model_incomplete", None)


def test_a_busy_model_is_asked_again_when_what_it_does_now_has_ended() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.ready("a")
    book.ask("b")
    assert after(book.passes(600.0)) == ("model_busy", None)
    book.answers("a", 10.0)
    book.ask("b")
    assert after(book.passes(600.0)) == ("model_busy", 1210.0), "as long as the oldest has run"


def test_what_ends_with_its_engine_may_be_sent_again_at_once() -> None:
    book = Playbook(spec("a"))
    book.ready("a")
    assert after(book.unit("a", ActiveState.ACTIVE, new=True)) == ("model_restarted", 0.0)
    book.ask("a")
    assert after(book.unit("a", ActiveState.DEACTIVATING)) == ("model_stopped", 0.0)
    book.unit("a", ActiveState.INACTIVE)
    book.ask("a")
    assert after(book.feed(UnloadAsked("a"))) == ("model_unloaded", 0.0)


def test_who_is_not_configured_any_more_has_nothing_to_wait_for() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.ready("a")
    book.configure(spec("b"))
    assert after(book.passes(600.0)) == ("model_unloaded", None)
