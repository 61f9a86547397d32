"""Small workloads, and policies that are watched."""

from dataclasses import dataclass, field

from swapper.core.actions import Action, Admit, Reject, StartUnit, StopUnit
from swapper.core.events import Event, RequestArrived, RequestOver
from swapper.core.model import Demand, Gpu, ModelSpec, Policy
from swapper.simulate.policies import POLICIES
from swapper.simulate.tally import Tally
from swapper.simulate.workload import Ask, Model, Workload
from swapper.simulate.world import Decider, World


def model(name: str, *gpus: int, parts: int = 1_000_000, concurrency: int | None = 1, load: float = 2.0,
          stop: float = 1.0) -> Model:  # fmt: skip
    """One that takes 2 s to load and 1 s to stop."""
    demands = tuple(Demand(gpu, parts) for gpu in gpus or (0,))
    return Model(ModelSpec(name, demands, concurrency=concurrency), load, stop)


def workload(
    *asks: tuple[float, str, float], models: tuple[Model, ...] = (), clients: tuple[tuple[Ask, ...], ...] = (),
    pack: bool = False
) -> Workload:  # fmt: skip
    """Requests as (arrival, model, seconds); models a and b on GPU 0 unless others are given."""
    gpus = (Gpu(0, Policy.PACK), Gpu(1, Policy.PACK)) if pack else ()
    return Workload("test", models or (model("a"), model("b")), gpus, tuple(Ask(*ask) for ask in asks), clients)


@dataclass(slots=True)
class Watched:
    """A policy, and what it was told and said."""

    policy: Decider
    arrived: list[int] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    over: list[tuple[float, int]] = field(default_factory=list)
    orders: list[StartUnit | StopUnit] = field(default_factory=list)
    by_time: list[tuple[float, Action]] = field(default_factory=list)

    def handle(self, event: Event, now: float) -> list[Action]:
        if isinstance(event, RequestArrived):
            self.arrived.append(event.request)
        if isinstance(event, RequestOver):
            self.over.append((now, event.request))
        actions = self.policy.handle(event, now)
        self.admitted += [action.request for action in actions if isinstance(action, Admit)]
        self.rejected += [action.request for action in actions if isinstance(action, Reject)]
        self.orders += [action for action in actions if isinstance(action, StartUnit | StopUnit)]
        self.by_time += [(now, action) for action in actions]
        return actions

    def deadline(self) -> float | None:
        return self.policy.deadline()


def run(policy: str, asked: Workload) -> Tally:
    return World(asked, POLICIES[policy]()).run()


def waits(tally: Tally, name: str) -> list[float]:
    """Waits for a model, in the order of the leases, without what floating point adds."""
    return [round(wait, 6) for wait in tally.models[name].waits]
