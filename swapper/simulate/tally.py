"""What came of a simulation, counted while it runs: a few additions for each event, whatever the number of models."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Meter:
    """For how long something was going on, at least once at a time."""

    going_on: int = 0
    since: float = 0.0
    before: float = 0.0

    def begin(self, now: float) -> None:
        """One more goes on."""
        if not self.going_on:
            self.since = now
        self.going_on += 1

    def end(self, now: float) -> None:
        """One less goes on."""
        self.going_on -= 1
        if not self.going_on:
            self.before += now - self.since

    def total(self, now: float) -> float:
        """Seconds so far."""
        return self.before + (now - self.since if self.going_on else 0.0)


@dataclass(slots=True)
class ModelTally:
    """What became of the requests for one model.

    Attributes:
        waits: Seconds from arrival to lease of each request that got one, in the order of their leases.
        answered: How many were worked on to the end.
        rejected: How many never got a lease.
        aborted: How many lost theirs.
        starts: How often the model was started.
    """

    waits: array[float] = field(default_factory=lambda: array("d"))
    answered: int = 0
    rejected: int = 0
    aborted: int = 0
    starts: int = 0


@dataclass(slots=True)
class GpuTally:
    """What one GPU did.

    Attributes:
        serving: Requests held leases on it.
        swapping: Models on it were being started or stopped.
        vacated: A model was stopped here, and none started since.
    """

    serving: Meter = field(default_factory=Meter)
    swapping: Meter = field(default_factory=Meter)
    vacated: bool = False


@dataclass(slots=True)
class Tally:
    """What came of a workload under one policy.

    Attributes:
        models: By name.
        gpus: By index.
        swaps: Starts in the place of another stay: on one of its GPUs a model was stopped since the last start there.
        began: When the first request arrived.
        ended: When the last one was over.
    """

    models: dict[str, ModelTally]
    gpus: dict[int, GpuTally]
    swaps: int = 0
    began: float | None = None
    ended: float = 0.0

    @property
    def makespan(self) -> float:
        """Seconds from the first arrival to the last answer."""
        return self.ended - (self.began or 0.0)

    def share(self, meters: Iterable[Meter]) -> float:
        """The part of the makespan that these took, on average."""
        totals = [meter.total(self.ended) for meter in meters]
        return sum(totals) / len(totals) / self.makespan if totals and self.makespan else 0.0
