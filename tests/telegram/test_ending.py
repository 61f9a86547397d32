"""Tasks end, even those that do not hear of it the first time."""

import asyncio

import pytest

from swapper.telegram.ending import end, firmly


async def deaf(heard: list[int], times: int) -> None:
    """Takes so many cancellations for something else, as libraries do."""
    while len(heard) < times:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            heard.append(1)
    await asyncio.sleep(3600)


def test_a_task_that_loses_a_cancellation_ends() -> None:
    async def story() -> None:
        heard = list[int]()
        works = (deaf(heard, 1), asyncio.sleep(0), fails())
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.sleep(0)
        await end(tasks)
        assert heard == [1]
        assert tasks[0].cancelled()
        assert str(tasks[2].exception()) == "it failed"

    async def fails() -> None:
        raise ValueError("it failed")

    asyncio.run(story())


def test_who_waits_firmly_and_is_cancelled_takes_the_work_along() -> None:
    async def story() -> None:
        heard = list[int]()
        waiting = asyncio.create_task(firmly(deaf(heard, 1)))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert heard == [1]
        assert len(asyncio.all_tasks()) == 1, "nothing is left"

    asyncio.run(story())


def test_what_the_work_brings_is_handed_on() -> None:
    async def fails() -> None:
        raise ValueError("it failed")

    assert asyncio.run(firmly(asyncio.sleep(0, 7))) == 7
    with pytest.raises(ValueError, match="it failed"):
        asyncio.run(firmly(fails()))
