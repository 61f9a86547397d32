"""The configuration as types: what the rest of the house sees, with every default filled in.

Times are seconds, sizes are bytes, shares are parts per million.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from swapper.config.vocabulary import ENGINES
from swapper.core.model import TURNS, WHOLE, Demand, Gpu, ModelSpec, Policy, Turns, instance_name, unit_name

MODELS_DIR = Path("/var/lib/swapper/models")
RUNTIME_DIR = Path("/run/swapper")
GATES_DIR = Path("/run/swapper-gates")
SPOOL_DIR = Path("/var/cache/swapper/router")
LOAD_TIMEOUT = DRAIN_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Location:
    """Where in which file something is configured; lines count from 1, and 0 is the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Bytes:
    """An amount of GPU memory."""

    count: int


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a GPU's memory, in parts per million."""

    parts: int


type Memory = Bytes | Share


@dataclass(frozen=True, slots=True)
class Filters:
    """What is changed in the JSON body of a request before the engine gets it. Only top-level keys are meant.

    Attributes:
        set: Keys with their values, as JSON text; they take the place of what the client sent.
        strip: Keys that are taken out.
    """

    set: tuple[tuple[str, str], ...] = ()
    strip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One configured model.

    Attributes:
        name: The configured name; never an alias.
        engine: Which template unit runs it: `llama`, `vllm` or `speech`.
        model: Its weights: a GGUF file for llama, a directory for vllm. Means nothing for speech, which has none.
        mmproj: The projector that lets a llama model see or hear.
        gpus: Indexes in PCI bus order; none means the CPU only.
        gpu_memory: What it takes of each of its GPUs; None is all of it.
        context: Tokens that it can keep in mind; None leaves that to the engine.
        images: Most images in one prompt; None leaves that to the engine.
        aliases: Further names that it answers to.
        args: Further arguments for the engine, passed through.
        env: Further environment for the engine.
        ttl: Idle time after which it is stopped; None keeps it until its place is wanted.
        preload: Started with the router, before anybody asks for it.
        pinned: Never stopped to make room for another model.
        load_timeout: Longest time from start to ready.
        drain_timeout: Longest time that others wait for its requests to end.
        concurrency: Most requests at once; None for no limit.
        queue: Most requests that may wait beside those that it can serve at once; None for no limit.
        queue_timeout: Longest time that a request may wait before it is turned away; None for no limit.
        priority: Steps above (or, negative, below) what is normal, among those who wait.
        park: Whether it is parked when another model needs its place, rather than stopped.
        park_level: What a parked model keeps: 1 its weights, in host memory; 2 nothing, they are read again.
        filters: What is changed in requests on their way to it; None for nothing.
        loading_message: Whether chats that wait for it while streaming get the reason as reasoning text.
        keep_conversations: Whether what its slots have in mind outlasts a stop.
        network: Whether the engine sees the network.
        memory_max: Limit of host memory (systemd's `MemoryMax=`); None for no limit.
        capabilities: What it can do, for those who choose a model.
        incapable: What it surely cannot do: requests for that are refused, and do not load it.
        where: Where it is configured.
        written: Where each key stands that is written; in the words of the file.
    """

    name: str
    engine: str
    model: Path
    mmproj: Path | None = None
    gpus: tuple[int, ...] = (0,)
    gpu_memory: Memory | None = None
    context: int | None = None
    images: int | None = None
    aliases: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    ttl: float | None = None
    preload: bool = False
    pinned: bool = False
    load_timeout: float = LOAD_TIMEOUT
    drain_timeout: float = DRAIN_TIMEOUT
    concurrency: int | None = None
    queue: int | None = None
    queue_timeout: float | None = None
    priority: int = 0
    park: bool = False
    park_level: int = 1
    filters: Filters | None = None
    loading_message: bool = False
    keep_conversations: bool = False
    network: bool = False
    memory_max: int | None = None
    capabilities: frozenset[str] = frozenset()
    incapable: frozenset[str] = frozenset()
    where: Location = Location("", 0)
    written: Mapping[str, Location] = field(default_factory=dict, repr=False, compare=False)

    @property
    def instance(self) -> str:
        """The escaped name, as it stands in unit names and paths."""
        return instance_name(self.name)

    @property
    def unit(self) -> str:
        """The unit that runs it, such as `llama@devstral.service`."""
        return unit_name(self.engine, self.name)

    @property
    def socket(self) -> Path:
        """The unix socket that its engine listens on."""
        return RUNTIME_DIR / f"{self.engine}@{self.instance}" / "http.sock"

    @property
    def gate(self) -> Path:
        """Where its engine waits, if it is started before its GPU is free (`swapper.early`)."""
        return GATES_DIR / f"{self.engine}@{self.instance}"

    @property
    def conversations(self) -> Path:
        """Where its engine finds the conversations that it keeps: the unit alone has something mounted there."""
        return self.socket.with_name("conversations")


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """One GPU: how much memory it has, where that is configured, and how models share it."""

    index: int
    memory: int | None = None
    policy: Policy = Policy.EXCLUSIVE


@dataclass(frozen=True, slots=True)
class Media:
    """What the router may fetch for a request that names its media by URL.

    Attributes:
        allow: Host names, addresses and networks that may be asked although they are private.
        max_bytes: Most bytes of one download.
        timeout: Longest time of one download.
    """

    allow: tuple[str, ...] = ()
    max_bytes: int = 64 << 20
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """Limits of the router itself.

    Attributes:
        max_body: Most bytes of one request.
        idle_exit: Idle time, with no model running, after which the router ends itself; None for never.
        spool: Where large bodies are kept while they arrive: on disk, for memory is what it saves.
        header_timeout: Longest time for a request's head to arrive.
        body_timeout: Longest pause while a request's body arrives.
        idle_timeout: How long a client's connection is kept between requests.
        hosts: Names by which clients may call the port, beside addresses and localhost; of weight without keys only.
        origins: Web pages that may use the port, such as `https://chat.example.com`; `*` for all.
        park_memory: Bytes of host memory that parked models may take together; None for half of it.
        read_ahead: Whether the files of a model and its engine are read while the one before it makes room.
        early_start: Whether engines that can begin without a GPU do so meanwhile.
    """

    max_body: int = 512 << 20
    idle_exit: float | None = 60.0
    spool: Path = SPOOL_DIR
    header_timeout: float = 30.0
    body_timeout: float = 60.0
    idle_timeout: float = 75.0
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    park_memory: int | None = None
    read_ahead: bool = True
    early_start: bool = True


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What is said of an API key, by its name; the key itself is a credential of the unit.

    Attributes:
        name: As in the credential.
        concurrency: Most requests at once; None for no limit.
        priority: Steps above (or, negative, below) what is normal, for its requests; that of their model comes on top.
    """

    name: str
    concurrency: int | None = None
    priority: int = 0


class Rule(enum.StrEnum):
    """What a group is for, as the configuration and the API call it."""

    NEVER = "never_together"
    ALWAYS = "always_together"


@dataclass(frozen=True, slots=True)
class Group:
    """Models that are never there at the same time, or that are loaded as one and leave as one.

    Attributes:
        name: The configured name.
        rule: Which of the two.
        models: Their configured names, two at least.
        where: Where it is configured.
    """

    name: str
    rule: Rule
    models: tuple[str, ...]
    where: Location = Location("", 0)


@dataclass(frozen=True, slots=True)
class Profile:
    """Models that are to be there together.

    Attributes:
        name: The configured name.
        models: Their configured names.
        where: Where it is configured.
    """

    name: str
    models: tuple[str, ...]
    where: Location = Location("", 0)

    @property
    def unit(self) -> str:
        """The target that loads them, such as `swapper-profile@night.target`."""
        return f"swapper-profile@{instance_name(self.name)}.target"

    @property
    def room(self) -> str:
        """The target that makes room for them."""
        return f"swapper-room@{instance_name(self.name)}.target"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where an engine's program is found.

    Attributes:
        path: The program itself; None looks for it.
        search: Directories to look in, first to last; none leaves that to the template unit's `PATH`.
    """

    path: Path | None = None
    search: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Config:
    """Everything that is configured. Names and aliases are unique; paths are absolute; every GPU named is listed."""

    models_dir: Path = MODELS_DIR
    gpus: tuple[GpuSettings, ...] = ()
    models: tuple[Model, ...] = ()
    media: Media = field(default_factory=Media)
    router: RouterSettings = field(default_factory=RouterSettings)
    turns: Turns = TURNS
    keys: tuple[KeySettings, ...] = ()
    groups: tuple[Group, ...] = ()
    profiles: tuple[Profile, ...] = ()
    engines: Mapping[str, EngineSettings] = field(default_factory=dict)

    @cached_property
    def _names(self) -> dict[str, Model]:
        names = {alias: model for model in self.models for alias in model.aliases}
        return names | {model.name: model for model in self.models}

    def resolve(self, name: str) -> Model | None:
        """The model that answers to this name or alias."""
        return self._names.get(name)

    def near(self, name: str) -> tuple[str, ...]:
        """Names and aliases that somebody who wrote `name` may have meant, best first."""
        from difflib import get_close_matches  # noqa: PLC0415 — for mistakes only; costs every start otherwise

        lowered = {known.lower(): known for known in self._names}
        return tuple(lowered[match] for match in get_close_matches(name.lower(), lowered, n=3, cutoff=0.5))

    def gpu(self, index: int) -> GpuSettings:
        """The GPU with this index; one that nobody configured has the defaults."""
        return next((gpu for gpu in self.gpus if gpu.index == index), GpuSettings(index))

    def parts(self, model: Model, gpu: int) -> int:
        """What a model takes of one of its GPUs, in parts per million, rounded up."""
        match model.gpu_memory:
            case None:
                return WHOLE
            case Share(parts):
                return parts
            case Bytes(count):
                memory = self.gpu(gpu).memory
                return -(-count * WHOLE // memory) if memory else WHOLE

    def of(self, model: Model) -> tuple[Group, ...]:
        """The groups that a model is in."""
        return tuple(group for group in self.groups if model.name in group.models)

    @cached_property
    def _nevers(self) -> dict[int, Group]:
        nevers = [group for group in self.groups if group.rule is Rule.NEVER]
        return {-1 - position: group for position, group in enumerate(nevers)}

    def never(self, place: int) -> Group | None:
        """The group of models that are never together whose place this is; None for a GPU."""
        return self._nevers.get(place)

    def places(self, model: Model) -> tuple[int, ...]:
        """GPUs that a model is pinned to, and, below 0, places of groups that only one model may have at a time."""
        return (*model.gpus, *(place for place, group in self._nevers.items() if model.name in group.models))

    @property
    def budgets(self) -> tuple[Gpu, ...]:
        """How models share GPUs, and places of groups: what the scheduler needs to know of them."""
        gpus = (Gpu(gpu.index, gpu.policy) for gpu in self.gpus)
        return (*gpus, *(Gpu(place, group=group.name) for place, group in self._nevers.items()))

    def crowded(self, models: Iterable[Model]) -> tuple[int, ...]:
        """GPUs, and places of groups, on which these models together are too much."""
        parts: dict[int, list[int]] = {}
        for model in models:
            for place in self.places(model):
                parts.setdefault(place, []).append(WHOLE if place < 0 else self.parts(model, place))
        return tuple(
            gpu
            for gpu, taken in sorted(parts.items())
            if len(taken) > 1 and (self.gpu(gpu).policy is Policy.EXCLUSIVE or sum(taken) > WHOLE)
        )

    def spec(self, model: Model) -> ModelSpec:
        """What the scheduler needs to know of a model, all but the fingerprint of its unit."""
        words = ENGINES[model.engine]
        told = model.concurrency if model.concurrency is not None else _number_after(words.slots, model.args)
        limits = [limit for limit in (told, words.most_requests) if limit is not None]
        return ModelSpec(
            name=model.name,
            demands=self.demands(model, model.gpus),
            pinned=model.pinned,
            ttl=model.ttl,
            load_timeout=model.load_timeout,
            drain_timeout=model.drain_timeout,
            concurrency=min(limits, default=None),
            queue=model.queue,
            queue_timeout=model.queue_timeout,
            priority=model.priority,
            park=model.park,
            together=next((group.name for group in self.of(model) if group.rule is Rule.ALWAYS), ""),
        )

    def demands(self, model: Model, gpus: Iterable[int]) -> tuple[Demand, ...]:
        """What a model takes of these GPUs, and the places that its groups give to one model at a time."""
        apart = (Demand(place) for place in self.places(model) if place < 0)
        return (*(Demand(gpu, self.parts(model, gpu)) for gpu in gpus), *apart)


def _number_after(argument: str | None, args: tuple[str, ...]) -> int | None:
    """The number in `--argument 8` or `--argument=8`; the last one counts."""
    words = [word for arg in args for word in arg.split("=", 1)]
    found = [value for name, value in pairwise(words) if name == argument and value.isdecimal()]
    return int(found[-1]) if found else None
