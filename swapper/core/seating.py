"""Who sits on the GPUs: claims decided, room made, residents stopped.

Handlers of events change records and *touch* them; `_settle` then brings in order what follows from it, until nothing
follows any more: touched models make or drop their claim, admit whom they can, stop when they have drained; claims
that are first in line on a GPU where something changed are decided; whoever made room for nobody stays.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from swapper.core import company, failures, parking, placement, reasons, turns
from swapper.core.actions import ParkUnit, Reject, StartEarly, StartUnit, StopUnit, WakeUnit
from swapper.core.early import Early
from swapper.core.ledger import Ledger
from swapper.core.model import Failure, State
from swapper.core.parking import Sleep
from swapper.core.reasons import Cause, Reason
from swapper.core.record import Record
from swapper.core.waiting import Wait

GRACE = 15.0
"""Seconds that systemd's own timeouts get before the scheduler stops believing in them."""


class Seating(Ledger):
    """Decisions about residents, on top of the books."""

    def __init__(self) -> None:
        super().__init__()
        self._touched: dict[str, Record] = {}
        self._making_room: dict[str, Record] = {}
        self._closing: dict[str, Record] = {}

    def _touch(self, record: Record) -> None:
        self._touched[record.name] = record

    def _settle(self, now: float) -> None:
        while self._touched:
            while self._touched:
                record = self._touched.pop(next(iter(self._touched)))
                self._put_in_order(record, now)
                self._dirty.update(demand.gpu for demand in (*record.spec.demands, *record.loaded.demands))
                if record.companions:
                    self._dirty.update(company.line(record))
            self._give_up(now)
            if not self._touched:
                for name in self._claims.heads(self._dirty):
                    self._decide(self._records[name], now)
        for victim in self._making_room.values():
            self._start_early(victim)
        self._dirty.clear()

    def _give_up(self, now: float) -> None:
        """What was done for those who want to start is undone where they do not any more."""
        for victim in [r for r in self._making_room.values() if r.drained_for not in self._claims]:
            self._undrain(victim, now)
        for victim in [r for r in self._closing.values() if r.closes_for not in self._claims]:
            self._close(victim, None)
        for record in [r for r in self._gated.values() if r.name not in self._claims]:
            self._withdraw(record, now, reasons.NOT_AWAITED)

    def _put_in_order(self, record: Record, now: float) -> None:
        """What follows from one model's record alone."""
        if record.state is State.READY:
            if record.removed:
                self._drain(record, now, reasons.REMOVED)
                return
            self._serve(record, now)
        elif record.state is State.DRAINING and not record.leases:
            self._leave(record, now)
        elif record.state is State.PARKED and record.deadline is None and record.ttl is not None:
            self._due(record, max(record.used + record.ttl, now))
        elif record.removed and not record.running:
            del self._records[record.name]
        if (record.seated or record.called is not None) and not company.accompanied(record):
            self._stand_up(record)
        urgency = record.urgency
        if not record.wants_start or record.removed or urgency is None:
            self._claims.remove(record.name)
            record.forget_claim()
        elif (line := company.line(record)) or record.state.resident or _must_wait(record):
            self._claims.add(record.name, line, urgency)
        else:
            self._start(record, now)

    def _serve(self, record: Record, now: float) -> None:
        """Give leases to those who wait: to all who take no place, and to the others, in their order, as places go."""
        for request in sorted(record.light):
            self._admit_waiting(record, request, now)
        # Where the claim is no more, everybody is served again; that is noted in a moment.
        claimant = record.closes_for if record.closes_for in self._claims else None
        may = None if claimant is None else self._owed(record, claimant)
        while not record.full and (first := record.waiting.first(may)) is not None:
            self._admit_waiting(record, first, now)
        ttl = None if record.leases else record.ttl
        if ttl is not None:
            self._due(record, now + ttl)

    def _decide(self, record: Record, now: float) -> None:
        """Decide a claim that is first in line."""
        if record.drained_for is not None:
            # Whom it made room for no longer stands before it.
            self._undrain(record, now)
            return
        record.forget_claim()
        if record.state.resident or record.early is Early.LEAVES:
            return
        occupants = self._occupants(record)
        if record.seated and placement.conflicts(record.spec.demands, occupants, self._gpus):
            self._stand_up(record)
            return
        plan = placement.plan(record, occupants, self._gpus, now)
        match plan.verdict:
            case placement.Verdict.START:
                self._start(record, now)
            case placement.Verdict.EVICT:
                self._make_room(record, plan.victims, now)
            case placement.Verdict.NEVER:
                self._reject(record, self._never(record, plan.obstacles))
            case placement.Verdict.WAIT:
                pass
            case other:
                assert_never(other)

    def _plan(self, record: Record, now: float) -> placement.Plan:
        return placement.plan(record, self._occupants(record), self._gpus, now)

    def _occupants(self, record: Record) -> list[Record]:
        """Who else is on the GPUs that a model, and who comes with it, are to have."""
        occupants = {
            other.name: other
            for demand in company.wants(record)
            for other in self._holders.get(demand.gpu, {}).values()
            if other is not record
        }
        return list(occupants.values())

    def _make_room(self, claimant: Record, victims: Sequence[Record], now: float) -> None:
        """Let these drain, once their turns are over and they owe nobody service."""
        claimant.awaits = tuple(victim.name for victim in victims)
        over = max(turns.ends(victim, self._turns) for victim in victims)
        owing = []
        if over > now:
            claimant.hold = over
            self._wake(claimant, over)
        else:
            owing = [victim for victim in victims if self._owes(victim, claimant.name)]
        for victim in [r for r in self._closing.values() if r.closes_for == claimant.name and r not in owing]:
            self._close(victim, None)
        for victim in owing:
            self._close(victim, claimant.name)
        if over <= now and not owing:
            for victim in victims:
                why = self._why(victim, claimant, now)
                self._drain(victim, now, reasons.makes_room(claimant.name, why), drained_for=claimant.name)

    def _owed(self, record: Record, claimant: str) -> Callable[[Wait], bool]:
        """Who is served before a model drains for a claimant."""
        turn, urgency = record.turn, self._claims.urgency(claimant)
        return lambda wait: wait.since <= turn or wait.urgency <= urgency

    def _owes(self, record: Record, claimant: str) -> bool:
        return record.waiting.first(self._owed(record, claimant)) is not None

    def _close(self, record: Record, claimant: str | None) -> None:
        """Serve, from now on, those only who are owed that before it drains for a claimant; or everybody again."""
        if record.closes_for == claimant:
            return
        record.closes_for = claimant
        if claimant is None:
            del self._closing[record.name]
            self._touch(record)
        else:
            self._closing[record.name] = record

    def _relieve(self, now: float, reason: Reason, *, keep: Record | None = None) -> None:
        """Bring GPUs back under budget after somebody else started a unit, or the budget changed."""
        for victim in placement.excess(list(self._records.values()), self._gpus, keep=keep):
            if victim.state is not State.READY:
                continue  # it has gone with another one
            for other in company.ready(victim):
                if other is not keep:
                    why = reasons.goes_with(victim.name, victim.spec.together)
                    self._drain(other, now, reasons.because(reason, why))
            apart = "" if keep is None else self._apart(victim, keep)
            self._drain(victim, now, reasons.because(reason, apart))

    # -- companies and groups --------------------------------------------------------------------------------------

    def _call(self, record: Record, now: float) -> None:
        """Somebody asks for a model that is there: companions that are not come back."""
        if record.state is not State.READY or record.closes_for is not None:
            return
        for other in company.away(record):
            if other.called is None:
                other.called = now
                self._touch(other)

    def _seat(self, record: Record) -> None:
        """Let those come next that are started with a model; those that are still on their way out come later."""
        for other in list(company.absent(record)):
            other.seated = True
            self._touch(other)
        for other in company.away(record):
            other.called = record.since if other.called is None else other.called
            self._touch(other)

    def _stand_up(self, record: Record) -> None:
        """It is not started for its companions any more; who asked for it itself goes on waiting."""
        record.seated, record.called = False, None
        self._claims.remove(record.name)
        for other in (record, *record.companions):
            self._touch(other)

    def _apart(self, one: Record, other: Record) -> str:
        """The group for which two are never together, in words; empty where it is for room only."""
        shared = {demand.gpu for demand in one.spec.demands} & {demand.gpu for demand in other.spec.demands}
        group = next((self._gpus[gpu].group for gpu in sorted(shared) if gpu < 0 and gpu in self._gpus), None)
        return "" if group is None else reasons.apart(other.name, group)

    def _why(self, victim: Record, claimant: Record, now: float) -> str:
        """Why it is this one that makes room."""
        comers = (claimant, *company.absent(claimant))
        wanted = {demand.gpu for comer in comers for demand in comer.spec.demands}
        if not any(demand.gpu in wanted for demand in victim.holds):
            other = next(r for r in victim.companions if any(demand.gpu in wanted for demand in r.holds))
            return reasons.goes_with(other.name, victim.spec.together)
        apart = next((said for comer in comers if (said := self._apart(victim, comer))), "")
        cheapest = reasons.cheapest(None if victim.leases else now - victim.used, victim.pace.loads.known)
        return f"{apart}; {cheapest}" if apart else cheapest

    def _never(self, record: Record, obstacles: Sequence[Record]) -> Failure:
        """Pinned models are in the way, of itself or of who comes with it."""
        comers = (record, *company.absent(record))
        apart = next((said for comer in comers for other in obstacles if (said := self._apart(comer, other))), "")
        return failures.pinned_in_the_way(record, tuple(obstacles), [comer.name for comer in comers[1:]], apart)

    # -- transitions: each leaves the record touched ---------------------------------------------------------------

    def _start(self, record: Record, now: float) -> None:
        self._claims.remove(record.name)
        record.forget_claim()
        reason = reasons.ASKED if record.waiting else reasons.comes_with(record.spec.together)
        if record.state is State.PARKED:
            record.load(record.spec)
            record.sleep, record.adopted = Sleep.WAKING, False
            self._change(record, State.STARTING, reason, now, record.spec.load_timeout + GRACE)
            self._seat(record)
            self._actions.append(WakeUnit(record.name))
            return
        early = record.early is Early.WAITS
        begun = early and record.begun
        self._began(record, record.invocation, adopted=False)
        record.begun, record.opened = begun, early
        self._change(record, State.STARTING, reason, now, record.spec.load_timeout + GRACE)
        self._seat(record)
        self._actions.append(StartUnit(record.name))

    def _start_early(self, victim: Record) -> None:
        """What the start of whom it drains for does without a GPU can be done meanwhile."""
        record = self._records.get(victim.drained_for or "")
        if record is None or not record.spec.early or record.running:
            return
        self._gate(record, Early.WAITS)
        record.begun = False
        self._actions.append(StartEarly(record.name))

    def _withdraw(self, record: Record, now: float, reason: Reason) -> None:
        """The process that waits at the gate is not wanted there."""
        if record.early is Early.WAITS:
            record.failure = None
        self._stop_early(record, now)
        self._actions.append(StopUnit(record.name, reason))

    def _stop_early(self, record: Record, now: float) -> None:
        """It leaves the gate, for whatever reason."""
        self._gate(record, Early.LEAVES)
        self._due(record, now + record.loaded.stop_timeout + GRACE)
        self._touch(record)

    def _drain(self, record: Record, now: float, reason: Reason, *, drained_for: str | None = None) -> None:
        self._change(record, State.DRAINING, reason, now, record.loaded.drain_timeout)
        if drained_for is not None:
            record.drained_for = drained_for
            self._making_room[record.name] = record

    def _undrain(self, record: Record, now: float) -> None:
        """It need not make room any more, nor need those that would have gone with it."""
        claimant = record.drained_for
        for other in (record, *record.companions):
            if other.drained_for is not None and other.drained_for == claimant:
                self._change(other, State.READY, reasons.SPARED, now)

    def _leave(self, record: Record, now: float) -> None:
        """What has drained goes: parked, where it is to and there is memory for it."""
        parks = record.reason.cause is Cause.SWAP or record.reason == reasons.PARK_ASKED
        same = record.spec.fingerprint == record.loaded.fingerprint and not record.removed
        if not (parks and same and record.spec.park and record.weight <= self._park_memory):
            self._stop(record, now, record.reason)
            return
        self._fit_parked(self._park_memory - record.weight, now)
        record.sleep, record.failure = Sleep.PARKING, None
        self._change(record, State.STOPPING, record.reason, now, record.loaded.stop_timeout + GRACE)
        self._actions.append(ParkUnit(record.name))

    def _parked(self) -> list[Record]:
        """Whom `park_memory` is taken by: all that are parked, or about to be."""
        return [r for r in self._records.values() if r.state is State.PARKED or r.sleep is Sleep.PARKING]

    def _fit_parked(self, room: int, now: float) -> None:
        """End those who were parked first, as far as all of them take more bytes than this."""
        for record in parking.too_many(self._parked(), room):
            self._stop(record, now, reasons.PARKED_TOO_LONG)

    def _stop(self, record: Record, now: float, reason: Reason) -> None:
        if record.sleep is not Sleep.ASLEEP:
            record.sleep = Sleep.AWAKE
        if record.state is not State.STOPPING and not record.timed_out:
            record.failure = None
        self._change(record, State.STOPPING, reason, now, record.loaded.stop_timeout + GRACE)
        self._actions.append(StopUnit(record.name, reason))

    def _change(
        self,
        record: Record,
        state: State,
        reason: Reason,
        now: float,
        timeout: float | None = None,
        took: float | None = None,
    ) -> None:
        """Enter a state; whom the model made room for, if anybody, is forgotten. Arguments are those of `_enter`."""
        record.drained_for = record.closes_for = None
        record.seated = False
        if state not in company.COMES_BACK:
            record.called = None
        self._making_room.pop(record.name, None)
        self._closing.pop(record.name, None)
        self._dirty.update(demand.gpu for demand in record.loaded.demands)
        self._enter(record, state, reason, now, timeout=timeout, took=took)
        for other in (record, *record.companions):
            self._touch(other)

    def _reject(self, record: Record, failure: Failure) -> None:
        """Tell all who wait for this model that it will not be."""
        for request in record.waiting:
            del self._requests[request]
            self._actions.append(Reject(request, record.name, failure))
        record.waiting.clear()
        record.light.clear()
        record.called = None
        self._touch(record)


def _must_wait(record: Record) -> bool:
    """Whether it cannot be started now, even where no GPU is wanted: its last process leaves, or a companion starts."""
    return record.early is Early.LEAVES or company.starting(record)
