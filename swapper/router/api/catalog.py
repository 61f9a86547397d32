"""What the router's own answers are made from; known before anybody asks, hence light: `api.cards` makes them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from swapper.config import Model
from swapper.core.scheduler import Scheduler
from swapper.host.status import UnitStatus
from swapper.router.feed import Feed
from swapper.router.measured import Measured
from swapper.router.places import Places


@dataclass(frozen=True, slots=True)
class Learned:
    """What an engine was asked, and said.

    Attributes:
        invocation: The run of it that was asked.
        fingerprint: The definition of its unit: another definition may have another answer.
        context: Tokens of context; None where it did not say.
    """

    invocation: str
    fingerprint: str
    context: int | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """Looks at everything and changes nothing.

    Attributes:
        places: The models as configured.
        scheduler: What they do.
        feed: Since when.
        statuses: What systemd said last of each unit.
        created: Seconds since the epoch, for a field that OpenAI's clients require.
        measured: What they have of the GPUs.
        learned: What engines said when they were asked last.
    """

    places: Places
    scheduler: Scheduler
    feed: Feed
    statuses: Mapping[str, UnitStatus]
    created: int
    measured: Measured
    learned: dict[str, Learned] = field(default_factory=dict)

    def context(self, model: Model) -> int | None:
        """Tokens that a model can keep in mind: as configured, or as its engine said when it ran last."""
        if model.context is not None:
            return model.context
        learned, record = self.learned.get(model.name), self.scheduler.record(model.name)
        if learned is None or record is None or learned.fingerprint != record.spec.fingerprint:
            return None
        return learned.context


def started_now() -> int:
    """The value for `Catalog.created`."""
    return int(time.time())
