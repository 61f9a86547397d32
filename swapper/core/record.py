"""What the scheduler knows of one model: mutable, owned by the scheduler alone."""

from dataclasses import dataclass, field, replace
from math import inf

from swapper.core.early import Early
from swapper.core.model import Demand, Failure, ModelSpec, State
from swapper.core.pace import Pace
from swapper.core.parking import Sleep
from swapper.core.reasons import AT_FIRST, Reason
from swapper.core.waiting import Wait, Waiting


@dataclass(slots=True)
class Record:
    """One model's place in the world.

    Attributes:
        spec: As configured now.
        loaded: As configured when it was started: what its unit really holds.
        state: What it is doing.
        reason: Why it is in that state, for people.
        since: Since when it is in that state.
        waiting: Requests without a lease, in the order of their turn.
        light: Those among them that need none of the places that `concurrency` counts.
        leases: Requests that hold a lease, oldest first, with its beginning.
        aside: Those among them that take none of the places that `concurrency` counts.
        slots: How many requests its engine works on at once, as it said when it last ran; None where it did not say.
        pace: How long things take with it.
        loading: Seconds that it has been starting, in all its life, but for the present start.
        used: When a lease last began or ended, or when it became ready; before all that: endlessly long ago.
        turn: When its present turn began (`core.turns`).
        closes_for: The claimant that it will make room for, once it has served those whom it owes that.
        hold: When its claim is to be looked at again, because the turn of a model in its way is over then.
        awaits: Who will make room for it, as was decided when its claim was last looked at.
        held: What it is known to hold by those who keep the books.
        deadline: When the present state must have ended.
        timer: The earliest entry for this model in the scheduler's heap.
        invocation: systemd's invocation id of what runs, or ran last.
        sleep: Whether its engine has given its GPU memory back, does so, or takes it again.
        weight: Bytes of host memory that it takes while it is parked.
        begun: Whether systemd has reported the run that was asked for.
        early: Whether its process is there, or on its way, before it is started.
        opened: Its process was there, or on its way, when it was started last.
        adopted: Started by somebody else, or under another budget: may stand over budget until it goes.
        drained_for: The claimant that this model makes room for; None when it drains for its own sake.
        never_ready: It is going away without ever having become ready: those who wait for it are to be told.
        timed_out: It is going away because it was not ready in time.
        failure: The last failure, for those who ask.
        failures: Starts that failed in a row.
        retry_at: Before this time no new start is tried.
        removed: No longer configured; forgotten once it is stopped.
        companions: Those with whom it is always together, itself not among them (`core.company`).
        seated: There is room for it, and nobody passes it: it is started once no companion is starting any more.
        called: Since when a companion wants it there, though nobody may have asked for it itself.
        skipped: Its last start came to nothing: companions do without it until somebody asks for it itself.
    """

    spec: ModelSpec
    loaded: ModelSpec
    state: State = State.STOPPED
    reason: Reason = AT_FIRST
    since: float = 0.0
    waiting: Waiting = field(default_factory=Waiting)
    light: set[int] = field(default_factory=set)
    leases: dict[int, float] = field(default_factory=dict)
    aside: set[int] = field(default_factory=set)
    slots: int | None = None
    pace: Pace = field(default_factory=Pace)
    loading: float = 0.0
    used: float = -inf
    turn: float = 0.0
    closes_for: str | None = None
    hold: float | None = None
    awaits: tuple[str, ...] = ()
    held: tuple[Demand, ...] = ()
    deadline: float | None = None
    timer: float | None = None
    invocation: str = ""
    sleep: Sleep = Sleep.AWAKE
    weight: int = 0
    begun: bool = False
    early: Early = Early.NO
    opened: bool = False
    adopted: bool = False
    drained_for: str | None = None
    never_ready: bool = False
    timed_out: bool = False
    failure: Failure | None = None
    failures: int = 0
    retry_at: float = 0.0
    removed: bool = False
    companions: tuple["Record", ...] = field(default=(), repr=False, compare=False)
    seated: bool = False
    called: float | None = None
    skipped: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def holds(self) -> tuple[Demand, ...]:
        """What its unit holds of the GPUs now."""
        return self.loaded.demands if self.state.resident and self.sleep is not Sleep.ASLEEP else ()

    @property
    def running(self) -> bool:
        """Whether its unit has processes, or may have some, as far as is known here."""
        return self.state.running or self.early is not Early.NO

    @property
    def appears(self) -> State:
        """Its state as systemd sees it: a process at the gate makes a unit that is starting."""
        if self.early is Early.NO or not self.begun:
            return self.state
        return State.STARTING if self.early is Early.WAITS else State.STOPPING

    @property
    def pinned(self) -> bool:
        """Whether it is never a victim: where one of a company is pinned, all are."""
        return self.spec.pinned or any(record.spec.pinned for record in self.companions)

    @property
    def swap(self) -> float:
        """Seconds that one stay costs, of all that come and go with it."""
        if not self.companions:
            return self.pace.swap
        return self.pace.swap + sum(record.pace.swap for record in self.companions if record.state.resident)

    @property
    def ttl(self) -> float | None:
        """Idle time after which it is stopped, or after which its company is: the longest of theirs; None for never."""
        if not self.companions:
            return self.spec.ttl
        spans = [record.spec.ttl for record in (self, *self.companions)]
        return None if None in spans else max(span for span in spans if span is not None)

    @property
    def limit(self) -> int | None:
        """Most leases at once, light ones aside: what is configured, and no more than the engine works on at once."""
        concurrency, slots = self.spec.concurrency, self.slots
        if slots is None or concurrency is None:
            return concurrency if slots is None else slots
        return min(concurrency, slots)

    @property
    def busy(self) -> int:
        """Leases that count against the limit."""
        return len(self.leases) - len(self.aside)

    @property
    def full(self) -> bool:
        """Whether it serves as many requests as it may."""
        limit = self.limit
        return limit is not None and len(self.leases) - len(self.aside) >= limit

    @property
    def crowded(self) -> bool:
        """Whether as many requests wait as may, beside those that it will serve as soon as it can serve at all."""
        queue, limit = self.spec.queue, self.limit
        if queue is None:
            return False
        served_next = 1 if limit is None else limit - self.busy
        return len(self.waiting) >= queue + max(served_next, 0)

    @property
    def wants_start(self) -> bool:
        """Whether somebody waits for it to be started (again), or a companion does."""
        wanted = bool(self.waiting) or self.seated or self.called is not None
        return wanted and self.state not in {State.STARTING, State.READY}

    @property
    def urgency(self) -> float | None:
        """That of its claim; None where nobody wants it. Nobody comes before one that has a seat."""
        if self.seated:
            return -inf
        if self.called is None:
            return self.waiting.urgency
        return min((since for since in (self.waiting.urgency, self.called) if since is not None), default=None)

    @property
    def patience(self) -> float | None:
        """When the oldest request without a lease has waited as long as one may; None where nobody waits so."""
        limit = self.spec.queue_timeout
        oldest = None if limit is None else self.waiting.oldest
        return None if oldest is None or limit is None else oldest + limit

    def precedes(self, invocation: str) -> bool:
        """Whether a run of this invocation id came before the one that was asked for, of which nothing is known yet."""
        return not self.begun and invocation in {"", self.invocation}

    def wait(self, now: float, priority: int) -> Wait:
        """The wait of a request that arrives now."""
        loading = self.loading + (now - self.since if self.state is State.STARTING else 0.0)
        return Wait(now, loading, self.spec.priority + priority)

    def forget_claim(self) -> None:
        """Its claim is looked at anew, or is no more."""
        self.hold, self.awaits = None, ()

    def regroup(self, spec: ModelSpec) -> None:
        """Groups are of the configuration, not of the unit: the place of one is taken, or left, without a new start."""
        demands = (*(d for d in self.loaded.demands if d.real), *(d for d in spec.demands if not d.real))
        if demands != self.loaded.demands:
            self.loaded = replace(self.loaded, demands=demands)

    def load(self, spec: ModelSpec) -> None:
        """What runs, or will, is configured so; what was learned of another definition is forgotten."""
        if spec.fingerprint != self.loaded.fingerprint:
            self.slots, self.pace = None, Pace()
        self.loaded = spec
