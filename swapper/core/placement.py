"""Which residents must go so that a model fits its GPUs.

Rules. On a GPU with policy `exclusive` one model may be resident; on one with `pack`, as many as their shares allow.
Whoever drains or stops is leaving: nobody else goes where its room is enough. Never a victim is one that is pinned.
Models that are always together are placed as one, and go as one (`core.company`).

Of all sets that make enough room, the one goes that is the cheapest to have gone. What a model costs then is what it
takes to load it again, times how likely it is to be wanted soon: one that nobody has used for a time t is wanted within
the next moment with a chance that goes with 1/t (as it is for the power laws by which things are asked for again). So
among equals the least recently used one goes, of two that have rested for as long the one that loads faster, and a
large one rather than several small ones where these cost more together (cost-aware replacement as in Cao and Irani,
"Cost-Aware WWW Proxy Caching Algorithms", USITS 1997; there size divides, here it counts by how many must go).
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf

from swapper.core import company
from swapper.core.model import WHOLE, Demand, Gpu, ModelSpec, Policy, State
from swapper.core.record import Record

MOST_TRIED = 12
"""Of so many candidates all sets are looked at; of more, the cheapest ones are taken one after the other."""

UNKNOWN_LOAD = 1.0
"""Seconds that a load is taken to last where none was seen."""


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
        victims: Who has to drain, the cheapest first, and who goes with them.
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


def plan(claimant: Record, occupants: Sequence[Record], gpus: Mapping[int, Gpu], now: float) -> Plan:
    """Decide a claim.

    Args:
        claimant: The model that wants to start.
        occupants: All other models that are resident on any of its GPUs, or of those of who comes with it.
        gpus: The configured GPUs; one that is not configured is exclusive.
        now: The time.
    """
    demands = company.wants(claimant)
    # Two engines that start on one GPU at the same time spoil each other's memory profiling (vLLM).
    if company.starting(claimant) or any(occupant.state is State.STARTING for occupant in occupants):
        return Plan(Verdict.WAIT)
    staying = [occupant for occupant in occupants if occupant.state is State.READY]
    if not conflicts(demands, occupants, gpus):
        return Plan(Verdict.START)
    if not conflicts(demands, staying, gpus):
        return Plan(Verdict.WAIT)
    pinned = tuple(occupant for occupant in staying if occupant.pinned and occupant not in claimant.companions)
    if conflicts(demands, pinned, gpus):
        return Plan(Verdict.NEVER, obstacles=pinned)
    fixed = [occupant for occupant in staying if occupant in pinned or _gathers(occupant, claimant)]
    if conflicts(demands, fixed, gpus):
        return Plan(Verdict.WAIT)
    return Plan(Verdict.EVICT, victims=_cheapest(claimant, staying, gpus, now))


def regret(record: Record, now: float) -> float:
    """What it costs to have a resident gone: seconds of loading it again, per second that it has not been used."""
    idle = 0.0 if record.leases else now - record.used
    return (record.pace.loads.known or UNKNOWN_LOAD) / (1.0 + idle)


def crowded(specs: Sequence[ModelSpec], gpus: Mapping[int, Gpu]) -> bool:
    """Whether these models can never be there together."""
    wanted = [demand.gpu for spec in specs for demand in spec.demands]
    return any(demand.parts > WHOLE for demand in company.total(specs)) or any(
        _policy(gpu, gpus) is Policy.EXCLUSIVE and wanted.count(gpu) > 1 for gpu in set(wanted)
    )


def _gathers(occupant: Record, claimant: Record) -> bool:
    return company.gathers(occupant) and occupant not in claimant.companions


def _cheapest(
    claimant: Record, staying: Sequence[Record], gpus: Mapping[int, Gpu], now: float
) -> tuple[Record, ...]:
    """Who goes; the cheapest first."""
    demands = company.wants(claimant)
    crowded = conflicts(demands, staying, gpus)
    parties = _parties(claimant, [r for r in staying if any(demand.gpu in crowded for demand in r.holds)], now)
    if len(parties) > MOST_TRIED:
        return _one_by_one(demands, [party for _, party in parties], staying, gpus)
    best: tuple[float, int, tuple[Record, ...]] | None = None
    for count in range(1, len(parties) + 1):
        for chosen in combinations(parties, count):
            some = tuple(record for _, party in chosen for record in party)
            cost = sum(cost for cost, _ in chosen), len(some)
            if best is not None and cost >= best[:2]:
                continue
            if not conflicts(demands, [record for record in staying if record not in some], gpus):
                best = *cost, some
    return best[2] if best is not None else ()


def _parties(
    claimant: Record, candidates: Iterable[Record], now: float
) -> list[tuple[float, tuple[Record, ...]]]:
    """Those who may go, each with whoever goes along, and what they cost together; the cheapest first."""
    parties: dict[str, tuple[float, float, tuple[Record, ...]]] = {}
    for record in sorted(candidates, key=lambda record: record.used):
        ours = record in claimant.companions
        if record.name in parties or (not ours and (record.pinned or company.gathers(record))):
            continue
        party = (record, *company.ready(record))
        # Who serves the last of those to whom it owes that has been chosen before. Of its own company nobody is, but
        # for one that runs as it is not configured any more.
        cost = inf if ours else sum(0.0 if r.closes_for == claimant.name else regret(r, now) for r in party)
        found = cost, max(r.used for r in party), party
        parties |= {r.name: found for r in party}
    distinct = {id(party): (cost, used, party) for cost, used, party in parties.values()}
    return [(cost, party) for cost, _, party in sorted(distinct.values(), key=lambda found: found[:2])]


def _one_by_one(
    demands: Sequence[Demand], parties: Sequence[tuple[Record, ...]], staying: Sequence[Record], gpus: Mapping[int, Gpu]
) -> tuple[Record, ...]:
    """The first ones of those, as far as each of them is in the way."""
    victims: list[Record] = []
    for party in parties:
        crowded = conflicts(demands, [r for r in staying if r not in victims], gpus)
        if not crowded:
            break
        if any(demand.gpu in crowded for record in party for demand in record.holds):
            victims += party
    return tuple(victims)


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
        evictable = candidate.state is State.READY and not candidate.pinned and candidate is not keep
        if evictable and conflicts(candidate.holds, others, gpus):
            leaving.append(candidate)
    return tuple(leaving)


def _policy(gpu: int, gpus: Mapping[int, Gpu]) -> Policy:
    return gpus[gpu].policy if gpu in gpus else Policy.EXCLUSIVE
