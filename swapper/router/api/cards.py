"""Fills the shapes of answers from what the router knows."""

from collections.abc import Iterable, Sequence

from swapper.config import Model
from swapper.core.model import Failure, Policy, State
from swapper.core.record import Record
from swapper.router.api.catalog import Catalog
from swapper.router.api.shapes import (
    Architecture,
    Card,
    Changed,
    Details,
    Failed,
    GpuUse,
    Group,
    Holder,
    Loaded,
    MemoryUse,
    Meta,
    Parked,
    Progressed,
    Resident,
    Status,
)
from swapper.router.feed import Change, Progress

_LOADED: dict[State, Loaded] = {
    State.STARTING: "loading",
    State.READY: "loaded",
    State.DRAINING: "loaded",
    State.PARKED: "sleeping",
}
"""The states in which a model is not simply unloaded, for those who know fewer states than we do."""

_TEXT = frozenset({"chat", "completions", "embeddings", "rerank", "score", "vision", "speech", "images"})
_HEARS = frozenset({"audio", "transcription", "translation"})
_WRITES = frozenset({"chat", "completions", "transcription", "translation"})


def card(catalog: Catalog, model: Model) -> Card:
    """One model, as clients read it."""
    record = _record(catalog, model)
    context = catalog.context(model)
    return Card(
        id=model.name,
        object="model",
        created=catalog.created,
        owned_by="swapper",
        name=model.name,
        aliases=model.aliases,
        state=record.appears,
        status=Status(_LOADED.get(record.appears, "unloaded"), failed=record.appears is State.FAILED),
        engine=model.engine,
        capabilities=tuple(sorted(model.capabilities)),
        architecture=_architecture(model.capabilities),
        context_length=context,
        max_model_len=context,
        meta=None if context is None else Meta(context),
        progress=catalog.feed.percent(model.name),
    )


def details(catalog: Catalog, model: Model) -> Details:
    """One model, as an operator wants to see it."""
    shown = card(catalog, model)
    record = _record(catalog, model)
    unit = catalog.places.of(model.name).unit if catalog.places.config.resolve(model.name) else model.unit
    status = catalog.statuses.get(unit)
    uses = catalog.measured.uses(record, unit)
    return Details(
        **{name: getattr(shown, name) for name in Card.__dataclass_fields__},
        reason=record.reason.whole,
        since=catalog.feed.since(model.name),
        unit=unit,
        invocation=record.invocation,
        status_text=status.status_text if status is not None and record.running else "",
        gpus=tuple(demand.gpu for demand in record.spec.demands if demand.real),
        groups=groups(catalog, model),
        memory=tuple(MemoryUse(use.gpu, use.declared, use.measured, use.exceeds) for use in uses),
        memory_hint=catalog.measured.hint(uses),
        leases=len(record.leases),
        waiting=len(record.waiting),
        parks=record.spec.park,
        pinned=record.pinned,
        ttl=record.ttl,
        load_seconds=catalog.feed.load_seconds(model.name),
        failure=failed(record.failure),
        configured_at=str(model.where),
    )


def groups(catalog: Catalog, model: Model) -> tuple[Group, ...]:
    """The groups that a model is in."""
    return tuple(Group(group.name, group.rule, group.models) for group in catalog.places.config.of(model))


def residents(catalog: Catalog) -> tuple[Resident, ...]:
    """Who holds GPU memory."""
    return tuple(
        Resident(record.name, record.state, catalog.places.of(record.name).unit)
        for record in catalog.scheduler.records()
        if record.state.resident
    )


def gpus(catalog: Catalog) -> tuple[GpuUse, ...]:
    """The GPUs and who is on them."""
    known = {gpu.index: gpu.policy for gpu in catalog.scheduler.gpus}
    holders: dict[int, list[Holder]] = {index: [] for index in known}
    for record in catalog.scheduler.records():
        if record.holds:
            for use in catalog.measured.uses(record, catalog.places.of(record.name).unit):
                holders.setdefault(use.gpu, []).append(Holder(record.name, use.share, use.measured))
    return tuple(
        _gpu(catalog, index, known.get(index, Policy.EXCLUSIVE), here) for index, here in sorted(holders.items())
    )


def _gpu(catalog: Catalog, index: int, policy: Policy, holders: Sequence[Holder]) -> GpuUse:
    seen = catalog.measured.card(index)
    return GpuUse(
        gpu=index,
        policy=policy,
        residents=tuple(holders),
        name=None if seen is None else seen.name,
        total=None if seen is None else seen.total,
        used=None if seen is None else seen.used,
        utilization=None if seen is None else seen.utilization,
        measured_at=None if seen is None else catalog.measured.at,
    )


def parked(catalog: Catalog) -> tuple[Parked, ...]:
    """Who waits in the host's memory."""
    return tuple(
        Parked(record.name, record.weight) for record in catalog.scheduler.records() if record.state is State.PARKED
    )


def changed(change: Change) -> Changed:
    """A change of state."""
    return Changed(change.at, change.model, change.old, change.new, change.reason, change.lasted)


def progressed(progress: Progress) -> Progressed:
    """How far a load is."""
    return Progressed(progress.at, progress.model, progress.percent)


def failed(failure: Failure | None) -> Failed | None:
    """A failure, where there is one."""
    return None if failure is None else Failed(failure.code, failure.message, failure.hint)


def _record(catalog: Catalog, model: Model) -> Record:
    """What the scheduler knows of a model; of one that has just been taken out of the configuration, nothing."""
    record = catalog.scheduler.record(model.name)
    if record is None:
        spec = catalog.places.config.spec(model)
        record = Record(spec=spec, loaded=spec)
    return record


def _architecture(capabilities: Iterable[str]) -> Architecture:
    can = frozenset(capabilities)
    takes = {"text": can & _TEXT, "image": can & {"vision"}, "audio": can & _HEARS}
    gives = {
        "text": can & _WRITES,
        "embeddings": can & {"embeddings"},
        "rerank": can & {"rerank", "score"},
        "audio": can & {"speech"},
        "image": can & {"images"},
    }
    return Architecture(
        tuple(what for what, by in takes.items() if by), tuple(what for what, by in gives.items() if by)
    )
