"""Load on an HTTP server, from a process of its own: each connection sends its next request when an answer is complete.

It parses no more of an answer than where it ends, and waits with epoll instead of an event loop, so that it is faster
than what it measures.
"""

import argparse
import json
import os
import re
import select
import socket
import statistics
import sys
import time
from pathlib import Path

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST = b"\r\n0\r\n\r\n"


class Caller:
    """One connection."""

    def __init__(self, address: str, request: bytes) -> None:
        if "/" in address:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address)
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host, int(port)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._data = b""
        self._need = 0  # bytes of the whole answer; 0: not known yet; negative: it comes in chunks
        self._sent = 0.0

    def ask(self) -> None:
        """Send the next request."""
        self._sent = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> float:
        """Take what has come; returns how long the answer took if it is complete, else 0."""
        data = self.socket.recv(1 << 18)
        if not data:
            sys.exit("the connection was closed")
        self._data = self._data[-len(_LAST) :] + data if self._need < 0 else self._data + data
        if self._need == 0:
            end = self._data.find(b"\r\n\r\n") + 4
            if end < 4:
                return 0.0
            if not self._data.startswith(b"HTTP/1.1 200"):
                sys.exit(f"the answer is an error: {self._data!r}")
            length = _LENGTH.search(self._data, 0, end)
            self._need = end + int(length[1]) if length else -1
        if len(self._data) < self._need or (self._need < 0 and not self._data.endswith(_LAST)):
            return 0.0
        self._data, self._need = b"", 0
        return time.perf_counter() - self._sent


def question(model: str, *, streams: bool) -> bytes:
    """A request of the size that clients of this API send, head and body."""
    body = json.dumps({
        "model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 128 if streams else 1,
        "stream": streams,
    }).encode()  # fmt: skip
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        b"Authorization: Bearer none\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def processor_time(pid: int) -> float:
    """Seconds that the main thread of a process has had on a processor, 0 when there is no such process."""
    if pid == 0:
        return 0.0
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def load(address: str, request: bytes, connections: int, seconds: float) -> tuple[list[float], float]:
    """Load a server for some time; returns the time of each request, and that of all, in seconds."""
    times: list[float] = []
    callers = {caller.socket.fileno(): caller for caller in (Caller(address, request) for _ in range(connections))}
    poll = select.epoll()
    begin = time.perf_counter()
    for number, caller in callers.items():
        poll.register(number, select.EPOLLIN)
        caller.ask()
    while callers:
        for number, _ in poll.poll():
            caller = callers[number]
            took = caller.read()
            if not took:
                continue
            times.append(took)
            if time.perf_counter() - begin < seconds:
                caller.ask()
            else:
                poll.unregister(number)
                callers.pop(number).socket.close()
    return times, time.perf_counter() - begin


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
    request = question(options.model, streams=options.streams)
    load(options.address, request, options.connections, min(0.3, options.seconds))  # to warm up
    before = processor_time(options.pid)
    times, spent = load(options.address, request, options.connections, options.seconds)
    cpu = (processor_time(options.pid) - before) / len(times)
    print(json.dumps([statistics.median(times), len(times) / spent, cpu]))


if __name__ == "__main__":
    main()
