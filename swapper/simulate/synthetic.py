"""Workloads that are made up: the cases that tell policies apart.

    alternating   one GPU, two models, a client for each: everybody asks again as soon as the answer is read
    bursts        one GPU, three models: every now and then many requests for one of them within two seconds
    greedy        one GPU: eight clients of one model ask without a pause, one client of another now and then
    poisson       two GPUs, twelve models of unequal popularity and size: independent requests
    scale         64 GPUs, 1,000 models, 1,000,000 requests: what the scheduler itself costs

Popularity follows Zipf's law: the k-th model is asked for in proportion to 1 / k. Times between independent requests,
and what they take, are exponential (a Poisson process).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from swapper.core.model import Demand, ModelSpec
from swapper.simulate.workload import Ask, Model, Workload, WorkloadError

DEFAULT = "alternating"


def make(name: str, seed: int) -> Workload:
    """Make a workload; the same seed makes the same one.

    Raises:
        WorkloadError: There is none of this name.
    """
    if name not in GENERATORS:
        message = f"there is no synthetic workload {name!r}"
        raise WorkloadError(message, hint=f"There are {', '.join(GENERATORS)}.", code="workload_unknown")
    return GENERATORS[name](_chance(name, seed))


def _chance(name: str, seed: int) -> Random:
    return Random(f"{name} {seed}")  # noqa: S311 — nothing is kept secret with it


def _model(name: str, load: float, stop: float, *, gpu: int = 0, concurrency: int = 4) -> Model:
    # Nobody is turned away for having waited: what waiting costs is what is compared.
    return Model(ModelSpec(name, (Demand(gpu),), concurrency=concurrency, drain_timeout=1e6), load, stop)


def _alternating(chance: Random) -> Workload:
    models = (_model("chat", 5.0, 1.0), _model("code", 5.0, 1.0))
    clients = tuple(
        tuple(Ask(0.0, model.spec.name, chance.uniform(0.5, 1.5), 0.2) for _ in range(100)) for model in models
    )
    return Workload("alternating", models, clients=clients)


def _bursts(chance: Random) -> Workload:
    models = (_model("chat", 8.0, 1.0), _model("speech", 4.0, 0.5), _model("vision", 6.0, 1.0))
    begins = accumulate(chance.expovariate(1 / 20.0) for _ in range(60))
    asks = [
        Ask(begin + chance.uniform(0.0, 2.0), model, chance.expovariate(1 / 1.5))
        for begin in begins
        for model in (chance.choice(models).spec.name,)
        for _ in range(chance.randint(5, 30))
    ]
    return Workload("bursts", models, asks=tuple(sorted(asks)))


def _greedy(chance: Random) -> Workload:
    models = (_model("greedy", 6.0, 1.0), _model("patient", 6.0, 1.0))
    greedy = tuple(tuple(Ask(0.0, "greedy", chance.uniform(1.0, 3.0)) for _ in range(150)) for _ in range(8))
    patient = tuple(Ask(10.0, "patient", chance.uniform(0.5, 1.5), 20.0) for _ in range(12))
    return Workload("greedy", models, clients=(*greedy, patient))


@dataclass(frozen=True, slots=True)
class _Poisson:
    """Independent requests, made while they are asked for: a million of them need no memory.

    Attributes:
        name: Of the workload: chance begins anew each time.
        seed: A number drawn for it.
        models: Names, the most popular first.
        count: How many requests.
        rate: How many a second.
        seconds: What one takes, on average.
    """

    name: str
    seed: int
    models: tuple[str, ...]
    count: int
    rate: float
    seconds: float

    def __iter__(self) -> Iterator[Ask]:
        chance, now = _chance(self.name, self.seed), 0.0
        weights = tuple(accumulate(1 / rank for rank in range(1, len(self.models) + 1)))
        for _ in range(self.count):
            now += chance.expovariate(self.rate)
            model = chance.choices(self.models, cum_weights=weights)[0]
            yield Ask(now, model, chance.expovariate(1 / self.seconds))


def _poisson(chance: Random) -> Workload:
    loads = [3.0 + 1.5 * (rank % 5) for rank in range(12)]
    models = tuple(_model(f"model-{rank + 1}", load, 1.0, gpu=rank % 2) for rank, load in enumerate(loads))
    return _independent("poisson", models, chance, count=3000, rate=1.5, seconds=1.5)


def _scale(chance: Random) -> Workload:
    models = tuple(_model(f"model-{rank + 1}", 5.0, 1.0, gpu=rank % 64) for rank in range(1000))
    return _independent("scale", models, chance, count=1_000_000, rate=20.0, seconds=0.5)


def _independent(
    name: str, models: tuple[Model, ...], chance: Random, *, count: int, rate: float, seconds: float
) -> Workload:
    names = tuple(model.spec.name for model in models)
    return Workload(name, models, asks=_Poisson(name, chance.getrandbits(32), names, count, rate, seconds))


GENERATORS: Mapping[str, Callable[[Random], Workload]] = {
    "alternating": _alternating,
    "bursts": _bursts,
    "greedy": _greedy,
    "poisson": _poisson,
    "scale": _scale,
}
"""All synthetic workloads by name."""
