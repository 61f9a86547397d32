"""Mixes of clients on the real router and real engines, beside the simulator's account of the very same runs.

    tests/run --command python3 -m tests.bench.mixes [--runs 3] [--size-mb 150] [--only greedy,bursts]

    alternating   two models on a GPU, a client for each, which asks again 20 ms after each answer
    bursts        three models on a GPU: now and then several requests for one of them within half a second
    greedy        a GPU: eight clients of one model ask without a pause, a patient one asks for another now and then
    poisson       five models of unequal popularity on two GPUs: independent requests

"ours" is the router as it is installed, with its usual `turns` (min_hold 1 s, swap_share 20 %). For the others the
router runs with the simulator's own policy of that name in the scheduler's place (`tests/lab/other_policy.py`): no
setting of `turns` is the same as one of them. Everything else is as always: units, engines, sockets, clients.

"simulated" has the same policy, and of the same run the times that it cannot know: how long each request took from its
lease to its end, the clients' pauses, and the loads and stops of each model (`tests/lab/played.py`). How much slower an
engine is with each request beside others is measured before: what is foretold of a drain, in which there are fewer
and fewer, depends on it. "foretold"
has the times that were measured under ours, and the policy of the row: what somebody learns who has only our router
and asks the simulator for the others. Ratios are real / simulated, run by run; "off" is the furthest that one of them
is from 1, to be read beside how far apart the real runs are among themselves. Times below 20 ms count as none: the
simulator's messages take none.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from random import Random

from swapper import config as configuration
from swapper.core.model import Demand, ModelSpec
from swapper.simulate.policies import POLICIES
from swapper.simulate.workload import Ask, Model, Workload
from swapper.simulate.world import World
from tests.bench import calm, figures
from tests.bench.figures import Series
from tests.job import house
from tests.lab import other_policy
from tests.lab.played import Run, play

SLOTS = 4
PATIENT = "patient"
NOTHING = 0.02
"""Seconds that do not count."""

BLOCK = 16 << 20

CALIBRATION = 1000
"""Tokens."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run, in seconds; `longest` is the longest wait of the patient one, where there is one."""

    makespan: float
    swaps: float
    longest: float
    p50: float
    p99: float

    @classmethod
    def of(cls, makespan: float, swaps: int, waits: dict[str, list[float]]) -> "Outcome":
        """From the waits of all requests, by model."""
        ordered = sorted(wait for some in waits.values() for wait in some)
        p50, p99 = (ordered[math.ceil(len(ordered) * percent / 100) - 1] for percent in (50, 99))
        return cls(makespan, swaps, max(waits.get(PATIENT, ordered)), p50, p99)


LABELS = {"makespan": "makespan", "swaps": "swaps", "longest": "longest wait", "p50": "wait p50", "p99": "wait p99"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One run, and what the simulator makes of it: with its own times, and with those of our run beside it."""

    real: Outcome
    simulated: Outcome
    foretold: Outcome


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size-mb", type=int, default=150, help="of each model: what its load takes goes with it")
    parser.add_argument("--policies", default="ours,fcfs,collation", help=f"of {', '.join(POLICIES)}; ours is first")
    parser.add_argument("--only", default=",".join(WORKLOADS), help=f"of {', '.join(WORKLOADS)}")
    options = parser.parse_args()
    policies = list(dict.fromkeys([other_policy.OURS, *options.policies.split(",")]))
    names = options.only.split(",")
    trials: dict[tuple[str, str], list[Trial]] = {}
    loads: list[float] = []
    stops: list[float] = []
    with calm.calm(options.calm):
        speeds = _speeds(options.size_mb)
        for number in range(options.runs):
            for name in names:
                ours: Workload | None = None
                for policy in policies:
                    run = _real(WORKLOADS[name](_chance(name)), policy, speeds, options.size_mb)
                    ours = ours or run.seen
                    trial = Trial(_outcome(run), _simulated(run.seen, policy), _simulated(ours, policy))
                    trials.setdefault((name, policy), []).append(trial)
                    loads += (span for model in run.seen.models for span in model.loads)
                    stops += (span for model in run.seen.models for span in model.stops)
                    print(f"run {number + 1}: {name}, {policy}: {trial.real.makespan:.1f} s", flush=True)
    house.reset()
    figures.heading(f"Real llama-servers beside the simulator, {options.runs} times, {options.size_mb} MB a model")
    figures.table([
        ("a load, s", Series.of(loads).text(digits=2)),
        ("a stop, s", Series.of(stops).text(digits=2)),
        ("tokens a second, one alone", f"{speeds[0]:.0f}"),
        ("each of 2, 3, … beside that", ", ".join(f"{speed / speeds[0]:.2f}" for speed in speeds[1:])),
    ])  # fmt: skip
    print()
    figures.table(_rows(trials))


def _real(workload: Workload, policy: str, speeds: Sequence[float], size: int) -> Run:
    house.reset()
    with other_policy.in_charge(policy):
        _configure(workload, size)
        assert house.ask("GET", "/health").status == 200
        told = workload.under(configuration.load())
        slower = tuple(speed / speeds[0] for speed in speeds)
        run = play(replace(told, models=tuple(replace(model, speeds=slower) for model in told.models)), speeds[0])
        house.reset()
    house.run("systemctl", "daemon-reload")
    return run


def _configure(workload: Workload, size: int) -> None:
    lines = ["router: {read_ahead: false}", "models:"]
    for model in workload.models:
        name, gpu = model.spec.name, model.spec.demands[0].gpu
        with house.write_gguf(name, size_mb=size).open("rb", buffering=0) as file:
            while file.read(BLOCK):
                pass  # so that it is in the page cache before the first load as before the others
        lines.append(
            f"  {name}: {{engine: llama, model: {name}.gguf, context: 16384, gpu: {gpu}, concurrency: {SLOTS}, "
            "args: [-lm, none, --threads, '1']}"
        )
    house.configure("\n".join(lines) + "\n")


def _speeds(size: int) -> list[float]:
    """Tokens a second that a model makes here for one client alone, for each of two at once, and so on."""
    _configure(_alternating(_chance("rate")), size)
    house.chat("chat")
    with ThreadPoolExecutor(SLOTS) as pool:
        return [sum(pool.map(_rate, range(clients))) / clients for clients in range(1, SLOTS + 1)]


def _rate(_client: int) -> float:
    answer = house.chat("chat", "LOOP", max_tokens=CALIBRATION)
    assert answer.status == 200, answer.body
    rate: float = answer.json["timings"]["predicted_per_second"]
    return rate


def _outcome(run: Run) -> Outcome:
    waits: dict[str, list[float]] = {}
    for heard in run.all:
        waits.setdefault(heard.model, []).append(heard.waited)
    return Outcome.of(run.makespan, run.swaps, waits)


def _simulated(workload: Workload, policy: str) -> Outcome:
    tally = World(workload, POLICIES[policy]()).run()
    assert not any(model.rejected or model.aborted for model in tally.models.values())
    waits = {name: list(model.waits) for name, model in tally.models.items() if model.waits}
    return Outcome.of(tally.makespan, tally.swaps, waits)


def _rows(trials: dict[tuple[str, str], list[Trial]]) -> Iterator[Sequence[str]]:
    yield "", "real", "simulated", "real / simulated", "off", "foretold"
    for (name, policy), some in trials.items():
        for field in fields(Outcome):
            real, simulated, foretold = (
                Series.of(getattr(getattr(trial, side.name), field.name) for trial in some) for side in fields(Trial)
            )
            digits = 0 if field.name == "swaps" else 2
            least = 0.5 if field.name == "swaps" else NOTHING
            ratio = real / simulated if min(simulated.values) >= least else None
            yield (
                f"{name}, {policy}: {LABELS[field.name]}",
                real.text(digits=digits),
                simulated.text(digits=digits),
                "" if ratio is None else ratio.text(digits=2),
                "" if ratio is None else f"{max(abs(value - 1) for value in ratio.values):.0%}",
                foretold.text(digits=digits),
            )


# -- what is asked -----------------------------------------------------------------------------------------------------


def _chance(name: str) -> Random:
    return Random(name)  # noqa: S311 — nothing is kept secret with it


def _model(name: str, gpu: int = 0) -> Model:
    # What loads and stops take is measured.
    return Model(ModelSpec(name, (Demand(gpu),), concurrency=SLOTS), 0.0, 0.0)


def _alternating(chance: Random) -> Workload:
    models = (_model("chat"), _model("code"))
    clients = tuple(tuple(Ask(0.0, m.spec.name, chance.uniform(0.1, 0.3), 0.02) for _ in range(20)) for m in models)
    return Workload("alternating", models, clients=clients)


def _bursts(chance: Random) -> Workload:
    models = (_model("chat"), _model("code"), _model("speech"))
    begins = accumulate(chance.uniform(1.0, 3.0) for _ in range(7))
    asks = [
        Ask(begin + chance.uniform(0.0, 0.5), model, chance.uniform(0.05, 0.3))
        for begin in begins
        for model in (chance.choice(models).spec.name,)
        for _ in range(chance.randint(4, 9))
    ]
    return Workload("bursts", models, asks=tuple(sorted(asks)))


def _greedy(chance: Random) -> Workload:
    models = (_model("greedy"), _model(PATIENT))
    # Twice as many as are served at once: so there is no moment in which they all happen to be between two requests.
    greedy = tuple(tuple(Ask(0.0, "greedy", chance.uniform(0.05, 0.15)) for _ in range(25)) for _ in range(2 * SLOTS))
    patient = tuple(Ask(1.0, PATIENT, 0.1, 1.5) for _ in range(4))
    return Workload("greedy", models, clients=(*greedy, patient))


def _poisson(chance: Random) -> Workload:
    models = tuple(_model(f"model-{rank + 1}", rank % 2) for rank in range(5))
    weights = [1 / (rank + 1) for rank in range(5)]
    times = accumulate(chance.expovariate(3.0) for _ in range(45))
    asks = tuple(
        Ask(at, chance.choices(models, weights)[0].spec.name, min(1.0, chance.expovariate(1 / 0.2))) for at in times
    )
    return Workload("poisson", models, asks=asks)


WORKLOADS: dict[str, Callable[[Random], Workload]] = {
    "alternating": _alternating,
    "bursts": _bursts,
    "greedy": _greedy,
    "poisson": _poisson,
}


if __name__ == "__main__":
    main()
