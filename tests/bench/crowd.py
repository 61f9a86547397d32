"""Very many at once: a thousand streams for a minute, and a hundred large uploads.

    tests/run --command python3 -m tests.bench.crowd [--streams 1000] [--seconds 60] [--uploads 100] [--mib 50]

Streams: the engine (tests/lab/steady_engine.py) writes into each event when it does so. The way through the router is
compared with the engine's own socket; what the router adds is the difference. Engine, router and reader share the cores
of the machine. Uploads: the body is spooled to disk before it goes to the engine; what the router holds meanwhile is
looked at every tenth of a second.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench import calm, figures
from tests.bench.installed import STEADY, Installed, installed
from tests.bench.memory import Held

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Peak:
    """What a process held.

    Attributes:
        before: RSS in bytes at first.
        most: The most that was seen.
        after: At the end.
    """

    before: int
    most: int
    after: int

    def text(self) -> str:
        """For people."""
        return f"{self.before / MIB:.1f} before, {self.most / MIB:.1f} at most, {self.after / MIB:.1f} after"


@contextmanager
def watched(pid: int) -> Iterator[list[Peak]]:
    """Watch what a process holds; the list has it in the end."""
    done, seen, result = threading.Event(), [Held.by(pid).rss], list[Peak]()

    def watch() -> None:
        while not done.wait(0.1):
            seen.append(Held.by(pid).rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield result
    finally:
        done.set()
        watcher.join()
        result.append(Peak(seen[0], max(seen), Held.by(pid).rss))


def listen(address: str, streams: int, tokens: int) -> dict[str, float]:
    """Have that many streams read, by a process of its own; what became of them (tests/bench/listeners.py)."""
    found: dict[str, float] = json.loads(_client("listeners", address, "--streams", streams, "--tokens", tokens))
    return found


def send(address: str, count: int, size: int) -> dict[str, int]:
    """Have that many bodies of `size` bytes sent at once, by a process of its own; how many got which status."""
    found: dict[str, int] = json.loads(_client("uploaders", address, "--count", count, "--size", size))
    return found


def _client(program: str, *arguments: object) -> str:
    """What a program of this folder prints."""
    command = [sys.executable, "-m", f"tests.bench.{program}", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _row(name: str, told: dict[str, float], cpu: float) -> list[str]:
    return [name, f"{told['whole']:.0f}", f"{told['broken']:.0f}", f"{told['rate']:.0f} /s",
            *(f"{told[part] * 1e3:.2f} ms" for part in ("p50", "p99", "most")),
            f"{cpu * 1e6:.0f} µs"]  # fmt: skip


def streams(router: Installed, count: int, seconds: float, rate: float) -> None:
    """Measure the streams, and print what was found."""
    tokens = round(seconds * rate)
    figures.heading(f"{count} streams of {rate:g} tokens/s for {seconds:g} s")
    listen(router.address, min(count, 50), 20)  # to warm up
    direct = listen(router.socket, count, tokens)
    spent = figures.cpu_of(router.pid)
    with watched(router.pid) as peak:
        through = listen(router.address, count, tokens)
    spent = figures.cpu_of(router.pid) - spent
    heads = ["", "whole", "broken", "tokens", "on their way: p50", "p99", "most", "processor time per token"]
    added = (f"{(through[part] - direct[part]) * 1e3:.2f} ms" for part in ("p50", "p99"))
    figures.table([heads, _row("direct", direct, 0.0), _row("router", through, spent / (count * tokens)),
                   ["added", "", "", "", *added]])  # fmt: skip
    print(f"  router, MiB: {peak[0].text()}", flush=True)


def uploads(router: Installed, count: int, size: int) -> None:
    """Send large bodies, all at once, and print what the router held."""
    figures.heading(f"{count} uploads of {size / MIB:.0f} MiB at once")
    begun = time.monotonic()
    with watched(router.pid) as peak:
        found = send(router.address, count, size)
    took = time.monotonic() - begun
    print(f"  answers by status: {found}; {took:.1f} s, {count * size / MIB / took:.0f} MiB/s", flush=True)
    print(f"  router, MiB: {peak[0].text()}", flush=True)


def main() -> None:
    """The command line."""
    parser = calm.parser(__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=20.0, help="tokens a second in each stream")
    parser.add_argument("--uploads", type=int, default=100)
    parser.add_argument("--mib", type=int, default=50, help="of each upload")
    options = parser.parse_args()
    with installed(STEADY, "--rate", str(options.rate)) as router, calm.calm(options.calm):
        if options.streams:
            streams(router, options.streams, options.seconds, options.rate)
        if options.uploads:
            uploads(router, options.uploads, options.mib * MIB)


if __name__ == "__main__":
    main()
