"""Starting and stopping units, and knowing beforehand what cannot start.

Each order is a task. Systemd's own reports (`Units.on_change`) tell the scheduler how it went; an order adds only the
answer that systemd cannot report as a change of the unit: refused, masked, files missing, the job never ran.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from swapper.config import GATES_DIR, Model
from swapper.core.early import Early
from swapper.core.events import (
    ActiveState,
    AvailabilityChanged,
    Event,
    Parked,
    StartRefused,
    UnitChanged,
    Weighed,
    Woken,
)
from swapper.core.model import Failure, State
from swapper.core.scheduler import Scheduler
from swapper.engines import ENGINES
from swapper.host import failures
from swapper.host.status import JobResult, UnitRefused, UnitStatus
from swapper.pull import told
from swapper.router import parking
from swapper.router.chores import Chores
from swapper.router.gates import Gates
from swapper.router.obstacles import obstacle, obstacles
from swapper.router.places import Places

_LOG = logging.getLogger(__name__)

_RESTING = frozenset({State.STOPPED, State.FAILED, State.INCOMPLETE, State.DISABLED})


class Systemd(Protocol):
    """What orders need of `host.units.Units`."""

    async def start(self, unit: str) -> JobResult:
        """Start a unit, to the job's end."""

    async def stop(self, unit: str) -> JobResult:
        """Stop a unit, to the job's end."""

    async def status(self, unit: str) -> UnitStatus:
        """What systemd says of a unit."""


_GATES = Gates(GATES_DIR)

AGAIN = 0.5
"""Seconds until a stop is asked for again of which systemd could not be told; it was tried for longer than that."""

PULLS = 1.0
"""Seconds between two looks at how far pulls are."""

_NOT_PARKED: Failure | None = Failure("model_failed", "Its engine cannot be parked.")

type Signature = tuple[tuple[str, int, int], ...]
"""Files with size and modification time in nanoseconds; another signature is worth another try."""


class UnitOrders:
    """Carries out the scheduler's orders, and reports what comes of them."""

    def __init__(
        self,
        units: Systemd,
        places: Places,
        scheduler: Scheduler,
        dispatch: Callable[[Event], object],
        progress: Callable[[str, float | None], None],
        gates: Gates = _GATES,
        roomy: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take orders.

        Args:
            units: Systemd.
            places: Where models run.
            scheduler: To be read only.
            dispatch: Where events go.
            progress: Told how much of a model has been read that is being loaded, or pulled that is incomplete, in
                percent; None where it is neither.
            gates: Where engines wait that are started early.
            roomy: Says whether the host has memory for one of those.
        """
        self._units = units
        self._places = places
        self._scheduler = scheduler
        self._dispatch = dispatch
        self._progress = progress
        self._gates = gates
        self._roomy = roomy
        self._attempts: dict[str, int] = {}
        self._signatures: dict[str, Signature] = {}
        self._looked_at: dict[str, str] = {}
        self._chores = Chores()

    def start(self, model: str) -> None:
        """Have the model's unit started, if its files are there, or let it go on, if it is at the gate."""
        place, record = self._places.of(model), self._scheduler.record(model)
        if record is not None and record.opened and self._gates.open(place.unit):
            return  # whatever becomes of it is reported by systemd, or by the order to start it early
        attempt = self._attempts[model] = self._attempts.get(model, 0) + 1
        self._chores.spawn(self._start(place, attempt), f"start {model}")

    def start_early(self, model: str) -> None:
        """Have the model's unit started up to the gate, if its files are there and there is memory for it."""
        attempt = self._attempts[model] = self._attempts.get(model, 0) + 1
        self._chores.spawn(self._start(self._places.of(model), attempt, early=True), f"start {model} early")

    def stop(self, model: str) -> None:
        """Have the model's unit stopped."""
        attempt = self._attempts[model] = self._attempts.get(model, 0) + 1
        self._chores.spawn(self._stop(model, self._places.of(model).unit, attempt), f"stop {model}")

    def park(self, model: str) -> None:
        """Have the model's engine give its GPU memory back."""
        attempt = self._attempts[model] = self._attempts.get(model, 0) + 1
        self._chores.spawn(self._tell(self._places.of(model), attempt, Parked), f"park {model}")

    def wake(self, model: str) -> None:
        """Have the model's engine take its GPU memory again."""
        attempt = self._attempts[model] = self._attempts.get(model, 0) + 1
        self._chores.spawn(self._tell(self._places.of(model), attempt, Woken), f"wake {model}")

    def changed(self, status: UnitStatus) -> None:
        """Systemd reports a unit."""
        model = self._places.at(status.unit)
        if model is None:
            self._gates.forget(status.unit)  # nobody will ever open it
            return
        if self._looks(model, status):
            return
        self._left(model, status)
        gated = status.active is ActiveState.ACTIVATING and self._gates.belongs(status.unit, status.invocation)
        broken = status.result != "success" and status.active in {ActiveState.FAILED, ActiveState.DEACTIVATING}
        failure = failures.describe(status) if broken else None
        slots, took = status.slots, status.took
        news = UnitChanged(model.name, status.active, status.invocation, failure, slots, took, gated=gated)
        self._dispatch(news)
        if status.progress is not None and self._state(model) is State.STARTING:
            self._progress(model.name, status.progress)

    def reconsider(self, name: str) -> None:
        """Give a model that failed another chance at once if its files are not what they were."""
        record = self._scheduler.record(name)
        if record is None or record.state is not State.FAILED:
            return
        if self._signatures.get(name) != _signature(self._places.of(name)):
            self._dispatch(AvailabilityChanged(name, None))

    async def refresh(self) -> None:
        """Find out which models that do not run could be started."""
        resting = [
            model
            for model in self._places.config.models
            if (record := self._scheduler.record(model.name)) is not None and record.state in _RESTING
        ]
        found = await asyncio.to_thread(obstacles, resting)
        for name, failure, percent in found:
            record = self._scheduler.record(name)
            if record is None or record.state not in _RESTING:
                continue
            was = record.failure if record.state in {State.INCOMPLETE, State.DISABLED} else None
            if failure != was:
                self._dispatch(AvailabilityChanged(name, failure))
            self._progress(name, percent)

    async def follow_pulls(self) -> None:
        """Go on looking how far the files of incomplete models are, for as long as somebody wants to know."""
        running = False
        while True:
            before, running = running, any(
                report.stage is told.Stage.RUNNING for report in await asyncio.to_thread(told.reports)
            )
            if running or before:
                await self.refresh()
            await asyncio.sleep(PULLS)

    async def close(self) -> None:
        """Forget all orders; systemd goes on with what it was told."""
        await self._chores.close()

    def _left(self, model: Model, status: UnitStatus) -> None:
        """Nobody is at the gate any more of a unit that is active, or at rest but for the start that was asked for."""
        record = self._scheduler.record(model.name)
        comes = record is not None and (record.early is Early.WAITS or record.state is State.STARTING)
        if status.running:
            gone = status.active is ActiveState.ACTIVE
        else:
            gone = record is None or not (comes and record.precedes(status.invocation))
        if gone:
            self._gates.forget(model.unit)
            if record is not None and record.early is Early.LEAVES:
                self._places.left(model.name)

    async def _start(self, model: Model, attempt: int, *, early: bool = False) -> None:
        name = model.name
        failure, signature, size = await asyncio.to_thread(
            lambda: (obstacle(model), _signature(model), weight(model) if model.park else 0)
        )
        self._signatures[name] = signature
        if self._attempts[name] != attempt:
            return
        if model.park:
            self._dispatch(Weighed(name, size))
        if failure is None:
            if early and not self._close_gate(model):
                return
            if not early:
                self._gates.forget(model.unit)
            failure = await self._start_unit(model)
        if failure is not None and self._attempts[name] == attempt:
            self._gates.forget(model.unit)
            self._dispatch(StartRefused(name, failure))

    def _close_gate(self, model: Model) -> bool:
        """See that whoever starts now waits at the gate; False where a start has to wait for the GPU itself."""
        if not self._roomy():
            _LOG.info("%s is not started early: memory is short", model.name, extra={"MODEL": model.name})
            return False
        if not self._gates.close(model.unit):
            return False
        _LOG.info("%s is started early, and waits for its GPU", model.name, extra={"MODEL": model.name})
        return True

    def _looks(self, model: Model, status: UnitStatus) -> bool:
        """Whether it must be found out first if an engine that runs, and that nobody here started, is parked."""
        name = model.name
        if status.active is not ActiveState.ACTIVE:
            self._looked_at.pop(name, None)
            return False
        if self._looked_at.get(name) == status.invocation:
            return True
        record = self._scheduler.record(name)
        if record is None or record.state.running or ENGINES[model.engine].parking(model) is None:
            return False
        self._looked_at[name] = status.invocation
        # Until that is known it counts as a model that holds its GPUs and cannot serve.
        self._dispatch(UnitChanged(name, ActiveState.ACTIVATING, status.invocation))
        self._chores.spawn(self._look(model, status), f"look at {name}")
        return True

    async def _look(self, model: Model, status: UnitStatus) -> None:
        name, how = model.name, ENGINES[model.engine].parking(model)
        parked = None
        while how is not None and self._looked_at.get(name) == status.invocation:
            parked = await parking.parked(model.socket, how.parked)
            if parked is not None:
                break
            await asyncio.sleep(AGAIN)
        size = await asyncio.to_thread(weight, model)
        if self._looked_at.get(name) != status.invocation:
            return
        del self._looked_at[name]
        self._dispatch(Weighed(name, size))
        news = UnitChanged(name, ActiveState.ACTIVE, status.invocation, slots=status.slots, parked=bool(parked))
        self._dispatch(news)

    async def _tell(self, model: Model, attempt: int, news: type[Parked | Woken]) -> None:
        """Have an engine parked or woken, and report it, unless another order has come meanwhile."""
        how = ENGINES[model.engine].parking(model)
        failure = _NOT_PARKED
        if how is not None:
            questions = how.park if news is Parked else how.wake
            failure = await parking.tell(model.name, model.socket, questions, model.unit)
        if self._attempts[model.name] != attempt:
            return
        if failure is not None and news is Parked:
            text = "%s is stopped, for it could not be parked: %s"
            _LOG.warning(text, model.name, failure.message, extra={"MODEL": model.name})
        self._dispatch(news(model.name, failure))

    async def _start_unit(self, model: Model) -> Failure | None:
        """Start the unit; the failure that systemd does not report as a change of the unit, if any."""
        try:
            result = await self._units.start(model.unit)
            record = self._scheduler.record(model.name)
            if record is None or (record.state is not State.STARTING and record.early is not Early.WAITS):
                return None
            status = await self._units.status(model.unit)
        except UnitRefused as refused:
            return refused.failure
        if status.active in {ActiveState.INACTIVE, ActiveState.FAILED}:
            return failures.describe(status) if status.result != "success" else failures.unfinished(model.unit, result)
        self.changed(status)
        return None

    async def _stop(self, name: str, unit: str, attempt: int) -> None:
        while not await self._stop_unit(name, unit):
            # Nobody but us will stop it, and others wait for its place: again, unless another order has come meanwhile.
            await asyncio.sleep(AGAIN)
            record = self._scheduler.record(name)
            leaves = record is not None and (record.state is State.STOPPING or record.early is Early.LEAVES)
            if self._attempts[name] != attempt or not leaves:
                return

    async def _stop_unit(self, name: str, unit: str) -> bool:
        """Stop the unit; False where systemd could not be told."""
        try:
            await self._units.stop(unit)
            record = self._scheduler.record(name)
            if record is not None and (record.state is State.STOPPING or record.early is Early.LEAVES):
                status = await self._units.status(unit)
                self._left(self._places.of(name), status)
                self._dispatch(UnitChanged(name, status.active, status.invocation, took=status.took))
        except UnitRefused as refused:
            _LOG.error("could not stop %s: %s", unit, refused, extra={"MODEL": name})
            return refused.failure.code != "dbus_unavailable"
        return True

    def _state(self, model: Model) -> State | None:
        record = self._scheduler.record(model.name)
        return record.state if record is not None else None


def weight(model: Model) -> int:
    """Bytes of host memory that a model takes while it is parked: as large as its weights. Looks at the disk."""
    if model.park_level > 1:
        return 0
    return sum(max(size, 0) for _, size, _ in map(_signed, ENGINES[model.engine].cached(model)))


def _signature(model: Model) -> Signature:
    return tuple(_signed(path) for path in ENGINES[model.engine].files(model))


def _signed(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (str(path), -1, -1)
    return (str(path), status.st_size, status.st_ctime_ns)  # which tells of a new owner or mode, too
