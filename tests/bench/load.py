"""Load on an HTTP server, from a process of its own: each connection sends its next request when an answer is complete.

It parses no more of an answer than where it ends, so that it is faster than what it measures.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST = b"\r\n0\r\n\r\n"


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, until: float, times: list[float], over: Callable[[], None]) -> None:
        self._request = request
        self._until = until
        self._times = times
        self._over = over
        self._data = b""
        self._need = 0  # bytes of the whole answer; 0: not known yet; negative: it comes in chunks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._need < 0:
            self._data = self._data[-len(_LAST) :] + data if len(data) < len(_LAST) else data
        else:
            self._data += data
        if self._need == 0:
            end = self._data.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            if not self._data.startswith(b"HTTP/1.1 200"):
                sys.exit(f"the answer is an error: {self._data!r}")
            length = _LENGTH.search(self._data, 0, end)
            self._need = end + int(length[1]) if length else -1
        if len(self._data) < self._need or (self._need < 0 and not self._data.endswith(_LAST)):
            return
        self._data, self._need = b"", 0
        now = time.perf_counter()
        self._times.append(now - self._sent)
        if now < self._until:
            self._send()
        else:
            self._transport.close()
            self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._until:
            sys.exit(f"the connection was lost: {exc}")


def question(model: str, *, streams: bool) -> bytes:
    """A request of the size that clients of this API send, head and body."""
    body = json.dumps({
        "model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 128 if streams else 1,
        "stream": streams,
    }).encode()  # fmt: skip
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        b"Authorization: Bearer none\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def processor_time(pid: int) -> float:
    """Seconds that the main thread of a process has had on a processor, 0 when there is no such process."""
    if pid == 0:
        return 0.0
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


async def load(address: str, request: bytes, connections: int, seconds: float) -> tuple[list[float], float]:
    """Load a server for some time; returns the time of each request, and that of all, in seconds."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    left = connections
    over = asyncio.Event()

    def one_over() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            over.set()

    begin = time.perf_counter()

    def caller() -> Caller:
        return Caller(request, begin + seconds, times, one_over)

    for _ in range(connections):
        if "/" in address:
            await loop.create_unix_connection(caller, address)
        else:
            host, _, port = address.rpartition(":")
            await loop.create_connection(caller, host, int(port))
    await over.wait()
    return times, time.perf_counter() - begin


async def _main(options: argparse.Namespace) -> None:
    request = question(options.model, streams=options.streams)
    await load(options.address, request, options.connections, min(0.3, options.seconds))  # to warm up
    before = processor_time(options.pid)
    times, spent = await load(options.address, request, options.connections, options.seconds)
    cpu = (processor_time(options.pid) - before) / len(times)
    print(json.dumps([statistics.median(times), len(times) / spent, cpu]))


def main() -> None:
    """The command line; prints median latency, requests a second, and processor seconds of `--pid` per request."""
    parser = argparse.ArgumentParser(description="Load on an HTTP server.")
    parser.add_argument("address", help="a socket's path, or HOST:PORT")
    parser.add_argument("--model", default="a")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--streams", action="store_true")
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--core", type=int, default=-1)
    options = parser.parse_args()
    if options.core >= 0:
        os.sched_setaffinity(0, {options.core})
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
