"""The virtual host: nobody is lost, nothing depends on anything but the question, and no policy can cheat."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapper.core.actions import Abort, Action, Admit, StartEarly, StartUnit, StopUnit
from swapper.core.events import ActiveState, Event, RequestArrived, UnitChanged
from swapper.core.invariants import validate
from swapper.core.model import Demand, Failure, Gpu, ModelSpec, Policy
from swapper.core.scheduler import Scheduler
from swapper.simulate.figures import Figures
from swapper.simulate.host import Misconduct
from swapper.simulate.policies import POLICIES
from swapper.simulate.sharing import Sharing
from swapper.simulate.workload import Ask, Model, Workload
from swapper.simulate.world import World
from tests.simulate.scripts import Watched, model, run, waits, workload

NAMES = "abcd"
TIMES = st.integers(0, 12).map(lambda quarter: quarter / 4)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Four models on two GPUs and in two groups, anyhow; open requests, and clients."""
    models = tuple(
        Model(
            ModelSpec(
                name,
                tuple(Demand(gpu, draw(st.sampled_from([300_000, 600_000, 1_000_000])))
                      for gpu in draw(st.sets(st.integers(-1, 1)))),
                together=draw(st.sampled_from(["", "", "talk"])),
                concurrency=draw(st.sampled_from([None, 1, 2])),
                ttl=draw(st.sampled_from([None, 1.0])),
                queue=draw(st.sampled_from([None, None, 1])),
                queue_timeout=draw(st.sampled_from([None, None, 5.0])),
                drain_timeout=draw(st.sampled_from([600.0, 2.0])),
            ),
            draw(TIMES),
            draw(TIMES),
            speeds=draw(st.sampled_from([(), (1.0, 0.5, 0.25)])),
        )
        for name in NAMES
    )  # fmt: skip
    ask = st.builds(Ask, TIMES, st.sampled_from(NAMES), TIMES, TIMES)
    asks = sorted(draw(st.lists(ask, max_size=12)))
    clients = draw(st.lists(st.lists(ask, min_size=1, max_size=5).map(tuple), max_size=3))
    gpus = (*(Gpu(index, draw(st.sampled_from(Policy))) for index in range(2)), Gpu(-1, group="heavy"))
    return Workload("drawn", models, gpus, tuple(asks), tuple(clients))


@pytest.mark.parametrize("policy", POLICIES)
@settings(deadline=None, max_examples=60)
@given(asked=workloads())
def test_every_request_is_answered_or_rejected_once(policy: str, asked: Workload) -> None:
    decider = POLICIES[policy]()
    watched = Watched(decider)
    after: Callable[[], None] | None = None
    if isinstance(decider, Scheduler):
        scheduler = decider
        after = lambda: validate(scheduler)  # noqa: E731
    tally = World(asked, watched, after=after).run()
    count = len(tuple(asked.asks)) + sum(map(len, asked.clients))
    assert sorted(watched.admitted + watched.rejected) == watched.arrived == list(range(1, count + 1))
    assert sum(each.answered + each.aborted for each in tally.models.values()) == len(watched.admitted)
    assert sum(each.rejected for each in tally.models.values()) == len(watched.rejected)
    assert sum(len(each.waits) for each in tally.models.values()) == len(watched.admitted)


@pytest.mark.parametrize("policy", POLICIES)
@settings(deadline=None, max_examples=20)
@given(asked=workloads())
def test_the_same_question_has_the_same_answer(policy: str, asked: Workload) -> None:
    one, two = (Watched(POLICIES[policy]()) for _ in range(2))
    assert Figures.of(World(asked, one).run()) == Figures.of(World(asked, two).run())
    assert one.by_time == two.by_time


@settings(deadline=None)
@given(asked=workloads())
def test_first_come_is_first_served(asked: Workload) -> None:
    """On every GPU leases are given in the order of arrival."""
    watched = Watched(POLICIES["fcfs"]())
    World(asked, watched).run()
    where = {each.spec.name: {demand.gpu for demand in each.spec.demands} for each in asked.models}
    for gpu in (0, 1):
        there = [a.request for _, a in watched.by_time if isinstance(a, Admit) and gpu in where[a.model]]
        assert there == sorted(there)


def test_a_client_asks_again_when_it_has_thought_about_the_answer() -> None:
    """Loaded 0-2, a works 2-3, then from 3.5; whoever comes at 3.2 is there before, so the client waits until 5.2."""
    client = (Ask(0.0, "a", 1.0), Ask(0.0, "a", 1.0, 0.5), Ask(9.0, "a", 1.0, 0.5))
    tally = run("collation", workload((3.2, "a", 2.0), clients=(client,)))
    assert waits(tally, "a") == [2.0, 0.0, 1.7, 0.0]
    assert tally.ended == 10.0


def test_a_client_that_is_turned_away_goes_on() -> None:
    spec = ModelSpec("a", concurrency=1, queue=0)
    client = tuple(Ask(0.0, "a", 1.0, think) for think in (0.0, 0.5, 5.0))
    tally = run("ours", workload((0.0, "a", 4.0), models=(Model(spec, 2.0, 1.0),), clients=(client,)))
    assert (tally.models["a"].rejected, tally.models["a"].answered) == (1, 3)


class _Says:
    """A policy that answers arrivals with these actions."""

    def __init__(self, *actions: Action, when_ready: tuple[Action, ...] = ()) -> None:
        self.actions, self.when_ready = list(actions), list(when_ready)

    def handle(self, event: Event, now: float) -> list[Action]:  # noqa: ARG002
        if isinstance(event, RequestArrived):
            return self.actions
        return self.when_ready if isinstance(event, UnitChanged) and event.active is ActiveState.ACTIVE else []

    def deadline(self) -> float | None:
        return None


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        (_Says(), "wait for ever"),
        (_Says(Admit(1, "a")), "was to work"),
        (_Says(StartUnit("a"), StartUnit("b")), "no room"),
        (_Says(StartUnit("a"), StartUnit("a")), "it is activating"),
        (_Says(StartEarly("a")), "one span of time"),
        (_Says(StartUnit("a"), when_ready=(Admit(1, "b"),)), "does not wait"),
        (_Says(StartUnit("a"), when_ready=(Admit(1, "a"), Admit(1, "a"))), "does not wait"),
        (_Says(StartUnit("a"), when_ready=(Admit(1, "a"), StopUnit("a", ""))), "while it works"),
    ],
)
def test_no_policy_can_cheat(policy: _Says, what: str) -> None:
    with pytest.raises(Misconduct, match=what):
        World(workload((0.0, "a", 1.0)), policy).run()


def test_a_request_that_is_broken_off_is_over() -> None:
    gone = Failure("model_stopped", "It was stopped.")
    policy = _Says(StartUnit("a"), when_ready=(Admit(1, "a"), Abort(1, "a", gone), StopUnit("a", "")))
    tally = World(workload((0.0, "a", 5.0)), policy).run()
    assert (tally.models["a"].aborted, tally.models["a"].answered, tally.ended) == (1, 0, 2.0)


def test_no_more_at_once_than_the_model_may() -> None:
    class Generous(_Says):
        def handle(self, event: Event, now: float) -> list[Action]:
            said = super().handle(event, now)
            return [] if isinstance(event, RequestArrived) and event.request == 2 else said

    policy = Generous(StartUnit("a"), when_ready=(Admit(1, "a"), Admit(2, "a")))
    with pytest.raises(Misconduct, match="already"):
        World(workload((0.0, "a", 1.0), (0.5, "a", 1.0)), policy).run()


def test_an_engine_gets_slower_with_each_request_and_faster_again() -> None:
    """Loaded 0-2; the first has 1 s of 2 done at 3, when the second comes with 0.5 s, which at half speed take until 4.

    The first has 0.5 s done meanwhile, and the last 0.5 s alone.
    """
    model = Model(ModelSpec("a", concurrency=2), 2.0, 1.0, speeds=(1.0, 0.5))
    watched = Watched(POLICIES["ours"]())
    tally = World(workload((0.0, "a", 2.0), (3.0, "a", 0.5), models=(model,)), watched).run()
    assert watched.over == [(4.0, 2), (4.5, 1)]
    assert (tally.models["a"].answered, tally.ended) == (2, 4.5)


def test_who_is_broken_off_leaves_an_engine_to_the_others() -> None:
    """Two from 2 on at half speed: the first has 1 of its 4 s done when it leaves at 4, the second 1 of 3."""
    sharing = Sharing((1.0, 0.5))
    sharing.begin(1, 4.0, 2.0)
    sharing.begin(2, 3.0, 2.0)
    assert sharing.next() == (8.0, 2)
    assert sharing.end(1, 4.0) == 3.0
    assert sharing.next() == (6.0, 2)
    assert sharing.end(2, 6.0) == 0.0
    assert sharing.next() is None


def test_a_start_that_is_given_up_takes_the_stop_time_and_its_end_is_not_news() -> None:
    """Model a is too slow for its `load_timeout` and its 15 s of grace: stopped 16-17, and whoever waited is told."""
    spec = ModelSpec("a", load_timeout=1.0)
    tally = run("ours", workload((0.0, "a", 1.0), models=(Model(spec, 50.0, 1.0),)))
    assert (tally.models["a"].rejected, tally.models["a"].answered, tally.ended) == (1, 0, 17.0)


def test_what_is_counted_of_gpus() -> None:
    """Two models that pack: serving counts once where both serve. a works 2-12, b loads 3-5 and works 5-9."""
    models = (model("a", parts=300_000), model("b", parts=400_000))
    tally = run("fcfs", workload((0.0, "a", 10.0), (3.0, "b", 4.0), models=models, pack=True))
    figures = Figures.of(tally)
    gpu = figures.gpus[0]
    assert (figures.makespan, round(gpu.serving * 12, 6), round(gpu.swapping * 12, 6)) == (12.0, 10.0, 4.0)
    assert (figures.serving, figures.swapping) == (gpu.serving / 2, gpu.swapping / 2)  # GPU 1 does nothing
    assert figures.waits is not None
    assert (figures.waits.count, figures.waits.p50, figures.waits.max) == (2, 2.0, 2.0)


def test_starts_and_stops_take_what_they_took_one_after_the_other() -> None:
    models = (Model(ModelSpec("a"), 0.0, 0.0, (2.0, 7.0), (1.0, 3.0)), Model(ModelSpec("b"), 0.0, 0.0))
    # Far apart, so that each request finds the other model idle and waits for its stop and for a load.
    tally = run("ours", workload(*((100.0 * at, "abababa"[at], 1.0) for at in range(7)), models=models))
    assert list(tally.models["a"].waits) == [2.0, 7.0, 2.0, 7.0]
    assert list(tally.models["b"].waits) == [1.0, 3.0, 1.0]


def test_policies_are_told_what_systemds_own_clock_says() -> None:
    told: list[float | None] = []

    class Told(Scheduler):
        def handle(self, event: Event, now: float) -> list[Action]:
            if isinstance(event, UnitChanged) and event.active in {ActiveState.ACTIVE, ActiveState.INACTIVE}:
                told.append(event.took)
            return super().handle(event, now)

    models = tuple(Model(ModelSpec(name), 2.0, 1.0, lag=lag) for name, lag in (("a", 0.25), ("b", 0.0)))
    World(workload((0.0, "a", 1.0), (9.0, "b", 1.0), models=models), Told()).run()
    assert told == [1.75, 0.75, None]
