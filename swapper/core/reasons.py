"""Why a model is in its state: every sentence is made here, and carries what an administrator counts it as."""

import enum
from typing import Self

from swapper.core.model import Failure


class Cause(enum.StrEnum):
    """What changes of state are counted as. A model that is on its way out keeps the cause until it is gone."""

    ASKED = "asked"
    """A request, or an operator, wants it there."""
    READY = "ready"
    """It has been loaded."""
    SWAP = "swap"
    """Another model needs its room."""
    SPARED = "spared"
    """The room is not needed any more, so it stays."""
    IDLE = "idle"
    """Nobody asked for it as long as its `ttl` says."""
    OPERATOR = "operator"
    """An operator unloaded or parked it."""
    CONFIGURATION = "configuration"
    """The configuration changed."""
    EXTERNAL = "external"
    """Somebody else started or stopped a unit."""
    FAILURE = "failure"
    """It could not be started, or broke down."""
    MEMORY = "memory"
    """The host's memory is wanted, by other parked models or by others."""
    FILES = "files"
    """Its files, or its mask, do not let it be started, or do again."""


class Reason(str):
    """A sentence for people, with its cause for the metrics, and with details for who wants to know exactly."""

    __slots__ = ("cause", "detail")

    cause: Cause
    detail: str

    def __new__(cls, text: str, cause: Cause, detail: str = "") -> Self:
        """Make a reason."""
        reason = super().__new__(cls, text)
        reason.cause, reason.detail = cause, detail
        return reason

    def __getnewargs__(self) -> tuple[str, Cause, str]:  # type: ignore[override]
        """What copies are made of (`dataclasses.asdict` makes some)."""
        return str(self), self.cause, self.detail

    @property
    def whole(self) -> str:
        """The sentence with its details."""
        return f"{self}: {self.detail}" if self.detail else str(self)


def cause_of(reason: Reason) -> Cause:
    """What a reason is counted as."""
    return reason.cause


_FAILURES = {"model_stopped": Cause.EXTERNAL, "model_incomplete": Cause.FILES, "model_disabled": Cause.FILES}

AT_FIRST = Reason("", Cause.CONFIGURATION)
ASKED = Reason("asked for", Cause.ASKED)
LOADED = Reason("ready", Cause.READY)
ADOPTED = Reason("adopted: it was running already", Cause.EXTERNAL)
STARTED_ELSEWHERE = Reason("started by somebody else", Cause.EXTERNAL)
SPARED = Reason("no longer needed elsewhere", Cause.SPARED)
UNLOADED = Reason("unloaded by an operator", Cause.OPERATOR)
PARK_ASKED = Reason("an operator wants its GPU memory", Cause.OPERATOR)
REMOVED = Reason("no longer configured", Cause.CONFIGURATION)
CHANGED = Reason("its configuration changed", Cause.CONFIGURATION)
REBUDGETED = Reason("the GPU's budget changed", Cause.CONFIGURATION)
REGROUPED = Reason("its group changed", Cause.CONFIGURATION)
STARTABLE = Reason("can be started", Cause.FILES)
NOT_AWAITED = Reason("nobody waits for it any more", Cause.SPARED)
WOKEN = Reason("woken up", Cause.READY)
ADOPTED_PARKED = Reason("adopted: it was parked already", Cause.EXTERNAL)
PARKED_TOO_LONG = Reason("the longest parked, and others need its part of park_memory", Cause.MEMORY)
MEMORY_SHORT = Reason("the host's memory runs short", Cause.MEMORY)


def parked(why: Reason) -> Reason:
    """It is parked, and this is why it had to go."""
    return Reason(f"parked: {why}", why.cause)


def not_woken(failure: Failure) -> Reason:
    """It could not be woken, so it is started anew."""
    return Reason(failure.message, Cause.FAILURE)


def makes_room(model: str, why: str = "") -> Reason:
    """Another model wants its place, and was asked for; `why` says why it is this one that goes."""
    return Reason(f"makes room for {model}", Cause.SWAP, why)


def cheapest(idle: float | None, load: float | None) -> str:
    """Why it is this model that goes: seconds that it has been unused, None while it is used, and that a load takes."""
    use = "still in use" if idle is None else f"unused for {idle:.0f} s"
    return use if load is None else f"{use}, loads in {load:.1f} s"


def comes_with(group: str) -> Reason:
    """A companion was asked for."""
    return Reason(f"always together: group {group}", Cause.ASKED)


def goes_with(model: str, group: str) -> str:
    """A companion of it goes."""
    return f"always together with {model} (group {group})"


def apart(model: str, group: str) -> str:
    """They may not be there at the same time."""
    return f"never together with {model} (group {group})"


def because(reason: Reason, why: str) -> Reason:
    """The same reason, with more details."""
    return Reason(str(reason), reason.cause, "; ".join(filter(None, (reason.detail, why))))


def gives_way(model: str) -> Reason:
    """Another model took its place, without having been asked for here."""
    return Reason(f"makes room for {model}, which somebody else started", Cause.EXTERNAL)


def idle(ttl: float) -> Reason:
    """Nobody has used it for so many seconds."""
    return Reason(f"idle for {ttl:g} s", Cause.IDLE)


def failed(failure: Failure) -> Reason:
    """It ended, or could not begin, for this."""
    return Reason(failure.message, _FAILURES.get(failure.code, Cause.FAILURE))


def stopped(why: Reason) -> Reason:
    """It is gone, and this is why it went."""
    return Reason("stopped", why.cause)


def lingers(why: Reason) -> Reason:
    """It was told to stop and does not; this is why it was told."""
    return Reason("it does not stop", why.cause)
