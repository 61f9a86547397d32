"""The clock and the clients: whatever happens is told to a policy, and what it says is carried out.

A request is worked on for its own seconds, however many others are, up to `concurrency`; or for longer with each of
them, where the workload says so (`simulate.sharing`). Whoever is turned away goes on as if answered; nobody leaves
while waiting.

Of what happens at the same instant, what was set off before comes first, in the order in which it was: answers, news of
units, clients' next requests. Then come open requests, then `TimePassed`. So a run repeats itself exactly.
"""

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from math import inf
from typing import NamedTuple, Protocol, assert_never

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
from swapper.core.events import ConfigApplied, Event, RequestArrived, RequestOver, TimePassed, UnitChanged
from swapper.core.model import State
from swapper.simulate.host import Host, Misconduct, Unit
from swapper.simulate.sharing import Sharing
from swapper.simulate.tally import Tally
from swapper.simulate.timeline import Recorder
from swapper.simulate.workload import Ask, Workload


class Decider(Protocol):
    """A policy: what `core.scheduler.Scheduler` is, seen from here."""

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take note of what happened and say what is to be done."""

    def deadline(self) -> float | None:
        """When `TimePassed` is due; None while nothing can run out."""


class _Request(NamedTuple):
    unit: Unit
    arrived: float
    seconds: float
    client: Iterator[Ask] | None


class _Sequel(NamedTuple):
    """A client's next request."""

    ask: Ask
    client: Iterator[Ask]


class _Due(NamedTuple):
    """A request is done, if nobody came to its engine or left it meanwhile."""

    sharing: Sharing
    changes: int
    request: int


type _News = int | UnitChanged | _Sequel | _Due
"""What happens by itself: the end of a request, news of a unit, a client's next request."""


class World:
    """One run of a workload under one policy.

    Attributes:
        now: Virtual seconds.
        tally: What came of it so far.
    """

    def __init__(
        self,
        workload: Workload,
        policy: Decider,
        *,
        recorder: Recorder | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Make a world in which nothing has happened yet.

        Args:
            workload: What is asked.
            policy: Who decides; one that has not been told anything yet.
            recorder: Told what each model does, for a picture.
            after: Called after every event, for those who check.
        """
        self.now = 0.0
        self._workload, self._policy, self._recorder, self._after = workload, policy, recorder, after
        self._host = Host(workload, self._later, recorder)
        self.tally = self._host.tally
        self._heap: list[tuple[float, int, _News]] = []
        self._order = count()
        self._numbers = count(1)
        self._waiting: dict[int, _Request] = {}
        self._running: dict[int, _Request] = {}
        self._sequels = 0

    def run(self) -> Tally:
        """Have everything asked, and return what came of it.

        Raises:
            Misconduct: The policy did what cannot be done, or leaves somebody waiting for ever.
        """
        workload = self._workload
        self._tell(ConfigApplied(tuple(model.spec for model in workload.models), workload.gpus, workload.turns))
        for client in map(iter, self._workload.clients):
            self._follow(client)
        asks = iter(self._workload.asks)
        upcoming = next(asks, None)
        heap, deadline = self._heap, self._policy.deadline
        while upcoming is not None or self._waiting or self._running or self._sequels:
            due = deadline()
            limit = inf if due is None else due
            arrival = inf if upcoming is None else upcoming.at
            if heap and heap[0][0] <= arrival and heap[0][0] <= limit:
                self._happen()
            elif upcoming is not None and arrival <= limit:
                self.now = arrival
                self._arrive(upcoming, None)
                upcoming = next(asks, None)
            elif due is not None:
                self.now = max(self.now, due)
                self._tell(TimePassed())
            else:
                raise Misconduct(f"{len(self._waiting)} requests wait for ever, {min(self._waiting)} is the first")
        self.tally.ended = self.now
        return self.tally

    # -- what happens ----------------------------------------------------------------------------------------------

    def _later(self, after: float, what: _News) -> None:
        heapq.heappush(self._heap, (self.now + after, next(self._order), what))

    def _happen(self) -> None:
        self.now, _, what = heapq.heappop(self._heap)
        if isinstance(what, int):
            self._ends(what)
        elif isinstance(what, _Due):
            if what.changes == what.sharing.changes:
                self._ends(what.request)
        elif isinstance(what, UnitChanged):
            if self._host.comes(what, self.now):
                self._tell(what)
        else:
            self._sequels -= 1
            self._arrive(what.ask, what.client)

    def _arrive(self, ask: Ask, client: Iterator[Ask] | None) -> None:
        if self.tally.began is None:
            self.tally.began = self.now
        number, unit = next(self._numbers), self._host.units[ask.model]
        self._waiting[number] = _Request(unit, self.now, ask.seconds, client)
        unit.waiting += 1
        if self._recorder is not None and unit.waiting == 1:
            self._recorder.waits(ask.model, self.now, waiting=True)
        self._tell(RequestArrived(number, ask.model))

    def _ends(self, number: int) -> None:
        """A request is answered, if it was not broken off before."""
        if (request := self._running.pop(number, None)) is not None:
            request.unit.tally.answered += 1
            self._over(number, request)
            self._tell(RequestOver(number))

    def _over(self, number: int, request: _Request) -> None:
        """A lease has ended, well or not."""
        self._host.release(request.unit, self.now)
        if (sharing := request.unit.sharing) is not None:
            sharing.end(number, self.now)
            self._foretell(sharing)
        if request.client is not None:
            self._follow(request.client)

    def _follow(self, client: Iterator[Ask]) -> None:
        """Have a client send its next request, if there is one."""
        ask = next(client, None)
        if ask is not None:
            self._sequels += 1
            self._later(max(ask.at - self.now, ask.think), _Sequel(ask, client))

    # -- what is to be done ----------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        for action in self._policy.handle(event, self.now):
            match action:
                case Admit():
                    self._admit(action)
                case Announce():
                    self._announced(action)
                case StartUnit() | StartEarly() | StopUnit() | ParkUnit() | WakeUnit():
                    self._obey(action)
                case Reject():
                    request = self._waited(action)
                    request.unit.tally.rejected += 1
                    if request.client is not None:
                        self._follow(request.client)
                case Abort():
                    self._abort(action)
                case _:
                    assert_never(action)
        if self._after is not None:
            self._after()

    def _obey(self, action: StartUnit | StartEarly | StopUnit | ParkUnit | WakeUnit) -> None:
        unit = self._host.units[action.model]
        match action:
            case StartUnit():
                self._host.start(unit, self.now)
            case StopUnit():
                self._host.stop(unit, self.now)
            case StartEarly():
                raise Misconduct(f"{unit.name} was to be started early: a load is one span of time on this host")
            case ParkUnit() | WakeUnit():
                raise Misconduct(f"{unit.name} was to be parked or woken: nobody on this host can be")
            case _:
                assert_never(action)

    def _admit(self, action: Admit) -> None:
        request = self._waited(action)
        self._host.lease(request.unit, self.now)
        request.unit.tally.waits.append(self.now - request.arrived)
        self._running[action.request] = request
        if (sharing := request.unit.sharing) is None:
            self._later(request.seconds, action.request)
        else:
            sharing.begin(action.request, request.seconds, self.now)
            self._foretell(sharing)

    def _foretell(self, sharing: Sharing) -> None:
        """Who will be done next; of what was foretold before, nothing comes true."""
        if (upcoming := sharing.next()) is not None:
            at, number = upcoming
            self._later(at - self.now, _Due(sharing, sharing.changes, number))

    def _waited(self, action: Admit | Reject) -> _Request:
        """A request's wait is over."""
        request = self._waiting.pop(action.request, None)
        if request is None or request.unit.name != action.model:
            raise Misconduct(f"request {action.request} does not wait for {action.model}")
        request.unit.waiting -= 1
        if self._recorder is not None and not request.unit.waiting:
            self._recorder.waits(action.model, self.now, waiting=False)
        return request

    def _abort(self, action: Abort) -> None:
        request = self._running.pop(action.request, None)
        if request is None:
            raise Misconduct(f"request {action.request} holds no lease")
        request.unit.tally.aborted += 1
        self._over(action.request, request)

    def _announced(self, action: Announce) -> None:
        unit = self._host.units[action.model]
        if (action.new is State.DRAINING) is not unit.draining:
            unit.draining = not unit.draining
            self._host.show(unit, self.now)
