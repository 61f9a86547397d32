"""When the GPUs are looked at. What is seen there is played by the test."""

import asyncio
import logging

import pytest

from swapper.core.actions import Announce
from swapper.core.model import State
from swapper.core.reasons import LOADED, SPARED, UNLOADED, stopped
from swapper.host.gpus import Reading, Unreadable
from swapper.router import gpus
from swapper.router.gpus import Gpus

READING = Reading({}, {})


class World:
    """Answers looks, once it may."""

    def __init__(self, answer: Reading | Unreadable | None = READING) -> None:
        self.answer = answer
        self.looked = 0
        self.seen: list[Reading | None] = []
        self.may = asyncio.Event()
        self.may.set()
        self.again = asyncio.Event()
        self.gpus = Gpus(self.read, self._note)

    async def read(self) -> Reading | None:
        self.looked += 1
        await self.may.wait()
        if isinstance(self.answer, Unreadable):
            raise self.answer
        return self.answer

    def _note(self, reading: Reading | None, began: float) -> None:
        assert began <= asyncio.get_running_loop().time()
        self.seen.append(reading)
        self.again.set()


async def test_who_asks_at_the_same_time_or_soon_after_shares_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FRESH", 60.0)
    world = World()
    await asyncio.gather(*(world.gpus.look() for _ in range(5)))
    await world.gpus.look()
    assert (world.looked, world.seen) == (1, [READING])


async def test_a_look_that_takes_long_is_not_waited_for_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "PATIENCE", 0.01)
    world = World()
    world.may.clear()
    await world.gpus.look()
    await world.gpus.look()
    assert (world.looked, world.seen) == (1, [])
    world.may.set()
    await world.again.wait()
    assert world.seen == [READING]


async def test_old_news_are_looked_up_again_and_nothing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FRESH", 0.0)
    world = World()
    await world.gpus.look()
    await world.gpus.look()
    assert world.looked == 2
    world.answer = None
    await world.gpus.look()
    await world.gpus.look()
    assert (world.looked, world.seen[-1]) == (3, None)


async def test_a_load_and_a_stop_are_looked_at_without_anybody_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FRESH", 0.01)
    world = World()
    for change in (
        Announce("a", State.STARTING, State.READY, LOADED),
        Announce("a", State.STOPPING, State.STOPPED, stopped(UNLOADED)),
    ):
        world.again.clear()
        world.gpus.note(change)
        world.gpus.note(change)
        await world.again.wait()
    assert world.looked == 2
    world.gpus.note(Announce("a", State.DRAINING, State.READY, SPARED))
    world.gpus.note(Announce("a", State.READY, State.DRAINING, UNLOADED))
    assert world.gpus._again is None


async def test_a_change_during_a_look_is_looked_at_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FRESH", 0.01)
    monkeypatch.setattr(gpus, "PATIENCE", 0.05)
    world = World()
    world.may.clear()
    await world.gpus.look()
    world.gpus.note(Announce("a", State.STARTING, State.READY, LOADED))
    await world.gpus.look()
    assert world.looked == 1
    world.may.set()
    await world.again.wait()
    world.again.clear()
    await world.again.wait()
    assert world.looked == 2


async def test_a_complaint_is_made_once_until_it_is_another(caplog: pytest.LogCaptureFixture) -> None:
    world = World(Unreadable("no driver"))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await world.gpus._see()
        world.answer = READING
        await world.gpus._see()
        world.answer = Unreadable("no driver")
        await world.gpus._see()
    text = "what the GPUs have in use is not known: no driver"
    assert [record.getMessage() for record in caplog.records] == [text, text]
    assert world.seen == [None, None, READING, None]


async def test_the_end_ends_a_look() -> None:
    world = World()
    world.may.clear()
    looking = asyncio.create_task(world.gpus.look())
    await asyncio.sleep(0)
    world.gpus.note(Announce("a", State.STARTING, State.READY, LOADED))
    await world.gpus.close()
    await looking
    assert world.seen == []
