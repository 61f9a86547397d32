"""Random histories: whatever happens in whatever order, the invariants hold and every request ends exactly once."""

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from swapper.core.actions import (
    Abort,
    Action,
    Admit,
    Announce,
    ParkUnit,
    Reject,
    StartEarly,
    StartUnit,
    StopUnit,
    WakeUnit,
)
from swapper.core.early import Early
from swapper.core.events import (
    ActiveState,
    AvailabilityChanged,
    ConfigApplied,
    Event,
    MemoryShort,
    ParkAsked,
    Parked,
    RequestArrived,
    RequestOver,
    StartRefused,
    TimePassed,
    UnitChanged,
    UnloadAsked,
    Weighed,
    Woken,
)
from swapper.core.invariants import validate
from swapper.core.model import Demand, Failure, Gpu, ModelSpec, Policy, State, Turns
from swapper.core.reasons import Cause, Reason, cause_of
from swapper.core.scheduler import Scheduler

NAMES = "abcd"
NEVER = Gpu(-1, group="never"), Gpu(-2, group="neither")
PHASES = [phase for phase in Phase if phase != Phase.explain]
models = st.sampled_from(NAMES)
specs = st.builds(
    ModelSpec,
    name=st.just("?"),
    demands=st.sampled_from(
        [(), (Demand(0),), (Demand(1),), (Demand(0), Demand(1)), (Demand(0, 300_000),), (Demand(0, 400_000),),
         (Demand(-1),), (Demand(0, 300_000), Demand(-1)), (Demand(1, 300_000), Demand(-1), Demand(-2))]
    ),
    pinned=st.booleans(),
    ttl=st.sampled_from([None, 5.0]),
    load_timeout=st.just(50.0),
    drain_timeout=st.just(30.0),
    concurrency=st.sampled_from([None, 1, 2]),
    queue=st.sampled_from([None, 0, 2]),
    queue_timeout=st.sampled_from([None, None, 3.0, 45.0]),
    priority=st.sampled_from([-1, 0, 0, 1]),
    park=st.booleans(),
    early=st.booleans(),
    together=st.sampled_from(["", "", "x", "x", "y"]),
    fingerprint=st.sampled_from("12"),
)
configs = st.builds(
    lambda chosen, policies, turns, memory: ConfigApplied(
        tuple(_named(spec, name) for name, spec in chosen.items()),
        (*(Gpu(i, p) for i, p in enumerate(policies)), *NEVER),
        turns,
        memory,
    ),
    st.dictionaries(models, specs, min_size=1),
    st.lists(st.sampled_from(Policy), max_size=2),
    st.sampled_from([Turns(), Turns(20.0, 0.5), Turns(0.0, 1.0)]),
    st.sampled_from([0, 10, 100]),
)


def _named(spec: ModelSpec, name: str) -> ModelSpec:
    fields = {slot: getattr(spec, slot) for slot in spec.__slots__}
    return ModelSpec(**{**fields, "name": name})


class Histories(RuleBasedStateMachine):
    """The scheduler against a systemd that does what it is told, late, and a world that interferes."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler()
        self.now = 0.0
        self.requests = 0
        self.invocations = 0
        self.waiting: dict[int, float] = {}
        self.light: set[int] = set()
        self.leased: dict[int, str] = {}
        self.units = dict.fromkeys(NAMES, ActiveState.INACTIVE)
        self.ids = dict.fromkeys(NAMES, "")
        self.jobs: dict[str, str] = {}
        self.asleep: set[str] = set()
        self.gates: dict[str, str] = {}
        self.opened = 0
        self.feed(ConfigApplied(tuple(_named(ModelSpec("?"), name) for name in NAMES), (Gpu(0),)))

    def feed(self, event: Event) -> None:
        actions = self.scheduler.handle(event, self.now)
        for action in actions:
            self.carry_out(action)
        validate(self.scheduler)
        for action in actions:
            if isinstance(action, Admit) and action.request not in self.light:
                record = self.scheduler.record(action.model)
                assert record is not None
                assert record.limit is None or record.busy <= record.limit, "admitted beyond the limit"

    def carry_out(self, action: Action) -> None:
        match action:
            case StartUnit() | StartEarly():
                self.start(action)
            case StopUnit():
                self.jobs[action.model] = "stop"
            case ParkUnit():
                assert action.model not in self.leased.values()
                self.jobs[action.model] = "park"
            case WakeUnit():
                self.jobs[action.model] = "wake"
            case Admit():
                assert self.jobs.get(action.model) not in {"park", "wake"}, "an engine that sleeps gets a request"
                assert action.model not in self.asleep, "an engine that sleeps gets a request"
                self.leased[action.request] = action.model
                self.waited(action.request, at_least=action.loading)
            case Reject():
                self.waited(action.request, at_least=0.0)
                assert action.failure.retry_after is None or action.failure.retry_after >= 0
            case Abort():
                assert self.leased.pop(action.request) == action.model
                assert action.failure.retry_after in {None, 0.0}
            case Announce():
                assert action.old is not action.new
                assert isinstance(action.reason, Reason)
                assert cause_of(action.reason) in Cause

    def start(self, action: StartUnit | StartEarly) -> None:
        name, record = action.model, self.scheduler.record(action.model)
        assert record is not None
        if isinstance(action, StartEarly):
            assert not record.holds, "who starts early has a GPU"
            if self.requests % 4:  # else there is no memory for it, which nobody has to know
                self.gates[name], self.jobs[name] = "", "start"
        elif record.opened and self.gates.pop(name, None) is not None:
            self.opened += 1
        else:
            self.gates.pop(name, None)
            self.jobs[name] = "start"

    def waited(self, request: int, *, at_least: float) -> None:
        arrival = self.waiting.pop(request)
        assert 0 <= at_least <= self.now - arrival

    def report(self, name: str, state: ActiveState, failure: Failure | None = None, slots: int | None = None) -> None:
        if self.units[name] in {ActiveState.INACTIVE, ActiveState.FAILED} and state is ActiveState.ACTIVATING:
            self.invocations += 1
            self.ids[name] = str(self.invocations)
        if state not in {ActiveState.ACTIVE, ActiveState.RELOADING, ActiveState.REFRESHING}:
            self.process_is_gone(name)
        self.units[name] = state
        if state is ActiveState.ACTIVATING and self.gates.get(name) == "":
            self.gates[name] = self.ids[name]
        record = self.scheduler.record(name)
        comes = record is not None and record.early is Early.WAITS and record.precedes(self.ids[name])
        gone = state is ActiveState.ACTIVE or (state in {ActiveState.INACTIVE, ActiveState.FAILED} and not comes)
        if gone and self.gates.pop(name, None) is not None and self.jobs.get(name) == "start":
            del self.jobs[name]
        gated = state is ActiveState.ACTIVATING and self.gates.get(name) == self.ids[name]
        self.feed(UnitChanged(name, state, self.ids[name], failure, slots, took=2.0, gated=gated))

    @rule(name=models, light=st.sampled_from([False, False, True]), priority=st.sampled_from([0, 0, 1]))
    def request(self, name: str, *, light: bool, priority: int) -> None:
        self.requests += 1
        self.waiting[self.requests] = self.now
        if light:
            self.light.add(self.requests)
        record = self.scheduler.record(name)
        at_once = light and record is not None and record.state is State.READY
        self.feed(RequestArrived(self.requests, name, light, priority))
        assert self.requests in self.leased or not at_once, "a light request waits for a model that is there"

    @rule(name=models, slots=st.integers(0, 3))
    def slots_become_known(self, name: str, slots: int) -> None:
        if self.units[name] is ActiveState.ACTIVE:
            self.report(name, ActiveState.ACTIVE, slots=slots)

    @precondition(lambda self: self.leased or self.waiting)
    @rule(data=st.data())
    def request_ends(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted([*self.leased, *self.waiting])))
        self.leased.pop(request, None)
        self.waiting.pop(request, None)
        self.feed(RequestOver(request))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), works=st.sampled_from(["works", "works", "works", "fails", "refused"]))
    def job_makes_progress(self, data: st.DataObject, works: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.jobs)))
        failure = Failure("model_failed", "broken")
        if self.jobs[name] in {"park", "wake"}:
            self.sleeps_or_wakes(name, works=works == "works" and self.units[name] is ActiveState.ACTIVE)
            return
        if self.jobs[name] == "stop":
            if self.units[name] in {ActiveState.ACTIVE, ActiveState.ACTIVATING}:
                self.report(name, ActiveState.DEACTIVATING)
                return
            del self.jobs[name]
            self.report(name, ActiveState.INACTIVE)
        elif self.units[name] is ActiveState.ACTIVATING:
            if name in self.gates and works == "works":
                return
            del self.jobs[name]
            if works == "works":
                self.report(name, ActiveState.ACTIVE)
            else:
                self.report(name, ActiveState.FAILED, failure)
        elif self.units[name] is ActiveState.DEACTIVATING:
            self.report(name, ActiveState.INACTIVE)
        elif works == "refused":
            del self.jobs[name]
            self.gates.pop(name, None)
            self.feed(StartRefused(name, Failure("model_incomplete", "not there")))
        elif self.units[name] is not ActiveState.ACTIVE:
            self.report(name, ActiveState.ACTIVATING)
        else:
            del self.jobs[name]
            self.report(name, ActiveState.ACTIVE)

    def process_is_gone(self, name: str) -> None:
        """Nobody sleeps any more, and who was told to park or to wake is not there to do it."""
        self.asleep.discard(name)
        if self.jobs.get(name) in {"park", "wake"}:
            del self.jobs[name]

    def sleeps_or_wakes(self, name: str, *, works: bool) -> None:
        failure = None if works else Failure("model_failed", "it does not do that")
        if self.jobs.pop(name) == "park":
            if works:
                self.asleep.add(name)
            self.feed(Parked(name, failure))
        else:
            self.asleep.discard(name)
            self.feed(Woken(name, failure))

    @rule(name=models, weight=st.sampled_from([0, 5, 30, 200]))
    def weighed(self, name: str, weight: int) -> None:
        self.feed(Weighed(name, weight))

    @rule()
    def memory_runs_short(self) -> None:
        before = [record.name for record in self.scheduler.records() if record.state is State.PARKED]
        self.feed(MemoryShort())
        after = [record.name for record in self.scheduler.records() if record.state is State.PARKED]
        assert len(after) == max(len(before) - 1, 0)

    @rule(name=models)
    def somebody_started_and_parked_it(self, name: str) -> None:
        record = self.scheduler.record(name)
        if record is not None and not record.state.running and name not in self.jobs:
            self.invocations += 1
            self.ids[name], self.units[name] = str(self.invocations), ActiveState.ACTIVE
            self.asleep.add(name)
            self.feed(UnitChanged(name, ActiveState.ACTIVE, self.ids[name], parked=True))

    @rule(name=models)
    def a_router_before_us_left_it_at_the_gate(self, name: str) -> None:
        record = self.scheduler.record(name)
        if record is not None and not record.running and name not in self.jobs:
            self.invocations += 1
            self.ids[name] = self.gates[name] = str(self.invocations)
            self.jobs[name] = "start"
            self.report(name, ActiveState.ACTIVATING)
            assert (record.early is Early.WAITS) == (name in self.scheduler.claims)

    @rule(name=models, state=st.sampled_from(ActiveState), new=st.booleans(), broken=st.booleans())
    def somebody_interferes(self, name: str, state: ActiveState, *, new: bool, broken: bool) -> None:
        if new:
            self.process_is_gone(name)
            self.invocations += 1
            self.ids[name] = str(self.invocations)
        self.report(name, state, Failure("model_failed", "by hand") if broken else None)

    @rule(name=models, code=st.sampled_from(["", "model_incomplete", "model_disabled"]))
    def availability(self, name: str, code: str) -> None:
        self.feed(AvailabilityChanged(name, Failure(code, "x") if code else None))

    @rule(name=models)
    def unload(self, name: str) -> None:
        self.feed(UnloadAsked(name))

    @rule(name=models)
    def park(self, name: str) -> None:
        obstacle, record = self.scheduler.not_parked(name), self.scheduler.record(name)
        before = None if record is None else record.state
        self.feed(ParkAsked(name))
        if obstacle is not None:
            assert record is None or record.state is before
        else:
            assert record is not None
            assert record.state in {State.DRAINING, State.STOPPING, State.PARKED}

    @rule(config=configs)
    def reconfigure(self, config: ConfigApplied) -> None:
        self.feed(config)

    @rule(seconds=st.sampled_from([0.1, 5.0, 40.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.scheduler.deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.feed(TimePassed())
        self.now = end

    @invariant()
    def every_request_is_where_it_should_be(self) -> None:
        waiting = {request for record in self.scheduler.records() for request in record.waiting}
        leased = {request: record.name for record in self.scheduler.records() for request in record.leases}
        assert waiting == self.waiting.keys()
        assert leased == self.leased
        for record in self.scheduler.records():
            assert record.early is not Early.WAITS or self.units[record.name] is not ActiveState.ACTIVE
            assert record.light == self.light & set(record.waiting)
            assert record.aside == self.light & record.leases.keys()

    @invariant()
    def nobody_has_waited_longer_than_he_may(self) -> None:
        for record in self.scheduler.records():
            limit = record.spec.queue_timeout
            if limit is not None and (deadline := self.scheduler.deadline()) is not None and deadline > self.now:
                assert all(self.now - self.waiting[request] < limit for request in record.waiting)

    def teardown(self) -> None:
        """Left alone with an obedient systemd, everything comes to rest: nobody waits for ever."""
        for _ in range(400):
            if not self.waiting and not any(r.state.resident for r in self.scheduler.records()):
                break
            for name in sorted(self.jobs):
                self.obey(name)
            for request in sorted(self.leased):
                del self.leased[request]
                self.feed(RequestOver(request))
            if not self.jobs.keys() - self.gates.keys():
                self.time_passes(40.0)
        assert not any(record.early is Early.WAITS for record in self.scheduler.records())
        assert not self.waiting, [(r.name, r.state, r.waiting) for r in self.scheduler.records()]

    def obey(self, name: str) -> None:
        if self.jobs[name] in {"park", "wake"}:
            self.sleeps_or_wakes(name, works=self.units[name] is ActiveState.ACTIVE)
            return
        job = self.jobs.pop(name)
        if job == "stop":
            self.report(name, ActiveState.INACTIVE)
            return
        if name in self.gates:
            self.jobs[name] = job
            if self.units[name] is not ActiveState.ACTIVATING:
                self.report(name, ActiveState.INACTIVE)
                self.report(name, ActiveState.ACTIVATING)
            return
        self.report(name, ActiveState.INACTIVE)
        self.report(name, ActiveState.ACTIVATING)
        record = self.scheduler.record(name)
        if record is not None and record.state is State.STARTING:
            self.report(name, ActiveState.ACTIVE)


Histories.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None, phases=PHASES)
TestHistories = Histories.TestCase
