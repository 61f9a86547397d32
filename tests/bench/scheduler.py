"""What an event costs the scheduler, by how many requests wait and by how many models there are.

    python3 -m tests.bench.scheduler [--policy ours] [--events 20000] [--profile]

Runs anywhere. So many clients ask the virtual host of the simulator that the number of those who wait stays the same;
only processor time inside the policy is counted (`handle` and `deadline`), and only from when all of them have come.
Where there are more GPUs than clients who wait, most find their model ready: another mix of events, and a cheaper one.
"""

import argparse
import contextlib
import cProfile
import pstats
import time
from dataclasses import dataclass, field
from itertools import repeat

from swapper.core.actions import Action, Admit, Reject
from swapper.core.events import Event, RequestArrived, RequestOver, UnitChanged
from swapper.core.model import Demand, ModelSpec
from swapper.simulate.policies import POLICIES
from swapper.simulate.workload import Ask, Model, Workload
from swapper.simulate.world import Decider, World
from tests.bench import figures

WAITING = (10, 1_000, 100_000)
HOSTS = ((16, 4), (1_000, 64))
"""Models and GPUs."""

KINDS = (RequestArrived, RequestOver, UnitChanged)


class Enough(Exception):  # noqa: N818 — it is no error
    """As many events as were wanted have been measured."""


@dataclass(slots=True)
class Stopwatch:
    """A policy whose time is taken.

    Attributes:
        policy: The policy.
        least: From this number of waiting requests on events are measured.
        events: How many of them.
        took: Seconds of each, by kind.
        waiting: How many wait now.
        profile: Told when to look; None for not at all.
    """

    policy: Decider
    least: int
    events: int
    profile: cProfile.Profile | None = None
    took: dict[type[Event], list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    waiting: int = 0
    measured: int = 0
    looked: float = 0.0

    def handle(self, event: Event, now: float) -> list[Action]:
        """What the policy says."""
        if self.measured >= self.events:
            raise Enough
        counts = self.waiting >= self.least
        if self.profile is not None and counts:
            self.profile.enable()
        begun = time.thread_time()
        actions = self.policy.handle(event, now)
        took = time.thread_time() - begun + self.looked
        if self.profile is not None:
            self.profile.disable()
        self.waiting += isinstance(event, RequestArrived) - sum(isinstance(a, Admit | Reject) for a in actions)
        if counts and type(event) in self.took:
            self.took[type(event)].append(took)
            self.measured += 1
        return actions

    def deadline(self) -> float | None:
        """When the policy wants to be told that time has passed; counts for the next event."""
        begun = time.thread_time()
        deadline = self.policy.deadline()
        self.looked = time.thread_time() - begun
        return deadline


def workload(models: int, gpus: int, waiting: int) -> Workload:
    """Clients without end: as many as are to wait, and one for each GPU, that works on one at a time."""
    described = tuple(
        Model(ModelSpec(f"model-{number}", (Demand(number % gpus),), concurrency=1, drain_timeout=1e9), 5.0, 1.0)
        for number in range(models)
    )
    scripts = [tuple(repeat(Ask(0.0, model.spec.name, 0.5), 100_000)) for model in described]
    return Workload("clients", described, clients=tuple(scripts[at % models] for at in range(waiting + gpus)))


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", choices=POLICIES, default="ours")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="say what takes the time")
    options = parser.parse_args()
    for models, gpus in HOSTS:
        figures.heading(f"{models} models on {gpus} GPUs, {options.events} events, µs per event: mean / 99 % below")
        rows: list[tuple[str, ...]] = [("waiting", "arrives", "is over", "unit changes", "all", "all: to the first")]
        first = 0.0
        for waiting in WAITING:
            profile = cProfile.Profile() if options.profile else None
            # Whoever has a lease does not wait, and a GPU serves one at a time.
            watch = Stopwatch(POLICIES[options.policy](), waiting - gpus, options.events, profile)
            with contextlib.suppress(Enough):
                World(workload(models, gpus, waiting), watch).run()
            series = [*watch.took.values(), [took for kind in watch.took.values() for took in kind]]
            mean = sum(series[-1]) / len(series[-1])
            first = first or mean
            rows.append((str(waiting), *map(_text, series), f"{mean / first:.2f}"))
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(8)
        figures.table(rows)


def _text(took: list[float]) -> str:
    ordered = sorted(took)
    return f"{sum(ordered) / len(ordered) * 1e6:.1f} / {ordered[len(ordered) * 99 // 100] * 1e6:.1f}" if took else "-"


if __name__ == "__main__":
    main()
