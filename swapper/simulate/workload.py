"""What is asked of which models, and when.

A workload has two kinds of requests. Open ones come at their time, whatever goes on: the world does not slow them down.
Those of a *client* come one after the other: each is sent `think` seconds after the answer to the one before (a closed
loop), so a slow host is asked less.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from swapper.config import Config
from swapper.config.settings import Location
from swapper.core.model import TURNS, Gpu, ModelSpec, Turns


class WorkloadError(Exception):
    """The workload cannot be used. A code, what happened and where, and what to do."""

    def __init__(self, message: str, *, hint: str, where: Location | None = None, code: str = "workload_wrong") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.code = code
        self.hint = hint


class Ask(NamedTuple):
    """One request. A million of them are made: a dataclass takes twice as long.

    Attributes:
        at: When it arrives, in seconds; of a client's request: not before that.
        model: Whom it is for.
        seconds: How long the engine works on it, from its lease to the end of its answer, if it gets no slower with
            others beside it (`Model.speeds`).
        think: Of a client's request: seconds since the answer to the one before.
    """

    at: float
    model: str
    seconds: float
    think: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the virtual host.

    Attributes:
        spec: What the scheduler is told of it.
        load: Seconds from the order to start it to its being ready; where these vary, the median.
        stop: Seconds from the order to stop it to its being gone; likewise.
        loads: What its starts take, one after the other and over and over; none: all are alike.
        stops: Likewise.
        lag: Of each load and each stop, the seconds that systemd's own clock does not count, which policies are told:
            orders and reports on their way.
        speeds: How fast it gets on with each of one, two, … requests at once, beside one alone; none: always the same.
    """

    spec: ModelSpec
    load: float
    stop: float
    loads: tuple[float, ...] = ()
    stops: tuple[float, ...] = ()
    lag: float = 0.0
    speeds: tuple[float, ...] = ()

    def load_of(self, start: int) -> float:
        """How long a start takes, by its number from 1."""
        return self.loads[(start - 1) % len(self.loads)] if self.loads else self.load

    def stop_of(self, start: int) -> float:
        """How long the stop after that start takes."""
        return self.stops[(start - 1) % len(self.stops)] if self.stops else self.stop


@dataclass(frozen=True, slots=True)
class Workload:
    """Everything that is asked.

    Attributes:
        name: What it is called in reports.
        models: Everything that can be asked for.
        gpus: How models share each GPU; one that is not listed is exclusive.
        asks: Open requests, in the order of their arrival; can be gone through more than once.
        clients: The requests of each client, in their order.
        notes: What a reader should know of how it came about.
        turns: How models that want the same GPU take turns.
    """

    name: str
    models: tuple[Model, ...]
    gpus: tuple[Gpu, ...] = ()
    asks: Iterable[Ask] = ()
    clients: tuple[tuple[Ask, ...], ...] = ()
    notes: tuple[str, ...] = ()
    turns: Turns = TURNS

    @property
    def gpu_indexes(self) -> tuple[int, ...]:
        """Every GPU that is listed or that a model is pinned to."""
        pinned = {demand.gpu for model in self.models for demand in model.spec.demands if demand.real}
        return tuple(sorted(pinned | {gpu.index for gpu in self.gpus if gpu.index >= 0}))

    def under(self, config: Config) -> "Workload":
        """The same requests on a host that is configured so; load and stop times remain those of the workload.

        A model that is not configured stays as the workload describes it, but in no group, and is noted.
        """
        known = {model.name: model for model in config.models}
        strange = [model.spec.name for model in self.models if model.spec.name not in known]
        models = tuple(
            replace(model, spec=_there(config.spec(known[model.spec.name])))
            if model.spec.name in known
            else replace(model, spec=_alone(model.spec))
            for model in self.models
        )
        gpus = {gpu.index: gpu for gpu in self.gpus if gpu.index >= 0} | {gpu.index: gpu for gpu in config.budgets}
        note = f"not configured, so taken as the workload describes them: {', '.join(strange)}"
        notes = (*self.notes, note) if strange else self.notes
        return replace(self, models=models, gpus=tuple(gpus.values()), notes=notes, turns=config.turns)


def _there(spec: ModelSpec) -> ModelSpec:
    """No engine of a host that does not exist can be parked."""
    return replace(spec, park=False)


def _alone(spec: ModelSpec) -> ModelSpec:
    return replace(spec, demands=tuple(demand for demand in spec.demands if demand.real), together="")
