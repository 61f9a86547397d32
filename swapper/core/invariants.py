"""What is always true of the scheduler between two events. Tests call `validate` after every one."""

from math import inf

from swapper.core import company, placement
from swapper.core.early import Early
from swapper.core.model import WHOLE, Policy, State
from swapper.core.parking import Sleep
from swapper.core.scheduler import Scheduler

_TRANSIENT = frozenset({State.STARTING, State.DRAINING, State.STOPPING})

_WHILE = {
    Sleep.AWAKE: frozenset(State) - {State.PARKED},
    Sleep.PARKING: frozenset({State.STOPPING}),
    Sleep.ASLEEP: frozenset({State.PARKED, State.STOPPING}),
    Sleep.WAKING: frozenset({State.STARTING, State.STOPPING}),
}


class InvariantError(AssertionError):
    """The scheduler contradicts itself: a defect of its own, never of its input."""


def validate(scheduler: Scheduler) -> None:
    """Check all invariants.

    Raises:
        InvariantError: With the first one that does not hold.
    """
    _requests(scheduler)
    _places(scheduler)
    _states(scheduler)
    _patience(scheduler)
    _budgets(scheduler)
    _parking(scheduler)
    _early(scheduler)
    _companies(scheduler)
    _progress(scheduler)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise InvariantError(what)


def _requests(scheduler: Scheduler) -> None:
    """A request is in exactly one place."""
    placed = [(request, r.name) for r in scheduler.records() for request in (*r.waiting, *r.leases)]
    known = {request: record.name for request, record in scheduler._requests.items()}  # noqa: SLF001
    _require(len(placed) == len(known), f"requests {sorted(placed)} are not those known, {sorted(known.items())}")
    _require(dict(placed) == known, f"requests {sorted(placed)} are not where they are known to be, {known}")


def _places(scheduler: Scheduler) -> None:
    """Light requests are known as such as long as they are there; nobody waits who could have a lease."""
    for record in scheduler.records():
        name, limit, state = record.name, record.limit, record.state
        _require(record.light <= set(record.waiting), f"{name} keeps {record.light} as waiting and light")
        _require(record.aside <= record.leases.keys(), f"{name} keeps {record.aside} as leases that are light")
        _require(limit is None or limit > 0, f"{name} can never serve anybody: its limit is {limit}")
        if state is State.READY:
            _require(not record.light, f"{name} is ready and lets light requests wait")
            _require(not record.waiting or record.full, f"{name} is ready and lets {len(record.waiting)} wait")
        if record.closes_for is not None:
            _require(state is State.READY, f"{name} is {state} and serves only those whom it owes that")
            _require(record.closes_for in scheduler.claims, f"{name} closes for {record.closes_for}: no claim")
            _require(scheduler._owes(record, record.closes_for), f"{name} owes nobody service, and closes")  # noqa: SLF001


def _patience(scheduler: Scheduler) -> None:
    """Nobody waits longer than `queue_timeout`: the time to look is set, and so is the clock."""
    first = scheduler.deadline()
    for record in scheduler.records():
        name, patience = record.name, record.patience
        urgency = [record.waiting[request].urgency for request in record.waiting]
        _require(urgency == sorted(urgency), f"those who wait for {name} are not in their order")
        _require(record.waiting.urgency == min(urgency, default=None), f"who is first for {name} is not known")
        if patience is not None:
            _require(record.timer is not None and record.timer <= patience, f"{name}'s oldest wait has no timer")
        if record.timer is not None:
            _require(first is not None and first <= record.timer, f"{name}'s timer is not in the heap")


def _states(scheduler: Scheduler) -> None:
    for record in scheduler.records():
        name, state = record.name, record.state
        if record.leases:
            _require(state in {State.READY, State.DRAINING}, f"{name} is {state} with leases")
        if state in _TRANSIENT:
            _require(record.deadline is not None, f"{name} is {state} without a deadline")
        if record.deadline is not None:
            _require(record.timer is not None and record.timer <= record.deadline, f"{name}'s deadline has no timer")
        if state is State.DRAINING:
            _require(bool(record.leases), f"{name} drains nothing")
        claimed = name in scheduler.claims
        _require(claimed == (record.wants_start and not record.removed), f"{name} is {state}, claim: {claimed}")
        if record.drained_for is not None:
            _require(record.drained_for in scheduler.claims, f"{name} drains for {record.drained_for}: no claim")
        if record.removed:
            gone = not state.resident and record.early is Early.NO
            _require(not gone, f"{name} is neither configured nor resident")


def _budgets(scheduler: Scheduler) -> None:
    """No GPU is over budget, but by units that somebody else started; and who holds what is known."""
    held = {(gpu, name) for gpu, holders in scheduler._holders.items() for name in holders}  # noqa: SLF001
    holds = {(demand.gpu, record.name) for record in scheduler.records() for demand in record.holds}
    _require(held == holds, f"{held} is known to be held, and {holds} is")
    policies = {gpu.index: gpu.policy for gpu in scheduler.gpus}
    for gpu in {demand.gpu for record in scheduler.records() for demand in record.holds}:
        holders = [(r, d.parts) for r in scheduler.records() for d in r.holds if d.gpu == gpu]
        if any(record.adopted for record, _ in holders):
            continue
        if policies.get(gpu, Policy.EXCLUSIVE) is Policy.EXCLUSIVE:
            _require(len(holders) <= 1, f"GPU {gpu} is exclusive and holds {[r.name for r, _ in holders]}")
        else:
            _require(sum(parts for _, parts in holders) <= WHOLE, f"GPU {gpu} is over budget")


def _parking(scheduler: Scheduler) -> None:
    """Parked models sleep, hold no GPU, and take no more of the host's memory than they may."""
    taken = 0
    for record in scheduler.records():
        name, state, sleep = record.name, record.state, record.sleep
        if state is State.PARKED or sleep is Sleep.PARKING:
            taken += record.weight
        states = _WHILE[sleep]
        _require(state in states, f"{name} is {state}, and its engine is {sleep.name}")
        _require(sleep is not Sleep.ASLEEP or not record.holds, f"{name} sleeps and holds {record.holds}")
    most = scheduler._park_memory  # noqa: SLF001
    _require(taken <= most or taken == 0, f"parked models take {taken} bytes of {most}")


def _early(scheduler: Scheduler) -> None:
    """A process at the gate has no GPU, and somebody who waits for it; one that leaves does so in time."""
    for record in scheduler.records():
        name, state, early = record.name, record.state, record.early
        gated = name in scheduler._gated  # noqa: SLF001
        _require(gated == (early is Early.WAITS), f"{name} is {early.name}, at the gate: {gated}")
        if early is not Early.NO:
            _require(not state.running and not record.holds, f"{name} is {state} and {early.name}, with {record.holds}")
        if early is Early.WAITS:
            _require(name in scheduler.claims, f"nobody waits for {name}, which waits at the gate")
        if early is Early.LEAVES:
            _require(record.deadline is not None, f"{name} leaves the gate without a deadline")
        _require(not record.opened or state.running, f"{name} is {state} and came through the gate")


def _companies(scheduler: Scheduler) -> None:
    """Who is always together knows of each other, and nobody comes along with somebody who is not there."""
    for record in scheduler.records():
        name, state = record.name, record.state
        for other in record.companions:
            _require(any(r is record for r in other.companions), f"{name} is with {other.name}, and not the reverse")
            _require(not record.removed, f"{name} is not configured and has company")
        if record.seated or record.called is not None:
            _require(company.accompanied(record), f"{name} comes along with nobody")
        if record.seated:
            _require(not state.resident and not record.skipped, f"{name} is {state} and has a seat")
        if record.called is not None:
            _require(state in company.COMES_BACK, f"{name} is {state} and called")


def _progress(scheduler: Scheduler) -> None:
    """Whoever is first in line waits for something that will happen."""
    gpus = {gpu for record in scheduler.records() for gpu in company.line(record)}
    for name in scheduler._claims.heads(gpus):  # noqa: SLF001
        record = scheduler.record(name)
        if record is None:
            raise InvariantError(f"{name} claims and does not exist")
        if record.state.resident or record.early is Early.LEAVES:
            _require(record.drained_for is None, f"{name} drains for somebody behind it")
            continue
        verdict = scheduler._plan(record, inf).verdict  # noqa: SLF001
        if verdict is placement.Verdict.EVICT:
            turn_ends = record.hold is not None and record.timer is not None and record.timer <= record.hold
            # Of two that want others to go that go as one, one is closed for.
            owed = any(other.closes_for is not None and other.name in record.awaits for other in scheduler.records())
            _require(turn_ends or owed, f"{name} is first in line, and those in its way do not go")
            continue
        _require(verdict is placement.Verdict.WAIT, f"{name} is first in line, and {verdict} is not carried out")
