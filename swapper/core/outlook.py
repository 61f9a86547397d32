"""When will it be one's turn? Estimates for those who are turned away, from what has been measured (`core.pace`).

They are made when somebody is turned away, and at no other time. S is the mean service time, L the load time and P
the stop time of a model. How long a request has run is taken to say little about how long it goes on: so many leases
as run, each ends within S on average; only one that has already run longer than S is taken to need as long again.

    one of n leases ends      in 1 / sum of 1 / max(S, age of each), which is S / n as long as none is older than S
    all of n leases end       in max(S (1 + 1/2 + ... + 1/n), age of the oldest)
    a model is gone           that, while it drains or until its turn is over, and P, or what is left of it
    a model is ready          L, or what is left of it, after all that make room for it are gone
    a lease behind k others   when it is ready and k + 1 - (free places) leases have ended
    a place in a full queue   when as many more leases have ended, and while it drains these are those that it has

Nothing is invented: where a measure is missing, where a load or a stop takes longer than it ever did, or where others
come first whose use of the GPU nobody can foresee, the answer is None.
"""

from collections.abc import Iterable

from swapper.core import company
from swapper.core.claims import Claims
from swapper.core.model import State
from swapper.core.record import Record

_INSTANT = 0.001
"""Seconds that a request takes at least: nothing is divided by zero."""


def turn(record: Record, ahead: int, records: Iterable[Record], claims: Claims, now: float) -> float | None:
    """Seconds until a request would get a lease of a model.

    Args:
        record: The model.
        ahead: How many requests would get one before it.
        records: All models.
        claims: Who wants to start.
        now: The time.
    """
    ready = _ready_in(record, records, claims, now)
    limit = record.limit
    if ready is None or limit is None:
        return ready
    serves = record.state is State.READY
    ends = ahead + 1 - (limit - (record.busy if serves else 0))
    if ends <= 0:
        return ready
    service = record.pace.services.known
    if service is None:
        return None
    return ready + ends / (_rate(record, service, now) if serves else limit / max(service, _INSTANT))


def queue_place(record: Record, records: Iterable[Record], claims: Claims, now: float) -> float | None:
    """Seconds until one more may wait for a model whose queue is full. Arguments are those of `turn`."""
    ahead = len(record.waiting) - (record.spec.queue or 0)
    service = record.pace.services.known
    if record.state is State.DRAINING and record.limit is not None and service is not None:
        ends = ahead + 1 - (record.limit - record.busy)
        if ends <= record.busy:
            return ends / _rate(record, service, now)
    return turn(record, ahead, records, claims, now)


def idle_in(record: Record, now: float) -> float | None:
    """Seconds until all leases that a model has now have ended."""
    if not record.leases:
        return 0.0
    service = record.pace.services.known
    if service is None:
        return None
    oldest = now - next(iter(record.leases.values()))
    return max(service * sum(1 / place for place in range(1, record.busy + 1)), oldest)


def _rate(record: Record, service: float, now: float) -> float:
    """Leases that end per second."""
    mean = max(service, _INSTANT)
    rate, others = 0.0, record.busy
    for request, began in record.leases.items():
        if now - began <= mean:
            break  # they stand in the order of their beginning
        if request not in record.aside:
            rate += 1 / (now - began)
            others -= 1
    return rate + others / mean


def _ready_in(record: Record, records: Iterable[Record], claims: Claims, now: float) -> float | None:
    if record.state is State.READY:
        return 0.0
    load = record.pace.loads.known
    if load is None or record.spec.fingerprint != record.loaded.fingerprint:
        return None
    if record.state is State.STARTING:
        return _left(load, record, now)
    room = _room_in(record, records, claims, now)
    return None if room is None else room + load


def _room_in(record: Record, records: Iterable[Record], claims: Claims, now: float) -> float | None:
    """Seconds until all that leave, to make room for a model or to be started anew, are gone."""
    wanted = {demand.gpu for demand in company.wants(record)}
    if record.drained_for is not None or (wanted and not claims.ahead(record.name)):
        return None
    turn = 0.0 if record.hold is None else max(0.0, record.hold - now)
    leaving = [
        _gone_in(other, now, turn if other.state is State.READY else 0.0)
        for other in records
        if other.name in record.awaits
        or (
            other.state in {State.DRAINING, State.STOPPING}
            and (other is record or any(demand.gpu in wanted for demand in other.holds))
        )
    ]
    known = [seconds for seconds in leaving if seconds is not None]
    # Nobody leaves: it waits for something else, such as a model that owes service to those who came before.
    return max(known) if known and len(known) == len(leaving) else None


def _gone_in(record: Record, now: float, turn: float) -> float | None:
    """Seconds until a model is gone that is on its way out, or will be once its turn is over in so many seconds."""
    stop = record.pace.stops.known
    if stop is None:
        return None
    if record.state is State.STOPPING:
        return _left(stop, record, now)
    ended = idle_in(record, now)
    return None if ended is None else max(ended, turn) + stop


def _left(usual: float, record: Record, now: float) -> float | None:
    left = usual - (now - record.since)
    return left if left >= 0 else None
