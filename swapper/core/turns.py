"""Models that want the same GPU take turns: how long a turn is.

A model's turn begins when it is ready. As long as nobody else wants its place, it has no end. When somebody does, it is
over

    at once             for a model that has nothing to do, unless its next request is about to come
    after the quantum   else: max(min_hold, (1 / swap_share - 1) x what one stay costs, its load and its stop)

after it began; by then it may be over already. Models that are always together count as one: what their stay costs is
what all of them cost. A model whose turn is over owes service to those who waited for it when its turn began, and to
those who came before whoever wants its place; then it drains.

So while several models are always busy, a stay of cost c brings a turn of at least c (1 / s - 1): swaps take a part s
of the time at most. This is the rule by which polling systems with switch-over times bound what switching costs
(service within a time limit; Takagi, "Queuing analysis of polling models", ACM Computing Surveys 20:1, 1988).

That the next request is about to come is known from the last two pauses: a client that asks again as soon as it has its
answer leaves a model with nothing to do for a moment, and a swap in that moment would be followed by one back. Waiting
for twice the longer pause is worth it only while that is less than a stay costs (the anticipation of disk schedulers;
Iyer and Druschel, "Anticipatory scheduling", SOSP 2001).
"""

from swapper.core.model import Turns
from swapper.core.record import Record

LINGER_MOST = 1.0
"""Seconds that a model without anything to do is left where another one is wanted, at most."""


def quantum(record: Record, turns: Turns) -> float:
    """Seconds that a model's turn lasts at least while it is busy."""
    return max(turns.min_hold, record.swap * (1 / turns.swap_share - 1))


def linger(record: Record) -> float:
    """Seconds after its last lease in which a model's next request is worth waiting for."""
    pause = 2 * max(record.pace.gaps)
    return pause if pause <= min(LINGER_MOST, record.pace.swap) else 0.0


def ends(record: Record, turns: Turns) -> float:
    """When a ready model's turn is over, if it goes on as it is now."""
    end = record.turn + quantum(record, turns)
    return end if record.leases or record.waiting else min(end, record.used + linger(record))
