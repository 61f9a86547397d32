"""What the scheduler knows of one model: mutable, owned by the scheduler alone."""

from dataclasses import dataclass, field

from swapper.core.model import Demand, Failure, ModelSpec, State
from swapper.core.reasons import AT_FIRST, Reason


@dataclass(slots=True)
class Record:
    """One model's place in the world.

    Attributes:
        spec: As configured now.
        loaded: As configured when it was started: what its unit really holds.
        state: What it is doing.
        reason: Why it is in that state, for people.
        waiting: Requests without a lease, oldest first, with their arrival.
        leases: Requests that hold a lease.
        used: When a lease last began or ended: the least recent is the first victim.
        deadline: When the present state must have ended.
        timer: The earliest entry for this model in the scheduler's heap.
        invocation: systemd's invocation id of what runs, or ran last.
        begun: Whether systemd has reported the run that was asked for.
        adopted: Started by somebody else, or under another budget: may stand over budget until it goes.
        drained_for: The claimant that this model makes room for; None when it drains for its own sake.
        never_ready: It is going away without ever having become ready: those who wait for it are to be told.
        timed_out: It is going away because it was not ready in time.
        failure: The last failure, for those who ask.
        failures: Starts that failed in a row.
        retry_at: Before this time no new start is tried.
        removed: No longer configured; forgotten once it is stopped.
    """

    spec: ModelSpec
    loaded: ModelSpec
    state: State = State.STOPPED
    reason: Reason = AT_FIRST
    waiting: dict[int, float] = field(default_factory=dict)
    leases: set[int] = field(default_factory=set)
    used: float = 0.0
    deadline: float | None = None
    timer: float | None = None
    invocation: str = ""
    begun: bool = False
    adopted: bool = False
    drained_for: str | None = None
    never_ready: bool = False
    timed_out: bool = False
    failure: Failure | None = None
    failures: int = 0
    retry_at: float = 0.0
    removed: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def holds(self) -> tuple[Demand, ...]:
        """What its unit holds of the GPUs now."""
        return self.loaded.demands if self.state.resident else ()

    @property
    def full(self) -> bool:
        """Whether it serves as many requests as it may."""
        return self.spec.concurrency is not None and len(self.leases) >= self.spec.concurrency

    @property
    def crowded(self) -> bool:
        """Whether as many requests wait as may, beside those that it will serve as soon as it can serve at all."""
        queue, concurrency = self.spec.queue, self.spec.concurrency
        if queue is None:
            return False
        served_next = 1 if concurrency is None else concurrency - len(self.leases)
        return len(self.waiting) >= queue + max(served_next, 0)

    @property
    def wants_start(self) -> bool:
        """Whether somebody waits for it to be started (again)."""
        return bool(self.waiting) and self.state not in {State.STARTING, State.READY}

    @property
    def waits_since(self) -> float | None:
        """Arrival of the oldest request without a lease."""
        return next(iter(self.waiting.values()), None)
