"""What the router costs: the same load on an engine directly, through the router, and through a plain aiohttp handler.

    python -m tests.bench.proxy                          # the router's data path alone, with leases that cost nothing
    python -m tests.bench.proxy --url http://127.0.0.1:8000 --model devstral   # an installed router, beside its parts

Engine, proxy and load are a process each. The proxy has one core of its own; engine and load share the other (a direct
run gives the engine the first core). Per request the engine and the load together must cost less than the proxy, or they
are what is measured: the direct figure shows by how much they do. On a machine with other work to do the rates say
little; the processor time of the proxy per request, from /proc/PID/schedstat, is what can be compared then.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

CHUNKS = 128
CONNECTIONS = (1, 8)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: median and 99th percentile in milliseconds, requests per second, proxy's CPU µs per request."""

    p50: float
    p99: float
    rate: float
    cpu: float = float("nan")


# The engine: as fast as asyncio goes.

_TOKEN = {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "word "}}]}
_EVENT = b"data: " + json.dumps(_TOKEN).encode() + b"\n\n"
_CHUNK = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_HEAD = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ANSWER = json.dumps({"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "Hi"}}]}).encode()
_WHOLE = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Access-Control-Allow-Origin: \r\nContent-Length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
)


class FastEngine(asyncio.Protocol):
    """Answers each POST with one token, or with a stream of chunks, each written for itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._data = b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        """Part of a request, or all of it."""
        self._data += data
        end = self._data.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        at = self._data.lower().find(b"content-length:") + 15
        length = int(self._data[at : self._data.find(b"\r", at)])
        if len(self._data) < end + length:
            return
        body, self._data = self._data[end : end + length], self._data[end + length :]
        if b'"stream": true' in body:
            self._transport.write(_HEAD)
            self._next(CHUNKS)
        else:
            self._transport.write(_WHOLE)

    def _next(self, left: int) -> None:
        if left == 0:
            self._transport.write(b"0\r\n\r\n")
            return
        self._transport.write(_CHUNK)
        self._loop.call_soon(self._next, left - 1)


async def run_engine(port: int, path: str) -> None:
    """Serve on a port and a socket."""
    loop = asyncio.get_running_loop()
    await loop.create_server(FastEngine, "127.0.0.1", port)
    await loop.create_unix_server(FastEngine, path)
    print("ready", flush=True)
    await asyncio.Event().wait()


# The proxies.


async def run_ours(port: int, path: str) -> None:
    """The router's data path, with leases that are granted at once."""
    from swapper.core.model import Failure
    from swapper.router.body import Spool
    from swapper.router.errors import ApiError, from_failure
    from swapper.router.front import Front, FrontSettings
    from swapper.router.pool import Pool
    from swapper.router.ports import Client, MediaSource, Record, Services
    from swapper.router.routes import find

    class FreeTicket:
        id = 0

        def release(self) -> None:
            pass

    ticket = FreeTicket()

    class FreeLeases:
        def request(self, model: str, client: Client) -> FreeTicket:  # noqa: ARG002 - the contract's signature
            client.ticket = ticket
            client.admitted(path)
            return ticket

    async def explain(failure: Failure, model: str) -> ApiError:  # noqa: ARG001 - the contract's signature
        return from_failure(failure)

    def done(record: Record) -> None:
        del record

    services = Services(leases=FreeLeases(), pool=Pool(), spool=Spool(Path(tempfile.gettempdir())),
                        media=cast("MediaSource", None), resolve=str, explain=explain, done=done)  # fmt: skip
    await asyncio.get_running_loop().create_server(Front(services, FrontSettings(), find, asyncio.Protocol), "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def run_naive(port: int, path: str) -> None:
    """What one would write first: an aiohttp handler that asks with an aiohttp client."""
    from aiohttp import ClientSession, UnixConnector, web

    session = ClientSession(connector=UnixConnector(path), auto_decompress=False)

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        json.loads(body)["model"]
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with session.post(f"http://engine{request.path_qs}", data=body, headers=headers) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
            if answer.content_length is not None:
                response.content_length = answer.content_length
            await response.prepare(request)
            async for block in answer.content.iter_any():
                await response.write(block)
            await response.write_eof()
            return response

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


# The load.


class Caller(asyncio.Protocol):
    """Sends the next request as soon as an answer is complete."""

    def __init__(self, request: bytes, streams: bool, until: float, times: list[float], over: Callable[[], None]) -> None:
        self._request = request
        self._streams = streams
        self._until = until
        self._times = times
        self._over = over
        self._data = b""
        self._need = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        if self._streams:
            self._data = (self._data[-8:] + data) if len(data) < 8 else data
            if not self._data.endswith(b"0\r\n\r\n"):
                return
        else:
            self._data += data
            if self._need < 0:
                end = self._data.find(b"\r\n\r\n") + 4
                if end < 4:
                    return
                at = self._data.lower().find(b"content-length:") + 15
                self._need = end + int(self._data[at : self._data.find(b"\r", at)])
            if len(self._data) < self._need:
                return
            assert self._data.startswith(b"HTTP/1.1 200"), self._data
            self._need = -1
        self._data = b""
        now = time.perf_counter()
        self._times.append(now - self._sent)
        if now >= self._until:
            self._transport.close()
            self._over()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by us, or too early."""
        if exc is not None or time.perf_counter() < self._until:
            print(f"connection lost: {exc}", file=sys.stderr)
            os._exit(1)


def _cpu_time(pid: int) -> float:
    """Seconds on a processor of a process that has one busy thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


async def run_load(port: int, host: str, model: str, connections: int, seconds: float, *, streams: bool,
                   pid: int) -> None:  # fmt: skip
    """Load a server, whose process is `pid` if that is known; prints a `Figure` as JSON."""
    question = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 1, "stream": streams}
    body = json.dumps(question).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: %b\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer none\r\n"
        b"Accept-Encoding: identity\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (host.encode(), len(body), body)
    )
    loop = asyncio.get_running_loop()
    times: list[float] = []
    for span in (min(0.5, seconds), seconds):  # first to warm up
        begun = _cpu_time(pid) if pid else 0.0
        times.clear()
        left = connections
        over = asyncio.Event()

        def one_over() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                over.set()  # noqa: B023 - waited for below

        begin = time.perf_counter()
        until = begin + span
        for _ in range(connections):
            await loop.create_connection(lambda until=until: Caller(request, streams, until, times, one_over), host, port)  # type: ignore[misc]
        await over.wait()
        spent = time.perf_counter() - begin
    times.sort()
    print(json.dumps([1e3 * statistics.median(times), 1e3 * times[int(len(times) * 0.99)], len(times) / spent,
                      1e6 * (_cpu_time(pid) - begun) / len(times) if pid else float("nan")]))  # fmt: skip


# Putting it together.


def _pinned(core: int | None, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "tests.bench.proxy", *arguments]
    if core is None or (os.cpu_count() or 1) < 2:
        return command
    return ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def _server(core: int, *arguments: str) -> Iterator[int]:
    with subprocess.Popen(_pinned(core, *arguments), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.terminate()


def _measure(host: str, port: int, model: str, connections: int, seconds: float, *, streams: bool, pid: int) -> Figure:
    arguments = ["load", str(port), "--host", host, "--model", model, "--connections", str(connections)]
    arguments += ["--pid", str(pid), "--seconds", str(seconds), *(["--streams"] if streams else [])]
    output = subprocess.run(_pinned(1, *arguments), check=True, stdout=subprocess.PIPE, text=True).stdout
    return Figure(*json.loads(output))


def _compare(options: argparse.Namespace) -> None:
    path = str(Path(tempfile.mkdtemp()) / "http.sock")
    base = options.base_port
    figures: dict[tuple[str, bool, int], Figure] = {}

    def collect(name: str, host: str, port: int, model: str, pid: int = 0) -> None:
        for streams in (False, True):
            for connections in CONNECTIONS:
                figure = _measure(host, port, model, connections, options.seconds, streams=streams, pid=pid)
                figures[name, streams, connections] = figure

    names = ["direct", "ours", "naive"]
    with ExitStack() as stack:
        pid = stack.enter_context(_server(0, "engine", str(base), "--socket", path))
        collect("direct", "127.0.0.1", base, "a", pid)
    with ExitStack() as stack:
        stack.enter_context(_server(1, "engine", str(base), "--socket", path))
        for offset, name in enumerate(names[1:], 1):
            with _server(0, name, str(base + offset), "--socket", path) as pid:
                collect(name, "127.0.0.1", base + offset, "a", pid)
    if options.url:
        parts = urlsplit(options.url)
        collect("installed", parts.hostname or "127.0.0.1", parts.port or 80, options.model)
        names.append("installed")
    _print(names, figures)


def _print(names: Sequence[str], figures: Mapping[tuple[str, bool, int], Figure]) -> None:
    for streams in (False, True):
        for connections in CONNECTIONS:
            what = f"{CHUNKS}-chunk streams" if streams else "1-token chats"
            print(f"\n{what}, {connections} connection{'s' * (connections > 1)}")
            naive = figures["naive", streams, connections]
            for name in names:
                figure = figures[name, streams, connections]
                print(f"  {name:10} p50 {figure.p50:7.3f} ms   p99 {figure.p99:7.3f} ms   {figure.rate:8.0f} req/s"
                      f"   {figure.rate / naive.rate:5.2f} x naive"
                      f"   CPU {figure.cpu:6.0f} µs/req")  # fmt: skip


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", default="compare", choices=["compare", "engine", "ours", "naive", "load"])
    parser.add_argument("port", nargs="?", type=int, default=0)
    parser.add_argument("--socket", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--model", default="a")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--streams", action="store_true")
    parser.add_argument("--base-port", type=int, default=18100)
    parser.add_argument("--url", help="an installed router to measure as well")
    options = parser.parse_args()
    match options.role:
        case "compare":
            _compare(options)
        case "engine":
            asyncio.run(run_engine(options.port, options.socket))
        case "ours":
            asyncio.run(run_ours(options.port, options.socket))
        case "naive":
            asyncio.run(run_naive(options.port, options.socket))
        case "load":
            asyncio.run(run_load(options.port, options.host, options.model, options.connections, options.seconds,
                                 streams=options.streams, pid=options.pid))  # fmt: skip


if __name__ == "__main__":
    main()
