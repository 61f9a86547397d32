"""A double of an engine, scripted per test, and of the leases; client, connection protocol and sockets are real.

`Lab` puts a `Front` on a loopback port before a `ScriptedEngine` on a unix socket. Coroutine tests run in a loop of
their own; when one ends, it fails if it leaves behind a task, a ticket, a connection or a spool file.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from hypothesis import settings

from swapper.core.model import Failure
from swapper.router.access import Access
from swapper.router.errors import ApiError, from_failure
from swapper.router.gate import Gate
from swapper.router.routes import Route, find
from swapper.router.runtime import Client, Ticket
from swapper.router.wire import pool, upstream
from swapper.router.wire.body import Spool
from swapper.router.wire.front import Front
from swapper.router.wire.pool import Pool
from swapper.router.wire.ports import FetchedMedia, Record, Services, Target
from swapper.router.wire.settings import FrontSettings

PATIENCE = 20.0
"""Seconds after which a test that waits for an event has failed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an engine got."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


type Script = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def until(condition: Callable[[], object]) -> None:
    """Wait, round by round of the loop, for what has no event of its own."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


async def read_head(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes]]:
    """First line and header of a message."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}


def answer(body: bytes, *, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    """A response with a length."""
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status, len(body), extra, body)  # fmt: skip


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class ScriptedEngine:
    """Reads requests and answers each with `script`; closes the connection when the script raises `ConnectionError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.lost = asyncio.Event()
        self.connections = 0
        self.script: Script = self.echo
        self.read_bodies = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, self.path, limit=1 << 20)

    async def stop(self) -> None:
        """Stop listening and drop every connection, as a process that ends does."""
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None
            self.path.unlink(missing_ok=True)

    @staticmethod
    async def echo(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG004
        """The default script: the body comes back."""
        writer.write(answer(request.body))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                line, headers = await read_head(reader)
                method, target, _ = line.split(b" ")
                body = b""
                if self.read_bodies:
                    body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
                request = Request(method, target, headers, body)
                self.requests.append(request)
                self.arrived.set()
                await self.script(request, reader, writer)
                await writer.drain()
        self._writers.discard(writer)
        writer.transport.abort()
        self.lost.set()


class HandTicket(Ticket):
    """A ticket of `HandLeases`."""

    def __init__(self, leases: "HandLeases", model: str, client: Client) -> None:
        self.id = 0
        self.client = client
        self.model = model
        self.leases = leases
        self.released = asyncio.Event()

    def release(self) -> None:
        """Give it up."""
        self.leases.out.discard(self)
        self.released.set()


class HandLeases:
    """Grants at once, or, with `at_once = False`, when the test says so."""

    def __init__(self, socket: Path) -> None:
        self.socket = str(socket)
        self.at_once = True
        self.failure: Failure | None = None
        self.tickets: list[HandTicket] = []
        self.out: set[HandTicket] = set()
        self.asked = asyncio.Event()

    def peek(self, model: str) -> str | Failure:  # noqa: ARG002 - the contract's
        """As if the model were loaded, unless `failure` says otherwise."""
        return self.failure or self.socket

    def request(self, model: str, client: Client, *, light: bool = False, priority: int = 0) -> HandTicket:  # noqa: ARG002
        """Ask for a lease."""
        ticket = HandTicket(self, model, client)
        self.tickets.append(ticket)
        self.out.add(ticket)
        client.ticket = ticket
        self.asked.set()
        if self.failure is not None:
            self.out.discard(ticket)
            client.rejected(self.failure)
        elif self.at_once:
            client.admitted(self.socket)
        return ticket


class NoMedia:
    """A media source for tests that have none."""

    async def fetch(self, urls: Sequence[str], room: int) -> Mapping[str, FetchedMedia]:
        """Fetch nothing."""
        raise AssertionError((urls, room))


@dataclass
class Caller:
    """A client's connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def post(self, body: bytes, *, path: bytes = b"/v1/chat/completions", extra: bytes = b"") -> None:
        """Send a request."""
        head = b"POST %b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n" % (path, extra, len(body))
        await self.send(head + body)

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Read one response: status, header, body."""
        line, headers = await asyncio.wait_for(read_head(self.reader), PATIENCE)
        status = int(line.split(b" ")[1])
        if headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while piece := await self.chunk():
                body += piece
            while await asyncio.wait_for(self.reader.readuntil(b"\r\n"), PATIENCE) != b"\r\n":
                pass  # the trailer
        elif b"content-length" in headers:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers[b"content-length"])), PATIENCE)
        else:
            body = await self.rest()
        return status, headers, body

    async def chunk(self) -> bytes:
        """Read one chunk; the last one is empty."""
        line = await asyncio.wait_for(self.reader.readuntil(b"\r\n"), PATIENCE)
        size = int(line, 16)
        if size == 0:
            return b""
        data = await asyncio.wait_for(self.reader.readexactly(size + 2), PATIENCE)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)

    def leave(self) -> None:
        """Go away without a word."""
        self.writer.transport.abort()


@dataclass
class Lab:
    """A front, an engine, leases."""

    directory: Path
    settings: FrontSettings = field(default_factory=lambda: FrontSettings(tick=0.05))
    others: Callable[[], asyncio.Protocol] = asyncio.Protocol
    records: list[Record] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    memory_limit: int = 1024 * 1024
    target: Target = field(default_factory=lambda: Target("a"))

    async def __aenter__(self) -> Self:
        self.engine = ScriptedEngine(self.directory / "http.sock")
        await self.engine.start()
        self.leases = HandLeases(self.engine.path)
        self.pool = Pool()
        spool = self.directory / "spool"
        spool.mkdir()
        self.spool = Spool(spool, memory_limit=self.memory_limit)
        services = Services(leases=self.leases, pool=self.pool, spool=self.spool, media=NoMedia(), directory=self,
                            access=Access(None, ("x",)), gate=Gate(time.monotonic), situation=self.situation,
                            explain=self.explain, done=self._record)  # fmt: skip
        self.front = Front(services, self.settings, find, self._make_other)
        self.server = await asyncio.get_running_loop().create_server(self.front, "127.0.0.1", 0)
        self.port: int = self.server.sockets[0].getsockname()[1]
        self.callers: list[Caller] = []
        return self

    def _make_other(self) -> asyncio.Protocol:
        return self.others()

    def _record(self, record: Record) -> None:
        self.records.append(record)
        self.done.set()

    def resolve(self, name: str, route: Route) -> Target:  # noqa: ARG002 - the contract's
        """One model, `a`, with an alias, `b`."""
        if name not in {"a", "b"}:
            raise ApiError("model_not_found", f"There is no model {name!r}.")
        return self.target

    def locate(self, method: bytes, target: bytes) -> Target:  # noqa: ARG002 - the contract's
        """Whatever the path, it is this model's."""
        return self.target._replace(path=target.removeprefix(b"/upstream/a"))

    def situation(self, model: str, ticket: Ticket | None) -> str:
        """As the router says it, but short."""
        return f"{model} is loading, {ticket.id if ticket else '-'}"

    async def explain(self, failure: Failure, model: str) -> ApiError:
        """As the router does, but at once."""
        error = from_failure(failure)
        error.hint = f"explained for {model}"
        return error

    def use(self, **services: object) -> None:
        """Replace some of the services."""
        self.front.services = replace(self.front.services, **services)  # type: ignore[arg-type]

    async def call(self) -> Caller:
        """A new client."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        self.callers.append(Caller(reader, writer))
        return self.callers[-1]

    async def finished(self, count: int) -> list[Record]:
        """Wait until that many requests are over."""
        async with asyncio.timeout(PATIENCE):
            while len(self.records) < count:
                self.done.clear()
                await self.done.wait()
        return self.records

    def spool_files(self) -> list[str]:
        """Files that this process holds open in the spool directory."""
        found = []
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):
                target = str(entry.readlink())
                if target.startswith(str(self.directory / "spool")):
                    found.append(target)
        return found

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for caller in self.callers:
            caller.leave()
        if kind is not None:
            self.front.abort()
        async with asyncio.timeout(PATIENCE):
            await self.front.drain()
        self.server.close()
        self.front.abort()
        await self.engine.stop()
        self.spool.close()
        await asyncio.to_thread(self.spool._threads.shutdown)  # what is being written when a client leaves
        for _ in range(3):  # what was aborted or written is told so in one of the loop's next rounds
            await asyncio.sleep(0)
        if kind is None:
            assert not self.leases.out, "tickets were left behind"
            assert self.pool.open == 0, self.pool
            assert not self.spool_files(), "spool files were left behind"


@asynccontextmanager
async def no_leaks() -> AsyncIterator[None]:
    """Fail when tasks are left behind."""
    yield
    for _ in range(3):  # tasks that have been cancelled need rounds to end in
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a second or two neither makes kept connections old nor what breaks on them."""
    monkeypatch.setattr(pool, "IDLE_SECONDS", PATIENCE)
    monkeypatch.setattr(upstream, "STALE_SECONDS", PATIENCE)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab that is not set up yet: its fields may be changed by other fixtures, `async` tests find it running."""
    return Lab(tmp_path)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of this folder; and a busy machine is no defect."""
    config.addinivalue_line("markers", "settings(**fields): fields of `FrontSettings` for the test's lab")
    settings.register_profile("no-deadline", deadline=None)
    settings.load_profile("no-deadline")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test."""
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(function).parameters}
    mark = pyfuncitem.get_closest_marker("settings")

    async def story() -> None:
        async with no_leaks():
            lab = arguments.get("lab")
            if isinstance(lab, Lab):
                if mark is not None:
                    lab.settings = replace(lab.settings, **mark.kwargs)
                async with lab:
                    await function(**arguments)
            else:
                await function(**arguments)

    asyncio.run(story())
    return True
