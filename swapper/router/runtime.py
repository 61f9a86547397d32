"""The shell around the scheduler: what happens goes in, what it decides is carried out.

There is one way in, `dispatch`, and no `await` between deciding and carrying out: an event that comes up meanwhile
waits in line until all actions of the one before are done. Starting and stopping units takes time and is left to
`router.orders`, which reports back with events. One timer is armed for the scheduler's next deadline.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol, assert_never

from swapper.core import failures
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
from swapper.core.events import Event, RequestArrived, RequestOver, TimePassed
from swapper.core.model import Failure, State
from swapper.core.scheduler import Scheduler

_LOG = logging.getLogger(__name__)


class Client(Protocol):
    """Who asks for a lease. Each of these is called at most once; after `rejected` or `aborted` all is over."""

    ticket: "Ticket | None"

    def admitted(self, socket: str, loading: float = 0.0) -> None:
        """The lease is there; this is the engine's socket. For `loading` seconds of the wait the model was starting."""

    def rejected(self, failure: Failure) -> None:
        """There will be no lease."""

    def aborted(self, failure: Failure) -> None:
        """The lease ends now."""


class Orders(Protocol):
    """Who carries out what takes time."""

    def start(self, model: str) -> None:
        """Have the model's unit started, or let it go on."""

    def start_early(self, model: str) -> None:
        """Have the model's unit started up to the gate."""

    def stop(self, model: str) -> None:
        """Have the model's unit stopped."""

    def park(self, model: str) -> None:
        """Have the model's engine parked."""

    def wake(self, model: str) -> None:
        """Have the model's engine woken."""


class Ticket:
    """A request's place: in the queue, then with a lease.

    Attributes:
        id: The scheduler's number of the request.
        client: Who asked.
    """

    __slots__ = ("_runtime", "client", "id")

    def __init__(self, request: int, client: Client, runtime: "Runtime") -> None:
        self.id = request
        self.client = client
        self._runtime = runtime

    def release(self) -> None:
        """Give up the place at once; more than once does no harm."""
        self._runtime.release(self)


class Runtime:
    """The scheduler, in time and with consequences.

    Attributes:
        scheduler: To be read by others, changed by nobody but `dispatch`.
    """

    def __init__(self, scheduler: Scheduler, socket_of: Callable[[str], str], forget: Callable[[str], None]) -> None:
        """Make the shell; `orders` must be set before the first event.

        Args:
            scheduler: Decides.
            socket_of: From a model's name to its engine's socket.
            forget: Told of an engine's socket when its engine is going: connections to it are of no use any more.
        """
        self.scheduler = scheduler
        self.orders: Orders | None = None
        self._socket_of = socket_of
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1)
        self._tickets: dict[int, Ticket] = {}
        self._events: deque[Event] = deque()
        self._dispatching = False
        self._timer: asyncio.TimerHandle | None = None
        self._watchers: list[Callable[[Announce], None]] = []

    def __repr__(self) -> str:
        return f"<Runtime tickets={sorted(self._tickets)}>"

    @property
    def requests(self) -> int:
        """Requests that wait or hold a lease."""
        return len(self._tickets)

    def watch(self, watcher: Callable[[Announce], None]) -> None:
        """Have every change of a model's state reported."""
        self._watchers.append(watcher)

    def request(self, model: str, client: Client, *, light: bool = False, priority: int = 0) -> Ticket:
        """Ask for a lease. Sets `client.ticket`, and may call the client before it returns.

        Args:
            model: The configured name.
            client: Who is told.
            light: It needs the model there, but none of the places that `concurrency` counts.
            priority: Steps above what is normal.
        """
        ticket = Ticket(next(self._ids), client, self)
        client.ticket = ticket
        self._tickets[ticket.id] = ticket
        self.dispatch(RequestArrived(ticket.id, model, light, priority))
        return ticket

    def peek(self, model: str) -> str | Failure:
        """The socket of a model that is loaded, without a lease.

        It is no use of the model: nothing is loaded for it, nobody's end is put off by it, and the engine may go at any
        time.

        Args:
            model: The configured name.
        """
        record = self.scheduler.record(model)
        if record is not None and record.state in {State.READY, State.DRAINING}:
            return self._socket_of(model)
        return failures.not_loaded(model)

    def place(self, ticket: Ticket) -> int:
        """A request's place among those that wait for its model, from 1; 0 when it does not wait."""
        return self.scheduler.place(ticket.id)

    def release(self, ticket: Ticket) -> None:
        """The request is over, whatever it had."""
        if self._tickets.pop(ticket.id, None) is not None:
            self.dispatch(RequestOver(ticket.id))

    def dispatch(self, event: Event) -> None:
        """Let the scheduler handle an event, and carry out what it says."""
        self._events.append(event)
        if self._dispatching:
            return
        self._dispatching = True
        try:
            while self._events:
                for action in self.scheduler.handle(self._events.popleft(), self._loop.time()):
                    self._carry_out(action)
        finally:
            self._dispatching = False
        self._arm()

    def turn_away(self, failure: Failure) -> None:
        """Tell everybody who still waits for a lease that there will be none."""
        waiting = [request for record in self.scheduler.records() for request in record.waiting]
        for ticket in [self._tickets.pop(request) for request in waiting if request in self._tickets]:
            self.dispatch(RequestOver(ticket.id))
            ticket.client.rejected(failure)

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _carry_out(self, action: Action) -> None:
        try:
            match action:
                case Admit() | Reject() | Abort():
                    self._tell(action)
                case StartUnit():
                    self._orders.start(action.model)
                case StartEarly():
                    self._orders.start_early(action.model)
                case StopUnit():
                    self._forget(self._socket_of(action.model))
                    self._orders.stop(action.model)
                case ParkUnit():
                    self._forget(self._socket_of(action.model))
                    self._orders.park(action.model)
                case WakeUnit():
                    self._orders.wake(action.model)
                case Announce():
                    self._announce(action)
                case _:
                    assert_never(action)
        except Exception:  # noqa: BLE001
            # One client's defect must not keep the others from what they were promised.
            _LOG.exception("could not carry out %r", action)

    def _tell(self, action: Admit | Reject | Abort) -> None:
        ticket = self._tickets.get(action.request)
        if ticket is None:
            return  # released while this action waited its turn; that the request is over is in line
        match action:
            case Admit():
                ticket.client.admitted(self._socket_of(action.model), action.loading)
            case Reject():
                del self._tickets[action.request]
                ticket.client.rejected(action.failure)
            case Abort():
                del self._tickets[action.request]
                ticket.client.aborted(action.failure)
            case _:
                assert_never(action)

    @property
    def _orders(self) -> Orders:
        if self.orders is None:
            raise RuntimeError("the runtime has nobody to give orders to")
        return self.orders

    def _announce(self, change: Announce) -> None:
        for watcher in self._watchers:
            watcher(change)

    def _arm(self) -> None:
        deadline = self.scheduler.deadline()
        if self._timer is not None:
            if deadline is not None and self._timer.when() == deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self.dispatch(TimePassed())
