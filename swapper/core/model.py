"""The words of the house as types: state, policy, GPU, model, failure.

A *model* is a configured name. Its *unit* is the templated systemd unit that runs its *engine*. A model is *resident*
while its unit holds GPU memory. A *lease* is one request's hold on a resident model.
"""

import enum
import re
from dataclasses import dataclass

WHOLE = 1_000_000
"""A whole GPU, in parts per million: integers, so that shares add up exactly."""


class State(enum.StrEnum):
    """What a model is doing, as the API, the logs and the documents call it."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    PARKED = "parked"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    DISABLED = "disabled"

    @property
    def resident(self) -> bool:
        """Whether a model in this state holds GPU memory."""
        return self in _RESIDENT

    @property
    def running(self) -> bool:
        """Whether the unit of a model in this state has processes: those of parked models do."""
        return self in _RESIDENT or self is State.PARKED


_RESIDENT = frozenset({State.STARTING, State.READY, State.DRAINING, State.STOPPING})


class Policy(enum.StrEnum):
    """How models share one GPU."""

    EXCLUSIVE = "exclusive"
    PACK = "pack"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or a place that is none: models of a group that is never together want it as they want a GPU.

    Attributes:
        index: In PCI bus order; below 0 where it is no GPU.
        policy: How models share it.
        group: The name of the group, where it is no GPU.
    """

    index: int
    policy: Policy = Policy.EXCLUSIVE
    group: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a model takes of one GPU, in parts per million of its memory; below index 0 it is a group's place."""

    gpu: int
    parts: int = WHOLE

    @property
    def real(self) -> bool:
        """Whether it is of a GPU."""
        return self.gpu >= 0


@dataclass(frozen=True, slots=True)
class Turns:
    """How models that want the same GPU take turns (`core.turns`).

    Attributes:
        min_hold: Seconds for which a model that is busy keeps its place, at least, however cheap a swap is.
        swap_share: Part of the time, above 0 and at most 1, that swaps may take while several models are always busy.
    """

    min_hold: float = 1.0
    swap_share: float = 0.2


TURNS = Turns()
"""What holds where nothing is said."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the scheduler needs to know of a model. Times are seconds.

    Attributes:
        name: The configured name, never an alias.
        demands: GPUs that the model is pinned to, with its share of each, and places of groups that are never
            together; empty for a model that needs none.
        pinned: Never chosen as a victim.
        ttl: Idle time after which the model is stopped; None keeps it.
        load_timeout: Longest time from start to ready.
        drain_timeout: Longest time that others wait for this model's leases to end.
        stop_timeout: Longest time from stop to stopped.
        concurrency: Most leases at once; None for no limit.
        queue: Most requests that may wait beside those that it can serve at once; None for no limit.
        queue_timeout: Longest time that a request waits for a lease, loading included; None for as long as it takes.
        priority: Steps above (or, negative, below) what is normal (`core.waiting`).
        park: Whether it makes room by being parked rather than stopped.
        early: Whether its process may start while another model makes room for it (`core.early`).
        together: The group with whose models it is loaded, and sent away (`core.company`); empty for none.
        fingerprint: Changes when the unit's definition does: a resident with an old one is drained and stopped.
    """

    name: str
    demands: tuple[Demand, ...] = (Demand(0),)
    pinned: bool = False
    ttl: float | None = None
    load_timeout: float = 600.0
    drain_timeout: float = 600.0
    stop_timeout: float = 60.0
    concurrency: int | None = None
    queue: int | None = None
    queue_timeout: float | None = None
    priority: int = 0
    park: bool = False
    early: bool = False
    together: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be done: a stable code, what happened, and what to do about it.

    Attributes:
        code: Stable identifier, such as `model_failed`; the router maps it to an HTTP status.
        message: What happened, one sentence.
        hint: What the reader can do; empty when there is nothing.
        retry_after: Seconds after which another try makes sense, where that is known.
    """

    code: str
    message: str
    hint: str = ""
    retry_after: float | None = None


_PLAIN = re.compile(r"[A-Za-z0-9:_.-]")


def instance_name(model: str) -> str:
    """Name of a model's unit instance: the one place where names are escaped.

    What unit names do not take becomes "@" and two hexadecimal digits for each byte: `Qwen/VL` is `llama@Qwen@2fVL`.
    Not systemd's own escaping (systemd.unit(5), "String escaping for inclusion in unit names"): its backslashes want
    quotes in a shell, make `-` unreadable, and, in a `RuntimeDirectory=`, keep systemd 257 from starting the unit.
    """
    return "".join(
        character if _PLAIN.fullmatch(character) and not (character == "." and position == 0)
        else "".join(f"@{byte:02x}" for byte in character.encode())
        for position, character in enumerate(model)
    )


def unit_name(engine: str, model: str) -> str:
    """The unit that runs a model, such as `llama@devstral.service`."""
    return f"{engine}@{instance_name(model)}.service"

