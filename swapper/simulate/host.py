"""The virtual host: units that take their time to start and to stop, and GPUs that hold no more than they can.

A start takes the model's load time and a stop its stop time, as the workload has them: each time the same, or those
that were seen, one after the other. Nothing ever fails. A policy
that does what no host allows (two models where one fits, a lease on a model that is not ready, a stop while it answers)
ends in `Misconduct`: it would be cheating in the comparison.
"""

from collections.abc import Callable
from dataclasses import dataclass

from swapper.core.events import ActiveState, UnitChanged
from swapper.core.model import WHOLE, Demand, Policy
from swapper.simulate.sharing import Sharing
from swapper.simulate.tally import GpuTally, ModelTally, Tally
from swapper.simulate.timeline import Phase, Recorder
from swapper.simulate.workload import Model, Workload

_FROM = {
    ActiveState.ACTIVATING: ActiveState.ACTIVATING,
    ActiveState.ACTIVE: ActiveState.ACTIVATING,
    ActiveState.DEACTIVATING: ActiveState.DEACTIVATING,
    ActiveState.INACTIVE: ActiveState.DEACTIVATING,
}
"""News of a unit, and in which state it has to be still for them to be true."""


class Misconduct(AssertionError):  # noqa: N818 — it is not the error of whoever reads it
    """A policy did what cannot be done, or forgot somebody: a defect of the policy, never of the workload."""


@dataclass(slots=True)
class Gpu:
    """One GPU.

    Attributes:
        packs: Whether several models may be on it.
        tally: What it does.
        taken: Parts per million that models on it hold.
        units: How many models those are.
    """

    packs: bool
    tally: GpuTally
    taken: int = 0
    units: int = 0

    def fits(self, parts: int) -> bool:
        """Whether one more can be started."""
        return not self.units or (self.packs and self.taken + parts <= WHOLE)


@dataclass(slots=True)
class Unit:
    """One model's unit.

    Attributes:
        model: What it runs.
        tally: What becomes of requests for it.
        gpus: Its GPUs, with what it takes of each.
        active: Its state. From an order on, although the news of it come only after the order.
        run: Which start of it this is, or was: its invocation.
        leases: How many requests it works on.
        waiting: How many wait for it.
        draining: The policy says that it admits nobody.
        sharing: What it works on, where it gets slower with each; None where that is all the same.
    """

    model: Model
    tally: ModelTally
    gpus: tuple[tuple[Gpu, Demand], ...]
    active: ActiveState = ActiveState.INACTIVE
    run: int = 0
    leases: int = 0
    waiting: int = 0
    draining: bool = False
    sharing: Sharing | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.spec.name

    @property
    def phase(self) -> Phase:
        """What a picture shows."""
        match self.active:
            case ActiveState.ACTIVATING:
                return Phase.LOADING
            case ActiveState.DEACTIVATING:
                return Phase.STOPPING
            case ActiveState.ACTIVE if not self.leases:
                return Phase.IDLE
            case ActiveState.ACTIVE:
                return Phase.DRAINING if self.draining else Phase.SERVING
        return Phase.GONE


class Host:
    """All units and GPUs; the place of a group that is never together is like a GPU."""

    def __init__(
        self, workload: Workload, later: Callable[[float, UnitChanged], None], recorder: Recorder | None = None
    ) -> None:
        """Nothing runs at first.

        Args:
            workload: Describes it.
            later: Called with news, and in how many seconds they come.
            recorder: Told what each model does; None for none.
        """
        policies = {gpu.index: gpu.policy for gpu in workload.gpus}
        groups = {demand.gpu for model in workload.models for demand in model.spec.demands if not demand.real}
        gpus = {
            index: Gpu(policies.get(index) is Policy.PACK, GpuTally()) for index in (*workload.gpu_indexes, *groups)
        }
        self.units = {
            model.spec.name: Unit(
                model,
                ModelTally(),
                tuple((gpus[want.gpu], want) for want in model.spec.demands),
                sharing=Sharing(model.speeds) if model.speeds else None,
            )
            for model in workload.models
        }
        self.tally = Tally(
            {name: unit.tally for name, unit in self.units.items()},
            {index: gpus[index].tally for index in workload.gpu_indexes},
        )
        self._later = later
        self._recorder = recorder

    def start(self, unit: Unit, now: float) -> None:
        """Start a unit.

        Raises:
            Misconduct: It is there already, or there is no room for it.
        """
        if unit.active is not ActiveState.INACTIVE:
            raise Misconduct(f"{unit.name} cannot be started: it is {unit.active}")
        if not all(gpu.fits(demand.parts) for gpu, demand in unit.gpus):
            raise Misconduct(f"{unit.name} cannot be started: there is no room on GPU {[d.gpu for _, d in unit.gpus]}")
        self.tally.swaps += any(gpu.tally.vacated for gpu, _ in unit.gpus)
        unit.tally.starts += 1
        unit.run, unit.draining, unit.active = unit.run + 1, False, ActiveState.ACTIVATING
        for gpu, demand in unit.gpus:
            gpu.units += 1
            gpu.taken += demand.parts
            gpu.tally.vacated = False
            gpu.tally.swapping.begin(now)
        self._announce(unit, ActiveState.ACTIVATING, 0.0)
        self._announce(unit, ActiveState.ACTIVE, unit.model.load_of(unit.run))
        self.show(unit, now)

    def stop(self, unit: Unit, now: float) -> None:
        """Stop a unit; one that does not run, or stops already, is left alone, as systemd does.

        Raises:
            Misconduct: It answers.
        """
        if unit.active in {ActiveState.DEACTIVATING, ActiveState.INACTIVE}:
            return
        if unit.leases:
            raise Misconduct(f"{unit.name} is stopped while it works on {unit.leases} requests")
        if unit.active is ActiveState.ACTIVE:
            for gpu, _ in unit.gpus:
                gpu.tally.swapping.begin(now)
        unit.active = ActiveState.DEACTIVATING
        self._announce(unit, ActiveState.DEACTIVATING, 0.0)
        self._announce(unit, ActiveState.INACTIVE, unit.model.stop_of(unit.run))
        self.show(unit, now)

    def comes(self, news: UnitChanged, now: float) -> bool:
        """News have come; returns whether they are true: those of a start that was given up are not."""
        unit = self.units[news.model]
        if unit.active is not _FROM[news.active] or news.invocation != str(unit.run):
            return False
        if news.active in {ActiveState.ACTIVE, ActiveState.INACTIVE}:
            unit.active = news.active
            for gpu, demand in unit.gpus:
                gpu.tally.swapping.end(now)
                if news.active is ActiveState.INACTIVE:
                    gpu.units -= 1
                    gpu.taken -= demand.parts
                    gpu.tally.vacated = True
            self.show(unit, now)
        return True

    def lease(self, unit: Unit, now: float) -> None:
        """A request holds a lease from now on.

        Raises:
            Misconduct: The model is not ready, admits nobody, or works on as many requests as it may.
        """
        limit = unit.model.spec.concurrency
        if unit.active is not ActiveState.ACTIVE or unit.draining:
            raise Misconduct(f"{unit.name} is {unit.phase} and was to work on a request")
        if limit is not None and unit.leases >= limit:
            raise Misconduct(f"{unit.name} works on {unit.leases} requests already")
        unit.leases += 1
        for gpu, _ in unit.gpus:
            gpu.tally.serving.begin(now)
        if unit.leases == 1:
            self.show(unit, now)

    def release(self, unit: Unit, now: float) -> None:
        """A lease has ended."""
        unit.leases -= 1
        for gpu, _ in unit.gpus:
            gpu.tally.serving.end(now)
        if not unit.leases:
            self.show(unit, now)

    def show(self, unit: Unit, now: float) -> None:
        """Have it recorded what a unit does now."""
        if self._recorder is not None:
            self._recorder.does(unit.name, unit.phase, now)

    def _announce(self, unit: Unit, active: ActiveState, after: float) -> None:
        took = max(0.0, after - unit.model.lag) if after and unit.model.lag else None
        self._later(after, UnitChanged(unit.name, active, str(unit.run), took=took))
