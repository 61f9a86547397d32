"""Why a model is in its state, and what that is counted as."""

import copy
import json
import pickle

import pytest

from swapper.core import reasons
from swapper.core.events import ActiveState, AvailabilityChanged, StartRefused, UnloadAsked
from swapper.core.model import Failure
from swapper.core.reasons import Cause, Reason, cause_of
from tests.core.playbook import Playbook, spec


def causes(book: Playbook, model: str) -> list[tuple[str, str]]:
    """What was announced of a model since the last look: new state and cause."""
    announced, book.announced = book.announced, []
    return [(str(a.new), str(cause_of(a.reason))) for a in announced if a.model == model]


def test_a_swap_is_counted_from_the_drain_to_the_end_of_the_stop() -> None:
    book = Playbook(spec("a"), spec("b"))
    request = book.ready("a")
    assert causes(book, "a") == [("starting", "asked"), ("ready", "ready")]
    book.ask("b")
    book.over(request)
    book.goes_down("a")
    assert causes(book, "a") == [("draining", "swap"), ("stopping", "swap"), ("stopped", "swap")]


def test_room_that_is_not_needed_any_more() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.ready("a")
    waiting, _ = book.ask("b")
    causes(book, "a")
    book.over(waiting)
    assert causes(book, "a") == [("ready", "spared")]


def test_idleness_and_a_stop_that_takes_long_keep_their_cause() -> None:
    book = Playbook(spec("a", ttl=10.0))
    book.over(book.ready("a"))
    causes(book, "a")
    book.passes(10.0 + 100.0)
    book.goes_down("a")
    assert causes(book, "a") == [("stopping", "idle"), ("stopped", "idle")]


def test_operators_and_configurations() -> None:
    book = Playbook(spec("a", 0), spec("b", 1, fingerprint="1"))
    for name in "ab":
        book.over(book.ready(name))
    book.announced.clear()
    book.feed(UnloadAsked("a"))
    assert {cause for _, cause in causes(book, "a")} == {"operator"}
    book.announced.clear()
    book.configure(spec("b", 1, fingerprint="2"))
    assert causes(book, "b") == [("draining", "configuration"), ("stopping", "configuration")]


@pytest.mark.parametrize(
    ("code", "cause"),
    [("model_failed", Cause.FAILURE), ("model_incomplete", Cause.FILES), ("model_disabled", Cause.FILES)],
)
def test_what_failed_is_told_from_what_is_missing(code: str, cause: Cause) -> None:
    book = Playbook(spec("a"))
    book.ask("a")
    book.feed(StartRefused("a", Failure(code, "no")))
    assert book.announced[-1].reason == "no"
    assert cause_of(book.announced[-1].reason) is cause
    book.feed(AvailabilityChanged("a", None))
    assert cause_of(book.announced[-1].reason) is Cause.FILES


def test_what_somebody_else_does_is_nobody_s_failure() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.unit("a", ActiveState.ACTIVATING, new=True)
    book.unit("a", ActiveState.ACTIVE)
    assert causes(book, "a") == [("starting", "external"), ("ready", "ready")]
    book.unit("b", ActiveState.ACTIVE, new=True)
    assert {cause for _, cause in causes(book, "a")} == {"external"}
    book.goes_down("b")
    assert [cause for _, cause in causes(book, "b")] == ["external", "external"]


def test_copies_are_the_same_and_json_sees_the_sentence() -> None:
    reason = reasons.makes_room("b")
    twins: list[Reason] = [copy.deepcopy(reason), pickle.loads(pickle.dumps(reason))]  # noqa: S301 — our own bytes
    assert [(twin, twin.cause) for twin in twins] == [("makes room for b", Cause.SWAP)] * 2
    assert json.dumps(reason) == '"makes room for b"'
