"""How long things take with one model, as measured: what a truthful `Retry-After` is made of.

Each measure is an arithmetic mean, because waiting in a queue adds up what everybody before one takes: a median would
promise too much where a few answers are long. Of the first samples it is the plain mean; from then on a new one counts
as one of the last few (an exponentially weighted mean), so that one odd sample does little, and what is long past
fades.
"""

from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Mean:
    """A running mean of seconds.

    Attributes:
        last: About how many samples it remembers.
        count: Samples so far, up to `last`.
        seconds: The mean; without any sample it means nothing.
    """

    last: int
    count: int = 0
    seconds: float = 0.0

    @property
    def known(self) -> float | None:
        """The mean; None before the first sample."""
        return self.seconds if self.count else None

    def note(self, seconds: float) -> None:
        """Take in one more."""
        if self.count < self.last:
            self.count += 1
        self.seconds += (seconds - self.seconds) / self.count


@dataclass(slots=True)
class Pace:
    """What is known of one model.

    Attributes:
        services: How long leases last, from admission to their end. Those of light requests, and those that were
            aborted, say nothing about it.
        loads: From the order to start to ready; few are remembered, for a cold page cache makes a load another load.
        stops: From the order to stop to gone.
        gaps: The last two times for which it had nothing to do until somebody asked for it again, there or not.
    """

    services: Mean = field(default_factory=lambda: Mean(16))
    loads: Mean = field(default_factory=lambda: Mean(3))
    stops: Mean = field(default_factory=lambda: Mean(3))
    gaps: tuple[float, float] = (inf, inf)

    @property
    def swap(self) -> float:
        """Seconds that one stay on the GPU costs: its load and its stop, as far as they are known."""
        return (self.loads.known or 0.0) + (self.stops.known or 0.0)

    def pause(self, seconds: float) -> None:
        """It had nothing to do for so long, and is asked for again."""
        self.gaps = self.gaps[1], seconds
