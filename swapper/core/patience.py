"""What becomes of those who take too long, when time passes."""

from typing import assert_never

from swapper.core import company, failures, outlook, reasons
from swapper.core.actions import Reject
from swapper.core.early import Early
from swapper.core.model import State
from swapper.core.record import Record
from swapper.core.seating import Seating


class Patience(Seating):
    """The ends of states and of waits, on top of the decisions about residents."""

    def _time_passed(self, now: float) -> None:
        for when, name in self._timers.due(now):
            record = self._records.get(name)
            if record is None or record.timer != when:
                continue
            record.timer = None
            self._impatient(record, now)
            if record.deadline is not None and record.deadline <= now:
                record.deadline = None
                self._overdue(record, now)
            if record.hold is not None and record.hold <= now:
                record.hold = None
                self._touch(record)
            for due in (record.deadline, record.patience, record.hold):
                if due is not None:
                    self._wake(record, due)

    def _impatient(self, record: Record, now: float) -> None:
        """Turn away those who have waited as long as one may."""
        limit = record.spec.queue_timeout
        if limit is None:
            return
        tired = record.waiting.tired(limit, now)
        for request in tired:
            record.waiting.take(request)
            del self._requests[request]
            record.light.discard(request)
        if tired:
            turn = outlook.turn(record, len(record.waiting), self._records.values(), self._claims, now)
            failure = failures.queue_timeout(record, limit, turn)
            self._actions += [Reject(request, record.name, failure) for request in tired]
            self._touch(record)

    def _overdue(self, record: Record, now: float) -> None:
        match record.state:
            case State.READY:
                self._idle(record, now)
            case State.STARTING:
                failure = failures.too_slow(record)
                record.failure, record.never_ready, record.timed_out = failure, True, True
                self._stop(record, now, reasons.failed(failure))
            case State.DRAINING if record.drained_for in self._records:
                # A busy model is never stopped to make room: whoever waited for the room is told.
                claimant = self._records[record.drained_for]
                self._reject(claimant, failures.busy(claimant, record, outlook.idle_in(record, now)))
                self._undrain(record, now)
            case State.DRAINING:
                self._abort(record, failures.drained_too_long(record))
                self._stop(record, now, record.reason)
            case State.STOPPING:
                self._stop(record, now, reasons.lingers(record.reason))
            case State.PARKED:
                self._forgotten(record, now)
            case State.STOPPED | State.FAILED | State.INCOMPLETE | State.DISABLED if record.early is Early.LEAVES:
                self._withdraw(record, now, reasons.lingers(record.reason))
            case State.STOPPED | State.FAILED | State.INCOMPLETE | State.DISABLED:
                pass
            case _:
                assert_never(record.state)

    def _forgotten(self, record: Record, now: float) -> None:
        """Nobody has asked for a parked model as long as that may be."""
        if record.ttl is None or record.waiting:
            return
        if record.used + record.ttl > now:
            self._due(record, record.used + record.ttl)
        else:
            self._stop(record, now, reasons.idle(record.ttl))

    def _idle(self, record: Record, now: float) -> None:
        """Nobody has asked for it, or for a companion of it, as long as that may be."""
        ttl, together = record.ttl, (record, *company.ready(record))
        if ttl is None or company.gathers(record) or any(r.leases or r.waiting for r in together):
            return
        used = max(r.used for r in together)
        if used + ttl > now:
            self._due(record, used + ttl)
            return
        for other in together:
            self._stop(other, now, reasons.idle(ttl))
