"""What has happened, in the past tense: the only things that `Scheduler.handle` takes."""

import enum
from dataclasses import dataclass

from swapper.core.model import TURNS, Failure, Gpu, ModelSpec, Turns


class ActiveState(enum.StrEnum):
    """A unit's `ActiveState` as systemd reports it (org.freedesktop.systemd1(5), "Unit Objects")."""

    ACTIVE = "active"
    RELOADING = "reloading"
    REFRESHING = "refreshing"
    INACTIVE = "inactive"
    FAILED = "failed"
    ACTIVATING = "activating"
    DEACTIVATING = "deactivating"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """The configuration is now this. Models that it no longer names are drained and stopped.

    Attributes:
        models: All models.
        gpus: GPUs of which something is said.
        turns: How models take turns.
        park_memory: Bytes of host memory that parked models may take together.
    """

    models: tuple[ModelSpec, ...]
    gpus: tuple[Gpu, ...]
    turns: Turns = TURNS
    park_memory: int = 0


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A request for a model came in and waits for a lease.

    Attributes:
        request: Its number, never used before.
        model: The configured name.
        light: It costs the engine next to nothing (counting tokens): it needs the model there, but none of its places.
        priority: Of who asks, in steps above what is normal; that of the model comes on top.
    """

    request: int
    model: str
    light: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class RequestOver:
    """The client went away, or its lease's work is done: either way, the request is over."""

    request: int


@dataclass(frozen=True, slots=True)
class UnitChanged:
    """The unit of a model is in this state now.

    Attributes:
        model: The model's name.
        active: systemd's `ActiveState`.
        invocation: systemd's invocation id; another id is another process.
        failure: Set when the unit failed: what systemd says of it.
        slots: How many requests the engine works on at once, as it says itself; None while it has not said so.
        took: Seconds that the start to `active`, or the stop to `inactive`, took by systemd's own clock; None where it
            does not say.
        parked: Its engine runs and is parked: only ever of a unit that nobody here has started or parked.
        gated: Its process was started early, and waits at the gate or is on its way there.
    """

    model: str
    active: ActiveState
    invocation: str = ""
    failure: Failure | None = None
    slots: int | None = None
    took: float | None = None
    parked: bool = False
    gated: bool = False


@dataclass(frozen=True, slots=True)
class StartRefused:
    """A start that was asked for did not take place: files are missing, the unit is masked, systemd refused."""

    model: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class AvailabilityChanged:
    """Whether a model that does not run could be started is known anew.

    Attributes:
        model: The model's name.
        failure: Why it cannot be started (`model_incomplete`, `model_disabled`); None when what failed before may work.
    """

    model: str
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class UnloadAsked:
    """An operator wants the model gone: it drains, then stops."""

    model: str


@dataclass(frozen=True, slots=True)
class ParkAsked:
    """An operator wants the model's GPU memory: it drains, then is parked. `not_parked` says who cannot be."""

    model: str


@dataclass(frozen=True, slots=True)
class Weighed:
    """How many bytes of host memory a model takes while it is parked is known anew."""

    model: str
    weight: int


@dataclass(frozen=True, slots=True)
class Parked:
    """The engine has given its GPU memory back, or says why it does not."""

    model: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Woken:
    """The engine has its GPU memory again, or says why it does not."""

    model: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class MemoryShort:
    """The host's memory runs short: parked models are what it can do without."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """`Scheduler.deadline()` has been reached."""


type Event = (
    ConfigApplied
    | RequestArrived
    | RequestOver
    | UnitChanged
    | StartRefused
    | AvailabilityChanged
    | UnloadAsked
    | ParkAsked
    | Weighed
    | Parked
    | Woken
    | MemoryShort
    | TimePassed
)
