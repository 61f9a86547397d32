"""What the router shows of its models, as JSON values: one place for every listing.

`listed` is OpenAI's model object with further fields ("Models" in its API reference); `detailed` is for operators.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from swapper.config import Model
from swapper.core.model import Failure, State
from swapper.core.record import Record
from swapper.core.scheduler import Scheduler
from swapper.host.status import UnitStatus
from swapper.router.feed import Change, Feed
from swapper.router.places import Places

type Json = str | int | float | bool | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """Looks at everything and changes nothing.

    Attributes:
        places: The models as configured.
        scheduler: What they do.
        feed: Since when.
        statuses: What systemd said last of each unit.
        created: Seconds since the epoch, for a field that OpenAI's clients require.
    """

    places: Places
    scheduler: Scheduler
    feed: Feed
    statuses: Mapping[str, UnitStatus]
    created: int

    def models(self) -> list[Json]:
        """All models, as `/v1/models` lists them."""
        return [self.listed(model) for model in self.places.config.models]

    def listed(self, model: Model) -> dict[str, Json]:
        """One model, as OpenAI's clients read it."""
        record = self.scheduler.record(model.name)
        return {
            "id": model.name,
            "object": "model",
            "created": self.created,
            "owned_by": "swapper",
            "aliases": [*model.aliases],
            "state": record.state if record else State.STOPPED,
            "engine": model.engine,
            "capabilities": [*sorted(model.capabilities)],
            "context_length": model.context,
        }

    def detailed(self, model: Model) -> dict[str, Json]:
        """One model, as an operator wants to see it."""
        record = self.scheduler.record(model.name) or _unknown(self, model)
        status = self.statuses.get(model.unit)
        since = self.feed.since(model.name)
        return {
            **self.listed(model),
            "reason": record.reason,
            "since": since,
            "unit": model.unit,
            "invocation": record.invocation,
            "status": status.status_text if status is not None and record.state.resident else "",
            "gpus": [demand.gpu for demand in record.spec.demands],
            "leases": len(record.leases),
            "waiting": len(record.waiting),
            "pinned": model.pinned,
            "ttl": model.ttl,
            "load_seconds": self.feed.load_seconds(model.name),
            "failure": failure_fields(record.failure),
            "configured_at": str(model.where),
        }

    def running(self) -> list[Json]:
        """Residents, in the shape that the closest peer's `/running` has."""
        return [
            {"model": record.name, "state": record.state, "unit": self.places.of(record.name).unit}
            for record in self.scheduler.records()
            if record.state.resident
        ]

    def gpus(self) -> list[Json]:
        """The GPUs and who is resident on them."""
        known = {gpu.index: gpu.policy for gpu in self.scheduler.gpus}
        holders: dict[int, list[Json]] = {index: [] for index in known}
        for record in self.scheduler.records():
            for demand in record.holds:
                holders.setdefault(demand.gpu, []).append({"model": record.name, "share": demand.parts / 1_000_000})
        return [
            {"gpu": index, "policy": known.get(index, "exclusive"), "residents": residents}
            for index, residents in sorted(holders.items())
        ]

    def metrics(self) -> str:
        """Gauges in Prometheus' text format (its "Exposition formats")."""
        lines = ["# HELP swapper_model_state 1 for the state that a model is in.", "# TYPE swapper_model_state gauge"]
        lines += [
            f'swapper_model_state{{model="{_label(record.name)}",state="{state}"}} {int(record.state is state)}'
            for record in self.scheduler.records()
            for state in State
        ]
        records = tuple(self.scheduler.records())
        for name, text, counts in (
            ("leases", "Requests that hold a lease.", [len(record.leases) for record in records]),
            ("waiting", "Requests that wait for a lease.", [len(record.waiting) for record in records]),
        ):
            lines += [f"# HELP swapper_model_{name} {text}", f"# TYPE swapper_model_{name} gauge"]
            lines += [
                f'swapper_model_{name}{{model="{_label(record.name)}"}} {count}'
                for record, count in zip(records, counts, strict=True)
            ]
        return "\n".join(lines) + "\n"


def change_fields(change: Change) -> dict[str, Json]:
    """A change of state as JSON."""
    return {
        "at": change.at,
        "model": change.model,
        "old": change.old,
        "new": change.new,
        "reason": change.reason,
        "lasted": change.lasted,
    }


def failure_fields(failure: Failure | None) -> Json:
    """A failure as JSON; null where there is none."""
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "hint": failure.hint}


def _unknown(catalog: Catalog, model: Model) -> Record:
    spec = catalog.places.config.spec(model)
    return Record(spec=spec, loaded=spec)


def _label(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def started_now() -> int:
    """The value for `Catalog.created`."""
    return int(time.time())
