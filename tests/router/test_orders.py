"""Orders that systemd cannot be told of. Systemd is played by the test."""

import asyncio
from pathlib import Path

import pytest

from swapper.config import Config, Model
from swapper.core.events import ActiveState, ConfigApplied, Event, UnitChanged, UnloadAsked
from swapper.core.model import Failure, ModelSpec, State
from swapper.core.scheduler import Scheduler
from swapper.host.status import JobResult, UnitRefused, UnitStatus
from swapper.router.orders import UnitOrders
from swapper.router.places import Places

UNIT = "llama@a.service"


class Systemd:
    """Is away, or refuses, for the first stops."""

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.stops = 0
        self.active = ActiveState.ACTIVE

    async def start(self, unit: str) -> JobResult:
        raise NotImplementedError(unit)

    async def stop(self, unit: str) -> JobResult:
        self.stops += 1
        if self.codes:
            raise UnitRefused(Failure(self.codes.pop(0), f"{unit}: no"))
        self.active = ActiveState.INACTIVE
        return JobResult.DONE

    async def status(self, unit: str) -> UnitStatus:
        return UnitStatus(unit, active=self.active, invocation="1f")


def unload(systemd: Systemd) -> State:
    """Have a model unloaded; the state that it ends in."""

    async def test() -> State:
        scheduler = Scheduler()
        places = Places(Config(), scheduler)
        places.apply(Config(models=(Model("a", "llama", Path("/a.gguf")),)))

        def dispatch(event: Event) -> None:
            scheduler.handle(event, asyncio.get_running_loop().time())

        orders = UnitOrders(systemd, places, scheduler, dispatch, lambda *_: None)
        dispatch(ConfigApplied((ModelSpec("a"),), ()))
        dispatch(UnitChanged("a", ActiveState.ACTIVE, "1f"))
        dispatch(UnloadAsked("a"))
        orders.stop("a")
        async with asyncio.timeout(10):
            while (others := asyncio.all_tasks() - {asyncio.current_task()}):
                await asyncio.wait(others)
        await orders.close()
        record = scheduler.record("a")
        assert record is not None
        return record.state

    return asyncio.run(test())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swapper.router.orders.AGAIN", 0.01)


def test_a_stop_that_could_not_be_told_is_told_again_until_it_is_done() -> None:
    systemd = Systemd("dbus_unavailable", "dbus_unavailable")
    assert unload(systemd) is State.STOPPED
    assert systemd.stops == 3


def test_a_stop_that_systemd_refuses_is_not_asked_for_again_at_once() -> None:
    systemd = Systemd("unit_refused")
    assert unload(systemd) is State.STOPPING
    assert systemd.stops == 1
