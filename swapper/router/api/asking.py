"""Asks engines that run what only they know: how much context their model has where nobody configured it.

Each run of an engine is asked once, when somebody looks, past the scheduler: it is no use of the model, loads nothing,
and keeps nothing from being stopped. An engine that does not answer is asked again at the next look, after a pause.
"""

import asyncio
import time
from functools import partial

import aiohttp

from swapper.config import Model
from swapper.core.model import State
from swapper.core.record import Record
from swapper.engines import ENGINES
from swapper.engines.base import Told
from swapper.router.api.catalog import Catalog, Learned

PATIENCE = 1.0
"""Seconds that an engine may take: a look at the models must not wait for one that is hung."""

PAUSE = 10.0
"""Seconds for which an engine that did not answer is left alone."""


class Asking:
    """Learns for a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._silent: dict[str, float] = {}
        self._asked: dict[str, asyncio.Task[None]] = {}

    async def learn(self) -> None:
        """Ask all that are ready and have not been asked; those who look at the same time share the question."""
        for model in self._catalog.places.config.models:
            record = self._catalog.scheduler.record(model.name)
            told = ENGINES[model.engine].context
            if told is None or record is None or model.name in self._asked:
                continue
            if self._unknown(model, record):
                task = asyncio.create_task(self._ask(model, record, told), name=f"ask {model.name}")
                task.add_done_callback(partial(self._answered, model.name))
                self._asked[model.name] = task
        if self._asked:
            await asyncio.wait(tuple(self._asked.values()))

    async def close(self, _: object = None) -> None:
        """Ask no more."""
        for task in tuple(self._asked.values()):
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    def _answered(self, name: str, _: asyncio.Task[None]) -> None:
        self._asked.pop(name, None)

    def _unknown(self, model: Model, record: Record) -> bool:
        if model.context is not None or record.state is not State.READY:
            return False
        learned = self._catalog.learned.get(model.name)
        known = learned is not None and learned.invocation == record.invocation
        return not known and self._silent.get(model.name, 0.0) <= time.monotonic()

    async def _ask(self, model: Model, record: Record, told: Told) -> None:
        invocation, fingerprint = record.invocation, record.loaded.fingerprint
        connector = aiohttp.UnixConnector(self._catalog.places.socket(model.name))
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        try:
            async with (
                aiohttp.ClientSession("http://engine", connector=connector, timeout=timeout) as session,
                session.get(told.path) as response,
            ):
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self._silent[model.name] = time.monotonic() + PAUSE
            return
        self._catalog.learned[model.name] = Learned(invocation, fingerprint, _number(answer, told.keys))


def _number(answer: object, keys: tuple[str | int, ...]) -> int | None:
    """The number that stands there, if one does."""
    value = answer
    for key in keys:
        if isinstance(value, dict) or (isinstance(value, list) and isinstance(key, int) and key < len(value)):
            value = value.get(key) if isinstance(value, dict) else value[key]  # type: ignore[index]
        else:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
