"""Why a model failed, in the engine's own words: the last lines of its unit's journal go with the error."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from swapper.core.model import Failure
from swapper.core.scheduler import Scheduler
from swapper.router.errors import ApiError, from_failure
from swapper.router.places import Places

LINES = 12
"""Lines of the journal that go with an error."""

_FROM_THE_ENGINE = frozenset({"model_failed", "model_load_timeout", "model_stopped"})

type Tail = Callable[[str, str, int], Sequence[str]]
"""The last lines of a unit's invocation; may block."""


class Explainer:
    """Makes errors of failures."""

    def __init__(self, places: Places, scheduler: Scheduler, tail: Tail) -> None:
        self._places = places
        self._scheduler = scheduler
        self._tail = tail

    async def __call__(self, failure: Failure, model: str) -> ApiError:
        """The error for a client that wanted this model."""
        error = from_failure(failure)
        record = self._scheduler.record(model)
        if failure.code not in _FROM_THE_ENGINE or record is None or not record.invocation:
            return error
        unit = self._places.of(model).unit
        lines = await asyncio.to_thread(self._tail, unit, record.invocation, LINES)
        return replace(error, journal=tuple(lines)) if lines else error
