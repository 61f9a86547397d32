"""The router's end."""

import subprocess
import sys

ENDED = """
import asyncio
from swapper.router.__main__ import _end_when_idle
from swapper.router.service import Router

async def main() -> None:
    ending = asyncio.Event()
    ending.set()
    await _end_when_idle(Router([]), ending)

asyncio.run(main())
"""


def test_sigterm_just_when_the_router_looks_whether_it_is_idle_ends_it() -> None:
    # In a process of its own: what this is about is a loop that gives nobody a turn, a timeout of ours included.
    subprocess.run([sys.executable, "-c", ENDED], check=True, timeout=20)
