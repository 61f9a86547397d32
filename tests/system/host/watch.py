"""Units under observation. Whoever imports this is skipped where there is no systemd to observe."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from swapper.core.events import ActiveState
from swapper.core.model import Failure
from swapper.host.status import UnitRefused, UnitStatus

if not Path("/run/systemd/system").is_dir() or os.geteuid() != 0:
    pytest.skip("needs root in a machine that systemd booted", allow_module_level=True)

from swapper.host.units import Units

__all__ = ["ACTIVATING", "ACTIVE", "DEACTIVATING", "FAILED", "INACTIVE", "PATIENCE"]
__all__ += ["Units", "Watch", "command", "refusal", "run", "watching"]

PATIENCE = 30.0
"""Seconds after which an event that has not come will not come."""

ACTIVATING, ACTIVE = ActiveState.ACTIVATING, ActiveState.ACTIVE
DEACTIVATING, INACTIVE, FAILED = ActiveState.DEACTIVATING, ActiveState.INACTIVE, ActiveState.FAILED


class Watch:
    """Units, and what was heard of them, in order."""

    def __init__(self) -> None:
        self.heard: list[UnitStatus] = []
        self.orders: list[tuple[str, bool]] = []
        self.reloads = 0
        self._changed = asyncio.Event()
        self.units: Units

    def on_change(self, status: UnitStatus) -> None:
        self.heard.append(status)
        self._changed.set()

    def on_reload(self) -> None:
        self.reloads += 1
        self._changed.set()

    def on_order(self, target: str, begins: bool) -> None:
        self.orders.append((target, begins))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was heard fulfils a condition."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def states(self, unit: str) -> list[ActiveState]:
        """The states that a unit went through, each once."""
        states = [status.active for status in self.heard if status.unit == unit]
        return [state for before, state in zip([None, *states], states, strict=False) if state != before]

    def last(self, unit: str) -> UnitStatus:
        return next(status for status in reversed(self.heard) if status.unit == unit)


@asynccontextmanager
async def watching() -> AsyncGenerator[Watch]:
    watch = Watch()
    watch.units = await Units.connect(watch.on_change, watch.on_reload, on_order=watch.on_order)
    try:
        yield watch
    finally:
        await watch.units.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}


def run[T](test: Coroutine[object, object, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(4 * PATIENCE):
            return await test

    return asyncio.run(limited())


async def command(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(*arguments)
    assert await process.wait() == 0


async def refusal(request: Coroutine[object, object, object]) -> Failure:
    with pytest.raises(UnitRefused) as refused:
        await request
    return refused.value.failure
