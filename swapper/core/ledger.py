"""The books: every model's record, where each request is, what is due, and the actions decided so far.

Only primitives live here, each of which keeps the books in order by itself; no decisions.
"""

from collections.abc import Iterator
from dataclasses import replace

from swapper.core.actions import Abort, Action, Admit, Announce
from swapper.core.claims import Claims
from swapper.core.early import Early
from swapper.core.model import TURNS, Failure, Gpu, State
from swapper.core.parking import Sleep
from swapper.core.reasons import Reason
from swapper.core.record import Record
from swapper.core.timers import Timers


class Ledger:
    """The state of all models."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._gpus: dict[int, Gpu] = {}
        self._turns = TURNS
        self._park_memory = 0
        self._holders: dict[int, dict[str, Record]] = {}
        self._gated: dict[str, Record] = {}
        self._requests: dict[int, Record] = {}
        self._claims = Claims()
        self._timers = Timers()
        self._dirty: set[int] = set()
        self._actions: list[Action] = []

    def record(self, model: str) -> Record | None:
        """What is known of a model; to be read only."""
        return self._records.get(model)

    def records(self) -> Iterator[Record]:
        """What is known of all models, in the order of the configuration; to be read only."""
        return iter(self._records.values())

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The configured GPUs; places of groups are none."""
        return tuple(gpu for gpu in self._gpus.values() if gpu.index >= 0)

    @property
    def claims(self) -> tuple[str, ...]:
        """Models that wait to be started, oldest claim first."""
        return tuple(self._claims)

    def place(self, request: int) -> int:
        """A request's place among those that wait for its model, from 1; 0 when it does not wait."""
        record = self._requests.get(request)
        if record is None or request not in record.waiting:
            return 0
        return 1 + next(place for place, waiting in enumerate(record.waiting) if waiting == request)

    def deadline(self) -> float | None:
        """When `TimePassed` is due; None while nothing can run out."""
        return self._timers.first()

    def _hold(self, record: Record) -> None:
        """What a model holds may have changed."""
        if record.holds == record.held:
            return
        for demand in record.held:
            del self._holders[demand.gpu][record.name]
        record.held = record.holds
        for demand in record.held:
            self._holders.setdefault(demand.gpu, {})[record.name] = record

    def _gate(self, record: Record, early: Early) -> None:
        """What the process of a model does that has not been started is this now."""
        record.early = early
        if early is Early.WAITS:
            self._gated[record.name] = record
        else:
            self._gated.pop(record.name, None)

    def _enter(
        self, record: Record, state: State, reason: Reason, now: float, *, timeout: float | None, took: float | None
    ) -> None:
        """Change a model's state.

        Args:
            record: The model's.
            state: Its state from now on.
            reason: Why.
            now: The time.
            timeout: Seconds after which the state must have ended.
            took: Seconds that the state before lasted, by a better clock.
        """
        old, lasted = record.state, now - record.since
        if old is not state:
            record.since = now
        if old is State.STARTING and state is not old:
            record.loading += lasted
            if state is State.READY and not record.adopted:
                record.pace.loads.note(lasted if took is None else took)
        elif old is State.STOPPING and not state.resident and record.sleep is not Sleep.ASLEEP:
            record.pace.stops.note(lasted if took is None else took)
        if state is State.READY and old is not State.DRAINING:
            record.turn = now
        record.state, record.reason = state, reason
        self._hold(record)
        record.deadline = None
        if timeout is not None:
            self._due(record, now + timeout)
        if old is not state:
            self._actions.append(Announce(record.name, old, state, reason, took))

    def _due(self, record: Record, when: float) -> None:
        record.deadline = when
        self._wake(record, when)

    def _wake(self, record: Record, when: float) -> None:
        """Have a look at a model then, at the latest."""
        if record.timer is None or when < record.timer:
            record.timer = when
            self._timers.add(when, record.name)

    def _admit(self, record: Record, request: int, now: float, loading: float = 0.0) -> None:
        record.leases[request] = record.used = now
        self._actions.append(Admit(request, record.name, loading))

    def _admit_waiting(self, record: Record, request: int, now: float) -> None:
        wait = record.waiting.take(request)
        if request in record.light:
            record.light.discard(request)
            record.aside.add(request)
        self._admit(record, request, now, min(record.loading - wait.loading, now - wait.since))

    def _abort(self, record: Record, failure: Failure) -> None:
        """Break off all requests that hold a lease; whoever sends them again waits for the model's next start."""
        if record.leases:
            failure = replace(failure, retry_after=None if record.removed else 0.0)
        for request in record.leases:
            del self._requests[request]
            self._actions.append(Abort(request, record.name, failure))
        record.leases.clear()
        record.aside.clear()

    def _began(self, record: Record, invocation: str, *, adopted: bool) -> None:
        """Another process runs, or will: what it holds is what is configured now."""
        self._dirty.update(demand.gpu for demand in record.holds)
        record.load(record.spec)
        record.invocation, record.begun, record.adopted = invocation, True, adopted
        record.never_ready, record.timed_out, record.drained_for = False, False, None
        record.sleep, record.opened = Sleep.AWAKE, False
        self._gate(record, Early.NO)
        self._hold(record)
