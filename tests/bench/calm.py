"""Measuring as on a quiet machine, on one that is not: this machine's processes come before all others of the host.

They get a real-time class (sched(7)), PID 1 too, from which all services inherit it. What else runs on the host has to
wait meanwhile, so measurements should be short. Medians are then steady to a few per cent; without it, they are as good
as the host is quiet.
"""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A command line that starts with what all benchmarks have."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--calm", action="store_true", help="before all else on the host: it has to wait meanwhile")
    return made


@contextlib.contextmanager
def calm(wanted: bool) -> Iterator[None]:
    """Come before others for a while, if that is wanted."""
    if not wanted:
        yield
        return
    _schedule(os.SCHED_RR, 1)
    try:
        yield
    finally:
        _schedule(os.SCHED_OTHER, 0)


def _schedule(policy: int, priority: int) -> None:
    for thread in Path("/proc").glob("[0-9]*/task/[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))
