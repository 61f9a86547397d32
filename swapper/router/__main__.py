"""`python3 -m swapper.router`: the service behind swapper.socket.

Ends by itself after `router.idle_exit` with nothing to do, where systemd started it on demand: the next connection
starts it again. Started by hand, it listens on port 8000 of the loopback addresses.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from pathlib import Path

from swapper.host import activation, journal, notify
from swapper.host.status import UnitRefused
from swapper.router.service import BACKLOG, Router

PORT = 8000

MEMINFO = "meminfo"
"""What the unit calls /proc/meminfo (`OpenFile=`)."""

_LOG = logging.getLogger("swapper.router")


def main() -> int:
    """Run the router; the exit status is 1 when systemd cannot be reached."""
    parser = argparse.ArgumentParser(prog="swapper-router", description="The router of swapper.")
    parser.add_argument("config", nargs="*", type=Path, help="configuration files (default: /etc/swapper)")
    arguments = parser.parse_args()
    journal.install()
    try:
        asyncio.run(_run(arguments.config))
    except UnitRefused as refused:
        _LOG.critical("%s %s", refused.failure.message, refused.failure.hint)
        return 1
    return 0


async def _run(paths: list[Path]) -> None:
    handed = activation.handed(keep={MEMINFO})
    sockets = list(handed.sockets)
    activated = bool(sockets)
    if not activated:
        sockets = [
            socket.create_server(("127.0.0.1", PORT), backlog=BACKLOG),
            socket.create_server(("::1", PORT), family=socket.AF_INET6, backlog=BACKLOG),
        ]
    router = Router(paths, handed.files, handed.kept.get(MEMINFO))
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    reload_asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
    try:
        await router.start(sockets)
        async with asyncio.TaskGroup() as group:
            chores = [
                group.create_task(_reload(router, reload_asked)),
                group.create_task(_watchdog()),
                *([group.create_task(_end_when_idle(router, ending))] if activated else []),
            ]
            await ending.wait()
            for chore in chores:
                chore.cancel()
    finally:
        await router.stop()


async def _reload(router: Router, asked: asyncio.Event) -> None:
    while True:
        await asked.wait()
        asked.clear()
        await router.reload()


async def _watchdog() -> None:
    interval = notify.watchdog_interval()
    while interval is not None:
        notify.watchdog()
        await asyncio.sleep(interval)


async def _end_when_idle(router: Router, ending: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    since: float | None = None
    # Waiting for an event that is set gives nobody else a turn: this must not go on then, or SIGTERM is never heeded.
    while not ending.is_set():
        limit = router.idle_exit
        if limit is None or not router.idle:
            since = None
        elif since is None:
            since = loop.time()
        elif loop.time() - since >= limit:
            _LOG.info("nothing to do for %g s: the next connection starts the router again", limit)
            ending.set()
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), min(limit or 5.0, 5.0) / 4)


if __name__ == "__main__":
    sys.exit(main())
