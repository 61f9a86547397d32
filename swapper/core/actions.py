"""What is to be done, in the imperative: the only things that `Scheduler.handle` gives back."""

from dataclasses import dataclass

from swapper.core.model import Failure, State
from swapper.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class StartUnit:
    """Have systemd start the model's unit, or let it go on where it has been started early."""

    model: str


@dataclass(frozen=True, slots=True)
class StartEarly:
    """Have systemd start the model's unit as far as it comes without a GPU: `StartUnit` lets it go on."""

    model: str


@dataclass(frozen=True, slots=True)
class StopUnit:
    """Have systemd stop the model's unit."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class ParkUnit:
    """Have the model's engine give its GPU memory back, and stay."""

    model: str


@dataclass(frozen=True, slots=True)
class WakeUnit:
    """Have the model's engine take its GPU memory again."""

    model: str


@dataclass(frozen=True, slots=True)
class Admit:
    """Forward the request: it has a lease now.

    Attributes:
        request: Its number.
        model: The model's name.
        loading: Seconds of its wait in which the model was starting.
    """

    request: int
    model: str
    loading: float = 0.0


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer the waiting request with this failure; it is over."""

    request: int
    model: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class Abort:
    """Break off the request that holds a lease: its engine is going away. It is over."""

    request: int
    model: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell whoever watches that the model went from one state to another.

    Attributes:
        model: The model's name.
        old: Its state before.
        new: Its state now.
        reason: Why.
        took: Seconds that a start, or a stop, took by systemd's own clock, where it says so.
    """

    model: str
    old: State
    new: State
    reason: Reason
    took: float | None = None


type Action = StartUnit | StartEarly | StopUnit | ParkUnit | WakeUnit | Admit | Reject | Abort | Announce
