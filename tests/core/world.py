"""A host in virtual time: units that load and stop, engines that answer, clients that ask; driven by its own clock."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from swapper.core.actions import Abort, Admit, Announce, Reject, StartUnit, StopUnit
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, RequestOver, TimePassed, UnitChanged
from swapper.core.invariants import validate
from swapper.core.model import Gpu, ModelSpec, Policy, State, Turns
from swapper.core.scheduler import Scheduler


@dataclass(slots=True)
class Asked:
    """A request, and what became of it. Times are seconds.

    Attributes:
        model: Whom it is for.
        service: How long its answer takes.
        arrived: When it came.
        admitted: When it got its lease.
        over: When it was answered.
        place: How many requests for the same model waited before it.
    """

    model: str
    service: float
    arrived: float
    admitted: float | None = None
    over: float | None = None
    place: int = 0
    then: Callable[[], None] | None = None

    @property
    def waited(self) -> float:
        """How long it waited for its lease."""
        assert self.admitted is not None
        return self.admitted - self.arrived


@dataclass(slots=True)
class Stay:
    """A model's stay on the GPU: when it was told to start, was ready, was told to stop, and was gone."""

    model: str
    begun: float
    waiting: tuple[int, ...]
    ready: float | None = None
    stopped: float | None = None
    gone: float | None = None
    admitted: list[int] = field(default_factory=list)


class World:
    """One scheduler and all around it."""

    def __init__(
        self, models: Sequence[ModelSpec], load: dict[str, float], stop: float, turns: Turns, *, check: bool = True,
        policy: Policy = Policy.EXCLUSIVE
    ) -> None:  # fmt: skip
        self.scheduler = Scheduler()
        self.now = 0.0
        self.load, self.stop, self.check = load, stop, check
        self.requests: dict[int, Asked] = {}
        self.stays: list[Stay] = []
        self._ids, self._order = count(1), count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._feed(ConfigApplied(tuple(models), (Gpu(0, policy),), turns))

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen then."""
        heapq.heappush(self._due, (when, next(self._order), what))

    def ask(
        self, model: str, service: float, then: Callable[[], None] | None = None, *, priority: int = 0
    ) -> None:
        """Send a request now; `then` is called when it is over."""
        request = next(self._ids)
        record = self.scheduler.record(model)
        assert record is not None
        asked = self.requests[request] = Asked(model, service, self.now, place=len(record.waiting))
        asked.then = then
        self._feed(RequestArrived(request, model, priority=priority))

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            deadline = self.scheduler.deadline()
            due = self._due[0][0] if self._due else None
            first = min((when for when in (deadline, due) if when is not None), default=None)
            if first is None or first > until:
                break
            self.now = max(self.now, first)
            if due is not None and due <= self.now:
                heapq.heappop(self._due)[2]()
            else:
                self._feed(TimePassed())
        self.now = until

    def _feed(self, event: Event) -> None:
        actions = self.scheduler.handle(event, self.now)
        if self.check:
            validate(self.scheduler)
        for action in actions:
            match action:
                case StartUnit(model):
                    self._start(model)
                case StopUnit(model):
                    self._stay(model).stopped = self.now
                    self.at(self.now + self.stop, lambda model=model: self._gone(model))  # type: ignore[misc]
                case Admit(request):
                    self._admit(request)
                case Announce():
                    pass
                case Reject() | Abort():
                    raise AssertionError(action)

    def _start(self, model: str) -> None:
        record = self.scheduler.record(model)
        assert record is not None
        self.stays.append(Stay(model, self.now, tuple(record.waiting)))
        self.at(self.now + self.load[model], lambda: self._ready(model))

    def _stay(self, model: str) -> Stay:
        """The last one of a model."""
        return next(stay for stay in reversed(self.stays) if stay.model == model)

    def _ready(self, model: str) -> None:
        stay = self._stay(model)
        stay.ready = self.now
        record = self.scheduler.record(model)
        assert record is not None
        stay.waiting = tuple(record.waiting)
        self._feed(UnitChanged(model, ActiveState.ACTIVE, f"i{len(self.stays)}", took=self.load[model]))

    def _gone(self, model: str) -> None:
        self._stay(model).gone = self.now
        self._feed(UnitChanged(model, ActiveState.INACTIVE, took=self.stop))

    def _admit(self, request: int) -> None:
        asked = self.requests[request]
        assert asked.admitted is None, "served twice"
        record = self.scheduler.record(asked.model)
        assert record is not None
        assert record.state in {State.READY, State.DRAINING}  # it may have been the last one
        asked.admitted = self.now
        self._stay(asked.model).admitted.append(request)
        self.at(self.now + asked.service, lambda: self._over(request))

    def _over(self, request: int) -> None:
        asked = self.requests[request]
        asked.over = self.now
        self._feed(RequestOver(request))
        if asked.then is not None:
            asked.then()
