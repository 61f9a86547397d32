"""Policies to compare ours with, of the same interface as `core.scheduler.Scheduler`: events in, actions out.

    ours          the scheduler itself
    fcfs          first come, first served: on each GPU nobody gets a lease before everybody who came earlier has one.
                  Consecutive requests for the model that is there share it.
    swap-always   a model drains as soon as somebody waits for another, but serves those first who waited for it when it
                  became ready; newcomers wait for its next turn, behind whoever waits then
    collation     what llama-swap does (measured on its version 250): a model serves whoever asks for it, and is stopped
                  for another only when nobody is left, however long that takes

The others are as simple as they can be stated. They know concurrency, several GPUs and `pack` (of those that may go,
idle ones go first, then the least recently used), but no limits of queues or of time, no `ttl` and no `pinned`.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from swapper.core import reasons
from swapper.core.actions import Action, Admit, Announce, StartUnit, StopUnit
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, RequestOver, UnitChanged
from swapper.core.model import WHOLE, Demand, ModelSpec, Policy, State
from swapper.core.scheduler import Scheduler
from swapper.simulate.world import Decider


@dataclass(slots=True)
class Place:
    """One GPU.

    Attributes:
        packs: Whether several models may be on it.
        held: Models on it, with the parts per million that they take.
        wanted: Models that are pinned to it and for which requests wait.
    """

    packs: bool
    held: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, "Seat"] = field(default_factory=dict)

    def fits(self, parts: int, without: Collection[str] = ()) -> bool:
        """Whether one more fits when some have gone."""
        staying = [taken for name, taken in self.held.items() if name not in without]
        return not staying or (self.packs and parts + sum(staying) <= WHOLE)


@dataclass(slots=True)
class Seat:
    """One model.

    Attributes:
        spec: What is known of it.
        places: Its GPUs, with the parts per million that it takes of each. One that needs none has a place of its own.
        state: What it is doing.
        waiting: Requests without a lease, oldest first.
        leases: How many requests it works on.
        used: When a lease last began or ended.
        promised: The last of those requests that waited for it when it became ready.
        left: The number that the next request had when it was last told to go.
    """

    spec: ModelSpec
    places: tuple[tuple[Place, int], ...]
    state: State = State.STOPPED
    waiting: deque[int] = field(default_factory=deque)
    leases: int = 0
    used: float = 0.0
    promised: int = 0
    left: int = 0

    @property
    def full(self) -> bool:
        """Whether it works on as many requests as it may."""
        return self.spec.concurrency is not None and self.leases >= self.spec.concurrency


class Baseline(ABC):
    """What they have in common: who is where, and how a model comes and goes. Three questions make the difference."""

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}
        self._leases: dict[int, Seat] = {}
        self._touched: dict[int, Place] = {}
        self._actions: list[Action] = []
        self._last = 0

    @abstractmethod
    def _may_admit(self, seat: Seat) -> bool:
        """Whether the oldest request for a model that is ready may have a lease."""

    @abstractmethod
    def _may_go(self, seat: Seat) -> bool:
        """Whether a model that is ready may be told to drain, since its place is wanted."""

    def _rank(self, seat: Seat) -> int | None:
        """Its place in the line of those that want to be started, the smallest first; None when it does not."""
        return None if seat.state in {State.READY, State.STARTING} else seat.waiting[0]

    def deadline(self) -> float | None:
        """Never: nothing runs out here."""
        return None

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take note of what happened and say what is to be done."""
        match event:
            case ConfigApplied():
                self._configure(event)
            case RequestArrived():
                self._last, seat = event.request, self._seats[event.model]
                seat.waiting.append(event.request)
                for place, _ in seat.places:
                    place.wanted[event.model] = seat
                self._touch(seat)
            case RequestOver():
                seat = self._leases.pop(event.request)
                seat.leases, seat.used = seat.leases - 1, now
                self._touch(seat)
            case UnitChanged():
                self._unit_changed(self._seats[event.model], event.active)
            case _:
                pass
        self._settle(now)
        actions, self._actions = self._actions, []
        return actions

    def _configure(self, event: ConfigApplied) -> None:
        policies = {gpu.index: gpu.policy for gpu in event.gpus}
        # Models without a GPU have a place each, below those of groups.
        alone = min((0, *(demand.gpu for spec in event.models for demand in spec.demands))) - 1
        places: dict[int, Place] = {}
        for position, spec in enumerate(event.models):
            demands = spec.demands or (Demand(alone - position),)
            for demand in demands:
                places.setdefault(demand.gpu, Place(policies.get(demand.gpu) is Policy.PACK))
            self._seats[spec.name] = Seat(spec, tuple((places[demand.gpu], demand.parts) for demand in demands))

    def _unit_changed(self, seat: Seat, active: ActiveState) -> None:
        if active is ActiveState.ACTIVE:
            seat.state, seat.promised = State.READY, seat.waiting[-1] if seat.waiting else 0
        elif active is ActiveState.INACTIVE:
            seat.state = State.STOPPED
            for place, _ in seat.places:
                del place.held[seat.spec.name]
        self._touch(seat)

    def _touch(self, seat: Seat) -> None:
        for place, _ in seat.places:
            self._touched[id(place)] = place

    def _settle(self, now: float) -> None:
        while self._touched:
            place = self._touched.pop(next(iter(self._touched)))
            for name in tuple(place.held):
                self._serve(self._seats[name], now)
            self._decide(place, now)

    def _serve(self, seat: Seat, now: float) -> None:
        name = seat.spec.name
        while seat.state is State.READY and seat.waiting and not seat.full and self._may_admit(seat):
            request = seat.waiting.popleft()
            self._leases[request] = seat
            seat.leases, seat.used = seat.leases + 1, now
            if not seat.waiting:
                for place, _ in seat.places:
                    del place.wanted[name]
            self._actions.append(Admit(request, name))
            self._touch(seat)
        if seat.state is State.DRAINING and not seat.leases:
            seat.state = State.STOPPING
            self._actions.append(StopUnit(name, "drained"))

    def _first(self, place: Place) -> Seat | None:
        """Who is first in line for a GPU."""
        ranked = [(rank, seat) for seat in place.wanted.values() if (rank := self._rank(seat)) is not None]
        return min(ranked, key=lambda entry: entry[0])[1] if ranked else None

    def _decide(self, place: Place, now: float) -> None:
        """Start whoever is first in line on all of its GPUs, or make room for it."""
        seat = self._first(place)
        if seat is None or seat.state is not State.STOPPED or any(self._first(p) is not seat for p, _ in seat.places):
            return
        there = {name: self._seats[name] for p, _ in seat.places for name in p.held}
        if any(other.state is State.STARTING for other in there.values()):
            return  # two that start on one GPU spoil each other's memory profiling
        if all(p.fits(parts) for p, parts in seat.places):
            seat.state = State.STARTING
            for p, parts in seat.places:
                p.held[seat.spec.name] = parts
            self._actions.append(StartUnit(seat.spec.name))
            return
        victims = self._victims(seat, there)
        if all(map(self._may_go, victims)):
            for victim in victims:
                victim.state, victim.left = State.DRAINING, self._last + 1
                why = reasons.makes_room(seat.spec.name)
                self._actions.append(Announce(victim.spec.name, State.READY, State.DRAINING, why))
                self._serve(victim, now)

    def _victims(self, seat: Seat, there: Mapping[str, Seat]) -> list[Seat]:
        """Who has to go, beside those that go already."""
        going = {name for name, other in there.items() if other.state is not State.READY}
        ready = [other for other in there.values() if other.state is State.READY]
        victims: list[Seat] = []
        for other in sorted(ready, key=lambda other: (bool(other.leases or other.waiting), other.used)):
            crowded = [place for place, parts in seat.places if not place.fits(parts, going)]
            if any(other.spec.name in place.held for place in crowded):
                victims.append(other)
                going.add(other.spec.name)
        return victims


class Fcfs(Baseline):
    """First come, first served."""

    def _may_admit(self, seat: Seat) -> bool:
        return all(self._first(place) is seat for place, _ in seat.places)

    def _may_go(self, seat: Seat) -> bool:  # noqa: ARG002 — whoever wants its place came before those who wait for it
        return True

    def _rank(self, seat: Seat) -> int:
        return seat.waiting[0]


class SwapAlways(Baseline):
    """Drains as soon as somebody else waits."""

    def _may_admit(self, seat: Seat) -> bool:
        return seat.waiting[0] <= seat.promised or all(self._first(place) is None for place, _ in seat.places)

    def _may_go(self, seat: Seat) -> bool:
        return not seat.waiting or seat.waiting[0] > seat.promised

    def _rank(self, seat: Seat) -> int | None:
        oldest = super()._rank(seat)
        return None if oldest is None else max(oldest, seat.left)


class Collation(Baseline):
    """Goes on as long as somebody is there."""

    def _may_admit(self, seat: Seat) -> bool:  # noqa: ARG002 — whoever asks
        return True

    def _may_go(self, seat: Seat) -> bool:
        return not seat.leases and not seat.waiting


POLICIES: Mapping[str, Callable[[], Decider]] = {
    "ours": Scheduler,
    "fcfs": Fcfs,
    "swap-always": SwapAlways,
    "collation": Collation,
}
"""All policies by name."""
