"""What the way through the router costs, beside a plain aiohttp handler and the engine by itself.

    python3 -m tests.bench.proxy           # the router's data path by itself, with leases that cost nothing
    tests/run --command python3 -m tests.bench.proxy --installed
                                           # and the installed router beside it, leases, unit, journal and all

Two cores are shared like this: the proxy has the first for itself, engine and load share the second; a direct run gives
the engine the first. All are measured in turns, several times. Engine and load together must cost less per request than
the proxy, or they are what is measured: `direct` shows by how much they do. Processor time per request is the proxy's
own (the engine's in a direct run), and the figure that other work on the machine disturbs least.
"""

import argparse
import json
import os
import socket as sockets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench import calm, installed
from tests.bench.figures import Series, heading, table

SCENES = [(streams, connections) for streams in (False, True) for connections in (1, 8)]


@dataclass(frozen=True, slots=True)
class Target:
    """Something to load: a name, an address, the process whose time counts, and the core of the load."""

    name: str
    address: str
    pid: int
    core: int


def _command(module: str, *arguments: object, core: int) -> list[str]:
    pinned = ["--core", str(core)] if (os.cpu_count() or 1) > 1 else []
    return [sys.executable, "-m", module, *map(str, arguments), *pinned]


def _listens(address: str) -> bool:
    family = sockets.AF_UNIX if "/" in address else sockets.AF_INET
    host, _, port = address.rpartition(":")
    with sockets.socket(family, sockets.SOCK_STREAM) as probe:
        return probe.connect_ex(address if "/" in address else (host, int(port))) == 0


@contextmanager
def _server(command: Sequence[str], address: str, *, core: int | None = None) -> Iterator[int]:
    """Run a server until the end; gives its process id when it listens."""
    with subprocess.Popen(command) as process:
        try:
            if core is not None and (os.cpu_count() or 1) > 1:
                os.sched_setaffinity(process.pid, {core})
            end = time.monotonic() + 20
            while not _listens(address):
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"{' '.join(command)} does not listen")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()


def _measure(target: Target, scene: tuple[bool, int], model: str, seconds: float) -> tuple[float, float, float]:
    streams, connections = scene
    command = _command("tests.bench.load", target.address, "--model", model, "--connections", connections, "--seconds",
                       seconds, "--pid", target.pid, *(["--streams"] if streams else []), core=target.core)  # fmt: skip
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    p50, rate, cpu = json.loads(output)
    return p50, rate, cpu


def _targets(stack: ExitStack, options: argparse.Namespace) -> list[Target]:
    """Start what is to be measured."""
    port, directory = options.port, tempfile.mkdtemp()
    targets = []
    if options.installed:
        router = stack.enter_context(installed.installed())
        path = router.socket
        targets += [Target("direct", path, 0, 1), Target("installed", router.address, router.pid, 1)]
    else:
        path = f"{directory}/http.sock"
        engine = [sys.executable, "tests/lab/fast_engine.py"]
        stack.enter_context(_server([*engine, path], path, core=1))
        alone = f"127.0.0.1:{port}"
        pid = stack.enter_context(_server([*engine, alone], alone, core=0))
        targets.append(Target("direct", alone, pid, 1))
    for offset, name in enumerate(["ours", "naive"], 1):
        address = f"127.0.0.1:{port + offset}"
        command = _command("tests.bench.proxies", name, port + offset, path, core=0)
        targets.append(Target(name, address, stack.enter_context(_server(command, address)), 1))
    return targets


def _row(target: Target, figures: Sequence[tuple[float, float, float]], naive: Series) -> list[str]:
    p50, rate, cpu = (Series.of(values) for values in zip(*figures, strict=True))
    return [target.name, f"{p50.text(1e3, 2)} ms", f"{rate.text(1, 0)} /s", f"{(rate / naive).text(1, 2)} x naive",
            f"{cpu.text(1e6, 0)} µs" if target.pid else "-"]  # fmt: skip


def main() -> None:
    """The command line."""
    parser = calm.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=18100, help="the first of three that are free")
    parser.add_argument("--installed", action="store_true", help="the installed router, too; in the machine")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.installed:
            stack.enter_context(calm.calm(options.calm))
        elif options.calm:
            # Everything that is measured is a child of this process.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        targets = _targets(stack, options)
        for scene in SCENES:
            streams, connections = scene
            figures = [[_measure(each, scene, installed.NAME, options.seconds) for each in targets]
                       for _ in range(options.rounds)]  # fmt: skip
            columns = list(zip(*figures, strict=True))
            naive = Series.of(rate for _, rate, _ in columns[-1])
            what = "streams of 128 chunks" if streams else "answers of one token"
            heading(f"{what}, {connections} connection{'s' * (connections > 1)}")
            rows = [_row(target, column, naive) for target, column in zip(targets, columns, strict=True)]
            table([["", "median latency", "requests", "ratio", "processor time per request"], *rows])


if __name__ == "__main__":
    main()
