"""Stands in for an engine that speaks to a thousand clients at once, which no model on two cores does.

Every stream gets `--rate` events a second, at an even pace of its own, as many as its `max_tokens` says. The content of
each is when it was written, in nanoseconds of CLOCK_MONOTONIC, which all processes of a host share; so whoever reads it
knows how long it was on its way. A GET (such as ``/health``) gets 200.

    python3 tests/lab/steady_engine.py [--rate 20] SOCKET
"""

import argparse
import asyncio
import itertools
import re
import resource
import signal
import time
from typing import cast

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TOKENS = re.compile(rb'"max_tokens": *(\d+)')
KEPT = 64 * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":0,"model":"steady","choices":[{"index":0,'
    b'"delta":{"content":"%d"},"finish_reason":null}]}\n\n'
)
LAST = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Pace:
    """Lets streams take turns: each speaks once in a period, and all of them evenly spread over it."""

    def __init__(self, rate: float, turns: int = 50) -> None:
        """Each stream speaks `rate` times a second."""
        self._turns: list[set[Connection]] = [set() for _ in range(turns)]
        self._step = 1 / rate / turns
        self._places = itertools.cycle(range(turns))

    def join(self, stream: "Connection") -> None:
        """Let it speak from now on."""
        self._turns[next(self._places)].add(stream)

    def leave(self, stream: "Connection") -> None:
        """Let it speak no more."""
        for turn in self._turns:
            turn.discard(stream)

    async def run(self) -> None:
        """Go round without end."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for turn in itertools.cycle(self._turns):
            due += self._step
            await asyncio.sleep(due - loop.time())
            for stream in tuple(turn):
                stream.speak()


class Connection(asyncio.Protocol):
    """One keep-alive connection: each request is answered as soon as its last byte is there."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._request = b""
        self._coming = 0
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Ends its stream."""
        self._pace.leave(self)

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete; of a long body no more is kept than its beginning."""
        while data:
            if not self._coming:
                self._request += data
                end = self._request.find(b"\r\n\r\n") + 4
                if end < 4:
                    return
                length = LENGTH.search(self._request, 0, end)
                self._coming = end + (int(length[1]) if length else 0)
                data, self._request = self._request, b""
            part, data = data[: self._coming], data[self._coming :]
            self._coming -= len(part)
            self._request += part[: max(0, KEPT - len(self._request))]
            if not self._coming:
                self._answer()

    def _answer(self) -> None:
        tokens, self._request = TOKENS.search(self._request), b""
        self._transport.write(HEAD if tokens else OK)
        if tokens:
            self._left = int(tokens[1])
            self._pace.join(self)

    def speak(self) -> None:
        """Write the next event of the stream, or its end."""
        if self._left:
            self._left -= 1
            event = EVENT % time.monotonic_ns()
            self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        else:
            self._pace.leave(self)
            self._transport.write(LAST)


async def serve(path: str, rate: float) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    pace = Pace(rate)
    turns = loop.create_task(pace.run())
    await loop.create_unix_server(lambda: Connection(pace), path, backlog=4096)
    await stop.wait()
    turns.cancel()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="An engine that speaks to many at an even pace.")
    parser.add_argument("socket", help="a path")
    parser.add_argument("--rate", type=float, default=20.0, help="events a second in each stream")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(options.socket, options.rate))


if __name__ == "__main__":
    main()
