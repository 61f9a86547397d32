"""Why a model failed, in systemd's and the engine's own words: the last lines of its journal go with the error."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from swapper.core.model import Failure, State
from swapper.core.scheduler import Scheduler
from swapper.router.errors import ApiError, from_failure
from swapper.router.feed import Feed
from swapper.router.places import Places

LINES = 12
"""Lines of the journal that go with an error."""

PATIENCE = 1.0
"""Seconds to wait for systemd's word on an engine whose connection broke: sockets close before processes are reaped."""

_FROM_THE_ENGINE = frozenset({"model_failed", "model_load_timeout", "model_stopped"})
_CONNECTION = frozenset({"engine_broke_off", "engine_unreachable"})

_LOG = logging.getLogger(__name__)

type Tail = Callable[[str, str, int], Sequence[str]]
"""The last lines of a unit's invocation; may block."""


class Explainer:
    """Makes errors of failures."""

    def __init__(self, places: Places, scheduler: Scheduler, feed: Feed, tail: Tail) -> None:
        self._places = places
        self._scheduler = scheduler
        self._feed = feed
        self._tail = tail

    async def __call__(self, failure: Failure, model: str) -> ApiError:
        """The error for a client that wanted this model."""
        if failure.code in _CONNECTION:
            failure = await self._what_became_of(model) or failure
        error = from_failure(failure)
        record = self._scheduler.record(model)
        if failure.code not in _FROM_THE_ENGINE or record is None or not record.invocation:
            return error
        unit = self._places.of(model).unit
        try:
            lines = await asyncio.to_thread(self._tail, unit, record.invocation, LINES)
        except OSError as unreadable:
            # What happened is known; a journal that is damaged, or on a disk that is, only cannot illustrate it.
            _LOG.warning("the journal of %s cannot be read: %s", unit, unreadable, extra={"MODEL": model})
            return error
        return replace(error, journal=tuple(lines)) if lines else error

    async def _what_became_of(self, model: str) -> Failure | None:
        """Why the unit went away, if it does."""
        record = self._scheduler.record(model)
        if record is None:
            return None
        with self._feed.subscribe() as changes, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while record.state in {State.READY, State.DRAINING} and await anext(changes, None) is not None:
                    pass
        return record.failure
