"""Who runs when: events in, actions out, through one door.

Theory of operation. Each model has a `Record` with its state. A request takes a lease at once when its model is ready;
otherwise it waits, and its model makes a *claim* on its GPUs. Claims are decided in order (`core.claims`): the model is
started when it fits, or residents are chosen to make room (`core.placement`); these *drain*, which means that they
admit nobody and are stopped when their last lease ends. A busy model is never stopped to make room.

    stopped ──claim decided──> starting ──unit active──> ready ──victim, unload──> draining ──last lease──> stopping
       ^                          │ unit failed            │ unit went away by itself                          │
       └──────────────────────────┴──> failed <────────────┴────────────────── unit inactive ──> stopped <─────┘

What systemd reports is always right: a unit that somebody else started is adopted, one that somebody else stopped is
gone, and nothing here argues. Whoever calls `handle` carries out the actions in order before the next event, and calls
it again with `TimePassed` at `deadline()`.
"""

from dataclasses import replace
from typing import assert_never

from swapper.core import company, failures, outlook, placement, reasons
from swapper.core.actions import Action, Reject, StartUnit
from swapper.core.early import Early
from swapper.core.events import (
    ActiveState,
    AvailabilityChanged,
    ConfigApplied,
    Event,
    MemoryShort,
    ParkAsked,
    Parked,
    RequestArrived,
    RequestOver,
    StartRefused,
    TimePassed,
    UnitChanged,
    UnloadAsked,
    Weighed,
    Woken,
)
from swapper.core.model import Failure, ModelSpec, State
from swapper.core.parking import Sleep
from swapper.core.reasons import Reason
from swapper.core.record import Record
from swapper.core.resting import Resting
from swapper.core.seating import GRACE

BACKOFF_MAX = 60.0
"""Longest pause in seconds between starts of a model that keeps failing."""

_UNAVAILABLE = {"model_incomplete": State.INCOMPLETE, "model_disabled": State.DISABLED}


class Scheduler(Resting):
    """The one function that changes the state of all models."""

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take note of what happened and say what is to be done.

        Args:
            event: What happened.
            now: Seconds on a clock that never goes back.

        Raises:
            ValueError: The event cannot have happened (a request id that is in use); nothing has changed.
        """
        match event:
            case RequestArrived():
                self._request_arrived(event, now)
            case RequestOver():
                self._request_over(event, now)
            case UnitChanged():
                self._unit_changed(event, now)
            case StartRefused():
                self._start_refused(event, now)
            case AvailabilityChanged():
                self._availability_changed(event, now)
            case UnloadAsked():
                self._unload_asked(event, now)
            case ConfigApplied():
                self._config_applied(event, now)
            case ParkAsked() | Weighed() | Parked() | Woken() | MemoryShort():
                self._rest(event, now)
            case TimePassed():
                self._time_passed(now)
            case _:
                assert_never(event)
        self._settle(now)
        actions, self._actions = self._actions, []
        return actions

    # -- requests ------------------------------------------------------------------------------------------------

    def _request_arrived(self, event: RequestArrived, now: float) -> None:
        if event.request in self._requests:
            raise ValueError(f"request {event.request} has arrived already")
        record = self._records.get(event.model)
        if record is None or record.removed:
            self._actions.append(Reject(event.request, event.model, failures.not_configured(event.model)))
            return
        if record.companions:
            self._call(record, now)
        if not record.leases and not record.waiting and not event.light:
            record.pace.pause(now - record.used)
        if record.state is State.READY and (event.light or (not record.waiting and not record.full)):
            self._requests[event.request] = record
            if event.light:
                record.aside.add(event.request)
            self._admit(record, event.request, now)
        elif (failure := self._refusal(record, now)) is not None:
            self._actions.append(Reject(event.request, event.model, failure))
        else:
            self._wait(record, event, now)

    def _refusal(self, record: Record, now: float) -> Failure | None:
        """Why no request may wait for a model now, if so."""
        if record.crowded:
            place = outlook.queue_place(record, self._records.values(), self._claims, now)
            return failures.queue_full(record, place)
        if record.state is State.FAILED and record.failure is not None and now < record.retry_at:
            return replace(record.failure, retry_after=record.retry_at - now)
        return None

    def _wait(self, record: Record, event: RequestArrived, now: float) -> None:
        self._requests[event.request] = record
        record.waiting.add(event.request, record.wait(now, event.priority))
        if event.light:
            record.light.add(event.request)
        if record.spec.queue_timeout is not None:
            self._wake(record, now + record.spec.queue_timeout)
        self._touch(record)

    def _request_over(self, event: RequestOver, now: float) -> None:
        record = self._requests.pop(event.request, None)
        if record is None:
            return
        began = record.leases.pop(event.request, None)
        if began is not None:
            if event.request in record.aside:
                record.aside.discard(event.request)
            else:
                record.pace.services.note(now - began)
            record.used = now
            if record.state is State.READY and not record.waiting and not self._claims and record.spec.ttl is None:
                return
        else:
            record.waiting.take(event.request)
            record.light.discard(event.request)
        self._touch(record)

    # -- units ---------------------------------------------------------------------------------------------------

    def _unit_changed(self, event: UnitChanged, now: float) -> None:
        record = self._records.get(event.model)
        if record is None:
            return
        match event.active:
            case ActiveState.ACTIVE | ActiveState.RELOADING | ActiveState.REFRESHING:
                self._unit_active(record, event, now)
                self._slots_known(record, event.slots)
            case ActiveState.ACTIVATING:
                self._unit_activating(record, event, now)
            case ActiveState.DEACTIVATING:
                self._unit_deactivating(record, event, now)
            case ActiveState.INACTIVE | ActiveState.FAILED | ActiveState.MAINTENANCE:
                self._unit_gone(record, event, now)
            case _:
                assert_never(event.active)

    def _unit_active(self, record: Record, event: UnitChanged, now: float) -> None:
        known = event.invocation in {"", record.invocation}
        match record.state:
            case State.READY | State.DRAINING | State.STOPPING | State.PARKED if known:
                return
            case State.STARTING if known and record.sleep is Sleep.WAKING:
                return
            case State.DRAINING:
                # It was to go, and the process that took its place holds no lease.
                reason = record.reason
                self._replaced(record, event)
                self._stop(record, now, reason)
                return
            case State.READY:
                self._replaced(record, event)
            case State.STARTING | State.STOPPED | State.FAILED | State.INCOMPLETE | State.DISABLED if event.parked:
                self._began(record, event.invocation, adopted=True)
                record.failure, record.failures, record.retry_at, record.sleep = None, 0, 0.0, Sleep.ASLEEP
                record.used = now
                self._change(record, State.PARKED, reasons.ADOPTED_PARKED, now)
                self._fit_parked(self._park_memory, now)
                return
            case State.STARTING:
                record.invocation, record.begun = event.invocation or record.invocation, True
                record.sleep = Sleep.AWAKE
                took = None if record.opened else event.took
                self._change(record, State.READY, reasons.LOADED, now, took=took)
            case _:
                self._began(record, event.invocation, adopted=True)
                self._change(record, State.READY, reasons.ADOPTED, now)
        record.failure, record.failures, record.retry_at, record.used = None, 0, 0.0, now
        record.skipped = False
        self._touch(record)
        if record.adopted:
            self._relieve(now, reasons.gives_way(record.name), keep=record)

    def _slots_known(self, record: Record, slots: int | None) -> None:
        """The engine has said how much it does at once. Leases beyond that just end in their time."""
        if slots is not None and slots > 0 and slots != record.slots:
            record.slots = slots
            self._touch(record)

    def _replaced(self, record: Record, event: UnitChanged) -> None:
        """Another process runs in place of the one that held the leases."""
        self._abort(record, failures.restarted(record))
        self._began(record, event.invocation, adopted=True)

    def _unit_activating(self, record: Record, event: UnitChanged, now: float) -> None:
        there = record.state.resident or record.early is Early.LEAVES
        if event.invocation in {"", record.invocation} and there:
            return
        if record.state is State.STARTING:
            record.invocation, record.begun, record.sleep = event.invocation, True, Sleep.AWAKE
            return
        if event.gated and self._came_to_gate(record, event):
            return
        gated = event.gated or record.early is Early.WAITS
        self._replaced(record, event)
        if gated:
            # Somebody else wants it there, whoever is there already: nothing keeps it at the gate any more.
            record.opened = True
            self._actions.append(StartUnit(record.name))
        self._change(record, State.STARTING, reasons.STARTED_ELSEWHERE, now, record.spec.load_timeout + GRACE)
        self._relieve(now, reasons.gives_way(record.name), keep=record)

    def _came_to_gate(self, record: Record, event: UnitChanged) -> bool:
        """A process was started early, by us or by a router before us: then it stays if somebody waits for it."""
        if record.state.running:
            return False
        record.invocation, record.begun = event.invocation or record.invocation, True
        if record.early is Early.NO:
            self._gate(record, Early.WAITS)
            self._touch(record)
        return True

    def _unit_deactivating(self, record: Record, event: UnitChanged, now: float) -> None:
        if record.state is State.STOPPING or record.early is Early.LEAVES:
            return
        record.failure = event.failure or failures.stopped(record)
        if record.early is Early.WAITS:
            record.never_ready = True
            self._stop_early(record, now)
            return
        record.never_ready = record.state is State.STARTING
        if not record.state.running:
            record.loaded, record.adopted = record.spec, True
        self._abort(record, record.failure)
        self._change(record, State.STOPPING, reasons.failed(record.failure), now, record.loaded.stop_timeout + GRACE)

    def _unit_gone(self, record: Record, event: UnitChanged, now: float) -> None:
        if record.state is State.STOPPED and record.early is Early.NO and event.failure is not None:
            # It failed while nobody was here to see it. That is no reason to let the next request wait.
            self._change(record, State.FAILED, reasons.failed(event.failure), now)
            record.failure = event.failure
        if not record.running:
            return
        starting = record.state is State.STARTING or record.early is Early.WAITS
        if starting and record.precedes(event.invocation):
            # The end of the run before the one that was asked for: the answer to our start is still to come.
            return
        going = record.state is State.STOPPING or record.early is Early.LEAVES
        asked = going and record.failure is None and record.sleep is not Sleep.PARKING
        failed = record.timed_out or (event.active is not ActiveState.INACTIVE and not asked)
        never_ready = record.never_ready or starting
        failure = record.failure if record.timed_out else event.failure or record.failure
        failure = failure or failures.stopped(record)
        self._abort(record, failure)
        reason = reasons.failed(failure) if failed else reasons.stopped(record.reason)
        self._gone(record, State.FAILED if failed else State.STOPPED, reason, now, took=event.took)
        record.failure = failure if failed else None
        if never_ready:
            self._start_failed(record, failure, now, backoff=failed)

    def _start_refused(self, event: StartRefused, now: float) -> None:
        record = self._records.get(event.model)
        if record is None or (record.state is not State.STARTING and record.early is not Early.WAITS):
            return
        state = _UNAVAILABLE.get(event.failure.code, State.FAILED)
        self._gone(record, state, reasons.failed(event.failure), now)
        record.failure = event.failure
        self._start_failed(record, event.failure, now, backoff=state is State.FAILED)

    def _gone(self, record: Record, state: State, reason: Reason, now: float, *, took: float | None = None) -> None:
        record.adopted, record.never_ready, record.timed_out, record.opened = False, False, False, False
        self._gate(record, Early.NO)
        self._change(record, state, reason, now, took=took)
        record.sleep = Sleep.AWAKE

    def _start_failed(self, record: Record, failure: Failure, now: float, *, backoff: bool) -> None:
        record.skipped = True
        if backoff:
            record.failures += 1
            pause = min(2.0 ** (record.failures - 1), BACKOFF_MAX)
            record.retry_at = now + pause
            failure = replace(failure, retry_after=pause)
        self._reject(record, failure)

    # -- orders --------------------------------------------------------------------------------------------------

    def _availability_changed(self, event: AvailabilityChanged, now: float) -> None:
        record = self._records.get(event.model)
        if record is None or record.running:
            return
        record.failure = event.failure
        if event.failure is not None:
            self._change(record, _UNAVAILABLE.get(event.failure.code, State.FAILED), reasons.failed(event.failure), now)
            return
        record.retry_at, record.failures, record.skipped = 0.0, 0, False
        if record.state is not State.STOPPED:
            self._change(record, State.STOPPED, reasons.STARTABLE, now)

    def _unload_asked(self, event: UnloadAsked, now: float) -> None:
        asked = self._records.get(event.model)
        if asked is None:
            return
        for record in (asked, *asked.companions):
            record.called = None
            if record.state in {State.READY, State.DRAINING}:
                self._drain(record, now, reasons.UNLOADED)
            elif record.state is State.STARTING:
                self._reject(record, failures.unloaded(record))
                self._stop(record, now, reasons.UNLOADED)
            elif record.early is Early.WAITS:
                self._reject(record, failures.unloaded(record))
                self._withdraw(record, now, reasons.UNLOADED)
            elif record.state is State.PARKED or record.sleep is Sleep.PARKING:
                self._stop(record, now, reasons.UNLOADED)

    def _config_applied(self, event: ConfigApplied, now: float) -> None:
        self._turns, self._park_memory = event.turns, event.park_memory
        gpus = {gpu.index: gpu for gpu in event.gpus}
        old, self._gpus = self.gpus, gpus
        rebudgeted = old != self.gpus
        specs = {spec.name: spec for spec in event.models}
        for record in self._records.values():
            if record.name not in specs:
                self._remove(record, now)
        for name, spec in specs.items():
            record = self._records.setdefault(name, Record(spec=spec, loaded=spec, since=now))
            self._respecify(record, spec, now)
        leaving = [name for name in self._records if name not in specs]
        self._records = {name: self._records[name] for name in [*specs, *leaving]}
        self._fit_parked(self._park_memory, now)
        self._regroup()
        self._claims.renew({record.name: company.line(record) for record in self._records.values()})
        regrouped = [record for record in self._records.values() if record.holds != record.held]
        for record in self._records.values() if rebudgeted else regrouped:
            record.adopted = record.state.resident
            self._hold(record)
        if rebudgeted or regrouped:
            self._relieve(now, reasons.REBUDGETED if rebudgeted else reasons.REGROUPED)

    def _regroup(self) -> None:
        """Who is always together with whom, as far as they fit together."""
        members: dict[str, list[Record]] = {}
        for record in self._records.values():
            record.companions = ()
            if record.spec.together and not record.removed:
                members.setdefault(record.spec.together, []).append(record)
        for together in members.values():
            if not placement.crowded([record.spec for record in together], self._gpus):
                for record in together:
                    record.companions = tuple(other for other in together if other is not record)

    def _remove(self, record: Record, now: float) -> None:
        record.removed, record.seated, record.called = True, False, None
        record.regroup(replace(record.spec, demands=()))
        self._reject(record, failures.not_configured(record.name))
        if record.state in {State.STARTING, State.PARKED}:
            self._stop(record, now, reasons.REMOVED)
        elif record.state in {State.READY, State.DRAINING}:
            self._drain(record, now, reasons.REMOVED)

    def _respecify(self, record: Record, spec: ModelSpec, now: float) -> None:
        record.removed, record.spec = False, spec
        record.regroup(spec)
        self._touch(record)
        if record.patience is not None:
            self._wake(record, record.patience)
        if not record.state.running:
            if record.early is Early.WAITS and record.loaded.fingerprint != spec.fingerprint:
                self._withdraw(record, now, reasons.CHANGED)
            record.load(spec)
            record.retry_at, record.failures, record.skipped = 0.0, 0, False
        elif record.loaded.fingerprint == spec.fingerprint:
            return
        elif record.state in {State.STARTING, State.PARKED}:
            self._stop(record, now, reasons.CHANGED)
        elif record.state is not State.STOPPING:
            self._drain(record, now, reasons.CHANGED)
