"""Ends tasks for certain.

A task that is cancelled while httpx opens a connection may never hear of it (seen with httpx 0.28 on Python 3.14: one
cancellation of eighty in that moment; not on 3.13). It goes on, and a service that waits for its end is killed at last.
So whoever waits for the end of a task that talks to Telegram cancels it until it has come.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

AGAIN = 0.5
"""Seconds until a task that goes on is cancelled once more."""


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have ended; how they did is not told."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=AGAIN)


async def firmly[T](work: Coroutine[Any, Any, T]) -> T:
    """What some work brings. Whoever is cancelled while waiting for it ends it."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
        return task.result()
    finally:
        await end([task])
