"""Stands in for an engine that costs nothing, so that a benchmark measures what is in front of it.

An asyncio protocol that looks for no more than the end of a request: a chat gets one token in a body with a
``Content-Length``, a body with ``"stream": true`` gets an SSE stream of 128 chunks, a GET (such as ``/health``) gets
200.  Any model name will do.  With uvloop, where it is installed, it is faster.

    python3 tests/lab/fast_engine.py ADDRESS…      # a path is a unix socket, HOST:PORT is TCP
"""

import argparse
import asyncio
import importlib
import json
import re
import signal
from collections.abc import Callable
from typing import cast

CHUNKS = 128
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STREAMS = re.compile(rb'"stream": *true')


def _response(head: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body


def _reply() -> bytes:
    message = {"role": "assistant", "content": "Hello"}
    body = json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "fast",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }).encode()  # fmt: skip
    return _response(f"Content-Type: application/json\r\nContent-Length: {len(body)}", body)


def _chunks() -> list[bytes]:
    """The stream as it is written: its head, and each event as one HTTP chunk."""
    events = [json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "fast",
        "choices": [{"index": 0, "delta": {"content": f" word{number}"}, "finish_reason": None}],
    }) for number in range(CHUNKS)]  # fmt: skip
    payloads = [f"data: {event}\n\n".encode() for event in (*events, "[DONE]")]
    framed = [b"%x\r\n%b\r\n" % (len(payload), payload) for payload in payloads]
    return [_response("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked", b""), *framed, b"0\r\n\r\n"]


EMPTY = _response("Content-Length: 0", b"")
REPLY = _reply()
STREAM = _chunks()


class Connection(asyncio.Protocol):
    """One keep-alive connection: each request is answered as soon as its last byte is there."""

    __slots__ = ("_buffer", "_transport")

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes do not inherit from it

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._buffer, 0, end)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET"):
            self._transport.write(EMPTY)
        elif STREAMS.search(request):
            for chunk in STREAM:  # a write each, as an engine that has a token at a time
                self._transport.write(chunk)
        else:
            self._transport.write(REPLY)


async def serve(addresses: list[str]) -> None:
    """Serves at the addresses until SIGTERM or SIGINT.

    Raises:
        OSError: if an address is taken.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for address in addresses:
        if "/" in address:
            await loop.create_unix_server(Connection, address)
        else:
            host, _, port = address.rpartition(":")
            await loop.create_server(Connection, host, int(port))
    await stop.wait()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="An engine that answers at once, for benchmarks.")
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS", help="a path, or HOST:PORT")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.addresses), loop_factory=_fastest_loop())


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        uvloop = importlib.import_module("uvloop")  # not a dependency
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


if __name__ == "__main__":
    main()
