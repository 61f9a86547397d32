"""Very many clients that read a stream each, in one process: how long the events of the steady engine are on their way.

    python3 -m tests.bench.listeners ADDRESS --streams 1000 --tokens 1200      # a path, or HOST:PORT

Prints what it found as JSON: streams that were whole and that were not, events a second, and the time on the way in
seconds: median, 99th percentile and the longest.
"""

import argparse
import json
import re
import resource
import select
import socket
import time
from array import array

LAST = b"\r\n0\r\n\r\n"
"""The last chunk, after the one before it."""

CONTENT = re.compile(rb'"content":"(\d+)"')


class Listener:
    """A stream that is read."""

    __slots__ = ("heard", "socket", "tail")

    def __init__(self, address: str, request: bytes) -> None:
        if "/" in address:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address)
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host, int(port)))
        self.socket.sendall(request)
        self.heard = 0
        self.tail = b""

    def read(self, times: array[int]) -> bool:
        """Take what has come; whether more will."""
        data = self.socket.recv(1 << 16)
        now = time.monotonic_ns()
        # An event that is cut in two is counted with its second half.
        data = self.tail + data
        end = data.rfind(b"\n\n")
        whole, self.tail = data[: end + 2], data[end + 2 :]
        for match in CONTENT.finditer(whole):
            times.append(now - int(match[1]))
            self.heard += 1
        return bool(data) and not self.tail.endswith(LAST)


def question(model: str, tokens: int) -> bytes:
    """A request for a stream of so many tokens."""
    body = json.dumps({"model": model, "messages": [], "max_tokens": tokens, "stream": True}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def listen(address: str, request: bytes, streams: int, tokens: int) -> dict[str, float]:
    """Read all streams to their end."""
    times = array("q")
    broken = 0
    poll = select.epoll()
    listeners: dict[int, Listener] = {}
    begun = time.perf_counter()
    for _ in range(streams):
        listener = Listener(address, request)
        listeners[listener.socket.fileno()] = listener
        poll.register(listener.socket, select.EPOLLIN)
    while listeners:
        for number, _ in poll.poll():
            listener = listeners[number]
            try:
                more = listener.read(times)
            except ConnectionError:
                more = False
            if more:
                continue
            broken += listener.heard != tokens or not listener.tail.endswith(LAST)
            poll.unregister(number)
            listeners.pop(number).socket.close()
    spent = time.perf_counter() - begun
    ordered = sorted(times)
    return {
        "whole": streams - broken,
        "broken": broken,
        "rate": len(times) / spent,
        "p50": ordered[len(ordered) // 2] / 1e9,
        "p99": ordered[len(ordered) * 99 // 100] / 1e9,
        "most": ordered[-1] / 1e9,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Clients that read streams.")
    parser.add_argument("address", help="a path, or HOST:PORT")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=1200)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(json.dumps(listen(options.address, question(options.model, options.tokens), options.streams, options.tokens)))


if __name__ == "__main__":
    main()
