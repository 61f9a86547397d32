"""What the router's own answers look like: one frozen type for each, from which `api.schemas` makes their description.

A field's description is its line under "Attributes". Clients differ in what they read: `Card` has the words of all
those that were looked at beside our own, each with the same truth in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from swapper.config import Rule
from swapper.core.model import Policy, State

type Json = str | int | float | bool | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class Index:
    """Where things are.

    Attributes:
        swapper: The version.
        models: The models, as clients list them.
        status: A page for people.
        events: What changes, as it changes.
        openapi: This description.
    """

    swapper: str
    models: str = "/v1/models"
    status: str = "/ui"
    events: str = "/api/events"
    openapi: str = "/openapi.json"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the router does its work.

    Attributes:
        status: `degraded`: a configuration was refused, and the last good one goes on.
        configuration: What is wrong in it, with file and line.
    """

    status: Literal["ok", "degraded"]
    configuration: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that holds GPU memory.

    Attributes:
        model: Its name.
        state: What it is doing.
        unit: The systemd unit that runs it.
    """

    model: str
    state: State
    unit: str


@dataclass(frozen=True, slots=True)
class Running:
    """The residents.

    Attributes:
        running: One by one.
    """

    running: tuple[Resident, ...]


type Loaded = Literal["unloaded", "loading", "loaded", "sleeping"]


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a model is loaded, as llama-server's router mode says it.

    Attributes:
        value: `loaded` is ready for requests.
        failed: Its last start failed.
    """

    value: Loaded
    failed: bool


@dataclass(frozen=True, slots=True)
class Architecture:
    """What goes in and what comes out, as OpenRouter says it, and llama-server's router mode.

    Attributes:
        input_modalities: Such as `text`, `image`, `audio`.
        output_modalities: Such as `text`, `embeddings`, `rerank`.
    """

    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meta:
    """What llama-server tells of a model's size.

    Attributes:
        n_ctx: Tokens of context.
    """

    n_ctx: int


@dataclass(frozen=True, slots=True)
class Card:
    """A model, as OpenAI's API describes one, with further fields.

    Attributes:
        id: Its name: what a request calls `model`.
        object: Always `model`.
        created: Since when the router knows it, in seconds since the epoch.
        owned_by: Always `swapper`.
        name: As `id`, for those who show names.
        aliases: Further names that it answers to.
        state: What it is doing; any model that is not `incomplete` or `disabled` is loaded when it is asked for.
        status: The same in the words of llama-server's router mode.
        engine: What runs it.
        capabilities: What it can do.
        architecture: The same in the words of OpenRouter.
        context_length: Tokens that it can keep in mind; null while that is known neither from the configuration nor
            from the engine, which is asked when it runs.
        max_model_len: The same in the word of vLLM.
        meta: The same in the words of llama-server.
        progress: How far it is loaded, or while it is `incomplete` pulled, in per cent; null where that is not known.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: Literal["swapper"]
    name: str
    aliases: tuple[str, ...]
    state: State
    status: Status
    engine: str
    capabilities: tuple[str, ...]
    architecture: Architecture
    context_length: int | None
    max_model_len: int | None
    meta: Meta | None
    progress: float | None


@dataclass(frozen=True, slots=True)
class Cards:
    """The models, as OpenAI's API lists them.

    Attributes:
        object: Always `list`.
        data: All of them, in the order of the configuration.
    """

    object: Literal["list"]
    data: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a model cannot be had.

    Attributes:
        code: One of the codes of errors.
        message: What happened.
        hint: What to do about it.
    """

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a model declared, and has in use, of one GPU.

    Attributes:
        gpu: Its index in PCI bus order.
        declared: Bytes that the model declared; null where the GPU's memory is not known, or the model takes all of it.
        measured: Bytes that its unit has in use, as the driver says; null where that is not known.
        exceeds: Whether that is more than was declared, beyond a tolerance of 5 per cent.
    """

    gpu: int
    declared: int | None
    measured: int | None
    exceeds: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Models that are never there at the same time, or that are loaded as one and leave as one.

    Attributes:
        name: Its name.
        rule: Which of the two.
        models: Who is in it.
    """

    name: str
    rule: Rule
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Details(Card):
    """A model, as an operator wants to see it.

    Attributes:
        reason: Why it is in its state.
        since: Since when, in seconds since the epoch; null while it has been all along.
        unit: The systemd unit that runs it.
        invocation: systemd's id of what runs, or ran last; empty where nothing did.
        status_text: What its unit says of itself: the `STATUS=` that `systemctl status` shows.
        gpus: The GPUs that it is pinned to.
        groups: The groups that it is in.
        memory: What it declared, and has, of each of them.
        memory_hint: What to do where it has more than it declared; empty where it does not.
        leases: Requests that it works on.
        waiting: Requests that wait for it.
        parks: Whether it makes room by being parked, and can be parked by an operator.
        pinned: Whether it, or one that is always together with it, never makes room for others.
        ttl: Seconds without requests, for it or one that is always together with it, after which it is stopped; null
            keeps it.
        load_seconds: How long its last load took; null before the first.
        failure: Why its last start failed, or why it cannot be started; null where it can.
        configured_at: File and line.
    """

    reason: str
    since: float | None
    unit: str
    invocation: str
    status_text: str
    gpus: tuple[int, ...]
    groups: tuple[Group, ...]
    memory: tuple[MemoryUse, ...]
    memory_hint: str
    leases: int
    waiting: int
    parks: bool
    pinned: bool
    ttl: float | None
    load_seconds: float | None
    failure: Failed | None
    configured_at: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is on a GPU.

    Attributes:
        model: The model.
        share: Its share of the GPU's memory, 1 for all of it.
        measured: Bytes that its unit has in use, as the driver says; null where that is not known.
    """

    model: str
    share: float
    measured: int | None


@dataclass(frozen=True, slots=True)
class GpuUse:
    """A GPU and who is on it.

    Attributes:
        gpu: Its index in PCI bus order.
        policy: How models share it.
        residents: Who does now.
        name: What it is, as the driver says; null, as all that follows, where that is not known.
        total: Bytes of memory that it has.
        used: Bytes that are in use, by whomever.
        utilization: Per cent of the moments before in which it computed.
        measured_at: When that was so, in seconds since the epoch.
    """

    gpu: int
    policy: Policy
    residents: tuple[Holder, ...]
    name: str | None
    total: int | None
    used: int | None
    utilization: int | None
    measured_at: float | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A model went from one state to another.

    Attributes:
        at: When, in seconds since the epoch.
        model: Which.
        old: Its state before.
        new: Its state from then on.
        reason: Why.
        lasted: Seconds that the old state lasted; null where that is not known.
    """

    at: float
    model: str
    old: State
    new: State
    reason: str
    lasted: float | None


@dataclass(frozen=True, slots=True)
class Progressed:
    """A model that is being loaded got on, or one whose files are being pulled.

    Attributes:
        at: When, in seconds since the epoch.
        model: Which.
        percent: How much of its files the engine has read, or is there, in per cent.
    """

    at: float
    model: str
    percent: float


@dataclass(frozen=True, slots=True)
class Parked:
    """A model that waits in the host's memory.

    Attributes:
        model: Which.
        bytes: What it takes there.
    """

    model: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything, for operators.

    Attributes:
        models: The models, in the order of the configuration.
        gpus: The GPUs.
        parked: Models that are parked, and what they take of the host's memory.
        queue: Models that wait for a place, first to last.
        changes: The last changes of state, oldest first.
    """

    models: tuple[Details, ...]
    gpus: tuple[GpuUse, ...]
    parked: tuple[Parked, ...]
    queue: tuple[str, ...]
    changes: tuple[Changed, ...]


@dataclass(frozen=True, slots=True)
class States:
    """The first event of a stream of events.

    Attributes:
        states: Each model's state now.
    """

    states: Mapping[str, State]


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong.

    Attributes:
        message: What happened.
        type: OpenAI's word for its kind.
        param: The field of the request that is wrong; null where none is.
        code: Stable, and more exact than `type`.
        hint: What to do about it, where there is something.
        journal: The last lines of the unit's journal, where the engine is to blame.
    """

    message: str
    type: str
    param: str | None
    code: str
    hint: str = ""
    journal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """An error, as OpenAI's API answers it.

    Attributes:
        error: What went wrong.
    """

    error: Problem
