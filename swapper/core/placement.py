"""Which residents must go so that a model fits its GPUs.

Rules. On a GPU with policy `exclusive` one model may be resident; on one with `pack`, as many as their shares allow.
Whoever drains or stops is leaving: nobody else goes where its room is enough. Victims are the least recently used,
and never one that is pinned or that still owes service to requests older than the claim.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swapper.core.model import WHOLE, Demand, Gpu, Policy, State
from swapper.core.record import Record


class Verdict(enum.Enum):
    """What becomes of a claim now."""

    START = enum.auto()
    WAIT = enum.auto()
    EVICT = enum.auto()
    NEVER = enum.auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer to a claim.

    Attributes:
        verdict: Start it, wait for what goes on, evict the victims first, or give it up.
        victims: Who has to drain, least recently used first.
        obstacles: With NEVER: the pinned models in the way.
    """

    verdict: Verdict
    victims: tuple[Record, ...] = ()
    obstacles: tuple[Record, ...] = ()


def conflicts(demands: Sequence[Demand], occupants: Iterable[Record], gpus: Mapping[int, Gpu]) -> frozenset[int]:
    """GPUs on which these demands and these occupants together are too much."""
    taken: dict[int, int] = {}
    for occupant in occupants:
        for demand in occupant.holds:
            taken[demand.gpu] = taken.get(demand.gpu, 0) + demand.parts
    return frozenset(
        demand.gpu
        for demand in demands
        if demand.gpu in taken
        and (_policy(demand.gpu, gpus) is Policy.EXCLUSIVE or taken[demand.gpu] + demand.parts > WHOLE)
    )


def plan(claimant: Record, claimed_at: float, occupants: Sequence[Record], gpus: Mapping[int, Gpu]) -> Plan:
    """Decide a claim.

    Args:
        claimant: The model that wants to start.
        claimed_at: Since when it wants to.
        occupants: All other models that are resident on any of its GPUs.
        gpus: The configured GPUs; one that is not configured is exclusive.
    """
    demands = claimant.spec.demands
    # Two engines that start on one GPU at the same time spoil each other's memory profiling (vLLM).
    if any(occupant.state is State.STARTING for occupant in occupants):
        return Plan(Verdict.WAIT)
    staying = [occupant for occupant in occupants if occupant.state is State.READY]
    if not conflicts(demands, occupants, gpus):
        return Plan(Verdict.START)
    if not conflicts(demands, staying, gpus):
        return Plan(Verdict.WAIT)
    pinned = tuple(occupant for occupant in staying if occupant.spec.pinned)
    if conflicts(demands, pinned, gpus):
        return Plan(Verdict.NEVER, obstacles=pinned)
    victims: list[Record] = []
    for candidate in sorted(staying, key=lambda record: record.used):
        crowded = conflicts(demands, [occupant for occupant in staying if occupant not in victims], gpus)
        if not crowded:
            break
        if not candidate.spec.pinned and any(demand.gpu in crowded for demand in candidate.holds):
            victims.append(candidate)
    if any(_owes(victim, claimed_at) for victim in victims):
        return Plan(Verdict.WAIT)
    return Plan(Verdict.EVICT, victims=tuple(victims))


def excess(records: Sequence[Record], gpus: Mapping[int, Gpu], *, keep: Record | None = None) -> tuple[Record, ...]:
    """Who should go where GPUs are over budget past our decision: ready, not pinned, least recently used.

    Args:
        records: All models.
        gpus: The configured GPUs.
        keep: Who is not to go: the newcomer.
    """
    staying = [record for record in records if record.state in {State.STARTING, State.READY}]
    leaving: list[Record] = []
    for candidate in sorted(staying, key=lambda record: record.used):
        others = [record for record in staying if record is not candidate and record not in leaving]
        evictable = candidate.state is State.READY and not candidate.spec.pinned and candidate is not keep
        if evictable and conflicts(candidate.holds, others, gpus):
            leaving.append(candidate)
    return tuple(leaving)


def _owes(record: Record, claimed_at: float) -> bool:
    oldest = record.waits_since
    return oldest is not None and oldest <= claimed_at


def _policy(gpu: int, gpus: Mapping[int, Gpu]) -> Policy:
    return gpus[gpu].policy if gpu in gpus else Policy.EXCLUSIVE
