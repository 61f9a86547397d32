"""Early starts: the process is there before its turn, the model is not."""

from dataclasses import replace

from swapper.core.actions import Action, StartEarly
from swapper.core.early import Early
from swapper.core.events import ActiveState, AvailabilityChanged, StartRefused, TimePassed, UnitChanged, UnloadAsked
from swapper.core.model import Failure, ModelSpec, State
from swapper.core.record import Record
from swapper.core.seating import GRACE
from tests.core.playbook import Admit, Playbook, Reject, StartUnit, StopUnit, spec


def early(model: ModelSpec) -> ModelSpec:
    return replace(model, early=True)


def record(book: Playbook, model: str = "b") -> Record:
    found = book.scheduler.record(model)
    assert found is not None
    return found


def at_gate(book: Playbook, model: str = "b") -> list[Action]:
    """Its process is reported: a new one, and it waits."""
    return book.feed(UnitChanged(model, ActiveState.ACTIVATING, f"gated-{next(book.invocations)}", gated=True))


def draining() -> tuple[Playbook, int, int]:
    """A model that answers a request drains for one that starts early, for which a request waits."""
    book = Playbook(spec("a"), early(spec("b")), early(spec("c")))
    one = book.ready("a")
    two, actions = book.ask("b")
    assert actions == [StartEarly("b")]
    assert (book.state("a"), book.state("b")) == (State.DRAINING, State.STOPPED)
    return book, one, two


def test_it_waits_at_the_gate_and_goes_on_when_the_other_one_is_gone() -> None:
    book, one, two = draining()
    assert at_gate(book) == []
    assert (record(book).appears, record(book).holds) == (State.STARTING, ())
    assert book.passes(100.0) == []
    assert [action.model for action in book.over(one) if isinstance(action, StopUnit)] == ["a"]
    assert record(book).holds == ()
    assert book.goes_down("a") == [StartUnit("b")]
    assert book.state("b") is State.STARTING
    assert book.unit("b", ActiveState.ACTIVE) == [Admit(two, "b")]


def test_only_one_that_can_do_so_is_started_early() -> None:
    book = Playbook(spec("a"), spec("b"))
    book.ready("a")
    assert book.ask("b")[1] == []


def test_only_one_for_whom_a_busy_one_makes_room_is() -> None:
    book = Playbook(early(spec("a")), early(spec("b")))
    book.over(book.ready("a"))
    assert [type(action) for action in book.ask("b")[1]] == [StopUnit]


def test_it_is_asked_for_once() -> None:
    book, _, _ = draining()
    assert book.ask("b")[1] == []
    assert at_gate(book) == []
    assert book.ask("b")[1] == []


def test_what_a_load_takes_is_counted_from_the_gate_on() -> None:
    book, one, two = draining()
    at_gate(book)
    book.passes(100.0)
    book.over(one)
    book.goes_down("a")
    book.passes(7.0)
    actions = book.feed(UnitChanged("b", ActiveState.ACTIVE, record(book).invocation, took=107.0))
    assert actions == [Admit(two, "b", 7.0)]
    assert record(book).pace.loads.known == 7.0


def test_so_is_its_load_timeout() -> None:
    book, one, _ = draining()
    at_gate(book)
    book.passes(500.0)
    book.over(one)
    book.goes_down("a")
    assert book.passes(record(book).spec.load_timeout + GRACE - 1) == []
    assert [type(action) for action in book.passes(2.0)] == [StopUnit]


def test_the_next_start_goes_by_systemds_clock_again() -> None:
    book, one, two = draining()
    at_gate(book)
    book.over(one)
    book.goes_down("a")
    book.unit("b", ActiveState.ACTIVE)
    book.over(two)
    book.feed(UnloadAsked("b"))
    book.goes_down("b")
    loads = record(book).pace.loads
    loads.count, loads.seconds = 0, 0.0
    book.ask("b")
    book.feed(UnitChanged("b", ActiveState.ACTIVE, "another", took=3.0))
    assert loads.known == 3.0


def test_it_may_be_its_turn_before_systemd_has_said_a_word() -> None:
    book, one, two = draining()
    book.over(one)
    assert book.goes_down("a") == [StartUnit("b")]
    assert book.unit("b", ActiveState.INACTIVE) == [], "the end of the run before"
    assert book.comes_up("b") == [Admit(two, "b")]


def test_when_nobody_waits_for_it_any_more_it_is_stopped_and_the_other_one_stays() -> None:
    book, one, two = draining()
    at_gate(book)
    assert book.over(two) == [StopUnit("b", "nobody waits for it any more")]
    assert (book.state("a"), book.state("b"), record(book).early) == (State.READY, State.STOPPED, Early.LEAVES)
    assert record(book).appears is State.STOPPING
    assert book.leases("a") == {one}
    assert book.goes_down("b") == []
    assert (book.state("b"), record(book).early) == (State.STOPPED, Early.NO)
    assert not [change for change in book.announced if change.model == "b"], "it never was there"


def test_who_asks_while_it_leaves_waits_until_it_is_gone() -> None:
    book, one, two = draining()
    at_gate(book)
    book.over(two)
    three, actions = book.ask("b")
    assert actions == []
    book.over(one)
    assert book.goes_down("a") == [], "it is not gone yet"
    assert book.goes_down("b") == [StartUnit("b")]
    assert book.comes_up("b") == [Admit(three, "b")]


def test_one_that_does_not_leave_is_told_again() -> None:
    book, _, two = draining()
    at_gate(book)
    book.over(two)
    assert book.passes(record(book).loaded.stop_timeout + GRACE - 1) == []
    assert [type(action) for action in book.passes(2.0)] == [StopUnit]
    assert record(book).early is Early.LEAVES


def test_a_late_report_of_one_that_leaves_changes_nothing() -> None:
    book, _, two = draining()
    book.over(two)
    assert at_gate(book) == []
    assert (record(book).early, book.state("a")) == (Early.LEAVES, State.READY)


def test_one_that_fails_at_the_gate_is_a_start_that_failed() -> None:
    book, _, two = draining()
    at_gate(book)
    failure = Failure("model_failed", "no module named torch")
    [reject] = book.feed(UnitChanged("b", ActiveState.FAILED, record(book).invocation, failure))
    assert isinstance(reject, Reject)
    assert (reject.request, reject.failure.code, reject.failure.retry_after) == (two, "model_failed", 1.0)
    assert (book.state("a"), book.state("b")) == (State.READY, State.FAILED)
    assert record(book).retry_at == book.now + 1.0


def test_so_is_one_that_ends_as_soon_as_the_gate_is_open() -> None:
    book, one, two = draining()
    at_gate(book)
    book.over(one)
    book.goes_down("a")
    [reject] = book.unit("b", ActiveState.INACTIVE)
    assert isinstance(reject, Reject)
    assert (reject.request, book.state("b")) == (two, State.STOPPED)


def test_one_that_has_to_be_killed_when_it_leaves_has_not_failed() -> None:
    book, _, two = draining()
    at_gate(book)
    book.over(two)
    book.feed(UnitChanged("b", ActiveState.FAILED, record(book).invocation, Failure("model_failed", "killed")))
    assert (book.state("b"), record(book).early, record(book).failures) == (State.STOPPED, Early.NO, 0)


def test_one_that_somebody_stops_at_the_gate_is_told_of() -> None:
    book, _, two = draining()
    at_gate(book)
    book.unit("b", ActiveState.DEACTIVATING)
    [reject] = book.unit("b", ActiveState.INACTIVE)
    assert isinstance(reject, Reject)
    assert (reject.request, reject.failure.code) == (two, "model_stopped")
    assert (book.state("a"), book.state("b"), record(book).early) == (State.READY, State.STOPPED, Early.NO)


def test_one_that_cannot_be_started_is_told_of() -> None:
    book, _, two = draining()
    [reject] = book.feed(StartRefused("b", Failure("model_incomplete", "a file is missing")))
    assert isinstance(reject, Reject)
    assert reject.request == two
    assert (book.state("a"), book.state("b")) == (State.READY, State.INCOMPLETE)


def test_who_unloads_it_at_the_gate_has_it_stopped() -> None:
    book, _, two = draining()
    at_gate(book)
    reject, stop = book.feed(UnloadAsked("b"))
    assert isinstance(reject, Reject)
    assert (reject.request, reject.failure.code) == (two, "model_unloaded")
    assert stop == StopUnit("b", "unloaded by an operator")


def test_another_definition_begins_anew() -> None:
    book, one, two = draining()
    at_gate(book)
    assert book.configure(spec("a"), early(spec("b", fingerprint="2"))) == [StopUnit("b", "its configuration changed")]
    book.over(one)
    assert book.goes_down("a") == []
    assert book.goes_down("b") == [StartUnit("b")]
    assert book.comes_up("b") == [Admit(two, "b")]


def test_also_where_it_needs_no_gpu_any_more() -> None:
    book, _, _ = draining()
    at_gate(book)
    elsewhere = replace(spec("b", fingerprint="2"), demands=())
    assert book.configure(spec("a"), elsewhere) == [StopUnit("b", "its configuration changed")]
    assert book.goes_down("b") == [StartUnit("b")]


def test_one_that_is_not_configured_any_more_goes_and_is_forgotten() -> None:
    book, _, two = draining()
    at_gate(book)
    reject, stop = book.configure(spec("a"))
    assert isinstance(reject, Reject)
    assert (reject.request, stop) == (two, StopUnit("b", "nobody waits for it any more"))
    assert book.scheduler.record("b") is not None
    book.goes_down("b")
    assert book.scheduler.record("b") is None


def test_who_is_more_urgent_comes_first_and_both_wait_at_the_gate() -> None:
    book, one, two = draining()
    at_gate(book)
    three, _ = book.ask("c", priority=5)
    assert book.now
    book.over(one)
    [start] = book.goes_down("a")
    assert start == StartUnit("c")
    assert record(book).early is Early.WAITS
    assert book.comes_up("c") == [Admit(three, "c")]
    assert book.state("c") is State.DRAINING
    book.over(three)
    assert book.goes_down("c") == [StartUnit("b")]
    assert book.unit("b", ActiveState.ACTIVE) == [Admit(two, "b")]


def test_who_waits_too_long_for_room_has_its_process_stopped() -> None:
    book, _, two = draining()
    at_gate(book)
    reject, stop = book.passes(600.0)
    assert isinstance(reject, Reject)
    assert (reject.request, reject.failure.code) == (two, "model_busy")
    assert stop == StopUnit("b", "nobody waits for it any more")


def test_a_router_that_comes_back_finds_it_at_the_gate_and_stops_it() -> None:
    book = Playbook(early(spec("b")))
    [stop] = at_gate(book)
    assert stop == StopUnit("b", "nobody waits for it any more")
    assert record(book).early is Early.LEAVES
    book.goes_down("b")
    assert record(book).early is Early.NO


def test_or_keeps_it_for_who_waits() -> None:
    book = Playbook(spec("a"), spec("b"))
    one = book.ready("a")
    two, _ = book.ask("b")
    assert at_gate(book) == []
    book.over(one)
    assert book.goes_down("a") == [StartUnit("b")]
    assert book.unit("b", ActiveState.ACTIVE) == [Admit(two, "b")]


def test_somebody_who_starts_another_process_in_its_place_gets_it_straight_away() -> None:
    book, _, two = draining()
    at_gate(book)
    book.unit("b", ActiveState.ACTIVATING, new=True)
    assert (book.state("b"), record(book).early, record(book).adopted) == (State.STARTING, Early.NO, True)
    assert book.unit("b", ActiveState.ACTIVE) == [Admit(two, "b")]


def test_the_start_of_a_profile_opens_the_gate() -> None:
    book, _, _ = draining()
    at_gate(book)
    assert StartUnit("b") in book.feed(UnitChanged("b", ActiveState.ACTIVATING))
    assert (book.state("b"), record(book).opened) == (State.STARTING, True)


def test_but_not_of_one_that_leaves() -> None:
    book, _, two = draining()
    at_gate(book)
    book.over(two)
    assert book.feed(UnitChanged("b", ActiveState.ACTIVATING)) == []
    assert record(book).early is Early.LEAVES


def test_files_that_come_and_go_say_nothing_to_one_that_runs() -> None:
    book, _, _ = draining()
    at_gate(book)
    assert book.feed(AvailabilityChanged("b", Failure("model_incomplete", "a file is missing"))) == []
    assert book.feed(TimePassed()) == []
    assert (book.state("b"), record(book).early) == (State.STOPPED, Early.WAITS)
