"""What the fuzz tests share: a lab that outlasts an example, an engine that keeps every byte, and what must be true.

Whatever a client sends, in whatever pieces: each request is answered or the connection is closed; nothing answers 500;
nothing is left behind; and what the engine gets is what the second reader (`reader.py`) finds in the client's bytes,
request by request, as far as the router has not refused.
"""

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings

from swapper.router.wire.line import State
from tests.router.conftest import Caller, Lab
from tests.router.reader import Read, Reader, Unfinished, read_all

HANG = 60.0
"""Seconds in which everything here is long over, on a machine that is busy with something else, too."""

FUZZ = settings(
    max_examples=int(os.environ.get("SWAPPER_FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
"""SWAPPER_FUZZ_EXAMPLES=20000 for a long run."""

ELSEWHERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


FOR_ENGINES = {b"/v1/chat/completions", b"/v1/completions", b"/v1/embeddings", b"/v1/audio/transcriptions"}
"""Paths that these tests ask an engine for, by POST."""

MODELS = {"a", "b"}
"""What the lab's model is called."""

LIMIT = 1024
"""Bytes of a body that are held in memory, where that matters."""

UPSTREAM = b"/upstream/a"
"""What the engine does not see of a path that begins so."""

ADDED = {b"host", b"content-length", b"x-request-id", b"connection", b"upgrade"}
"""Fields that the router writes itself."""


def request(body: bytes, *, target: bytes = b"/v1/chat/completions", extra: bytes = b"") -> bytes:
    """A request with nothing odd about it but its body."""
    return b"POST %b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (target, extra, len(body), body)


class Witness:
    """An engine that answers each request with its body, and reads requests with the second reader."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self.requests: list[Read] = []
        self.wrong: list[bytes] = []

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        with suppress(ConnectionError):
            while block := await reader.read(1 << 16):
                data = self._answer(data + block, writer)
        writer.transport.abort()

    def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Answer the request that is there, if it is whole; returns what is left."""
        try:
            read = Reader(data).next()
        except Unfinished:
            return data
        except Exception:  # noqa: BLE001 - the test looks into it
            self.wrong.append(data)
            writer.transport.abort()
            return b""
        lengths = 0 if read is None else len(read.all(b"content-length"))
        if read is None or lengths != (read.method == b"POST" or read.body != b"") or read.all(b"transfer-encoding"):
            self.wrong.append(data)
            writer.transport.abort()
            return b""
        self.requests.append(read)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(read.body), read.body))
        return b""


class Elsewhere(asyncio.Protocol):
    """Gets what is not for an engine; keeps it, and says so."""

    def __init__(self, got: list[bytes]) -> None:
        self._got = got

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is handed over."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """The first bytes are those of the head."""
        if not self._got:
            self._transport.write(ELSEWHERE)
            self._transport.write_eof()  # and what still comes is read, or the client would be reset
        self._got.append(data)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes


def replies(data: bytes) -> tuple[list[Reply], bytes]:
    """The final answers in what the client has got, and what is left behind them."""
    found: list[Reply] = []
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return found, data
        first, *lines = head.split(b"\r\n")
        assert first.startswith(b"HTTP/1.1 "), first
        status = int(first[9:12])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if status == 100:
            data = rest
            continue
        length = int(fields[b"content-length"])
        if len(rest) < length:
            return found, data
        found.append(Reply(status, fields, rest[:length]))
        data = rest[length:]


@dataclass
class Outcome:
    """What came of the bytes of one client."""

    understood: list[Read]
    ending: str
    replies: list[Reply] = field(default_factory=list)
    engine: list[Read] = field(default_factory=list)


@dataclass(repr=False)
class Fuzz:
    """A lab that lives as long as a test, whatever the number of examples."""

    lab: Lab
    runner: asyncio.Runner
    witness: Witness
    elsewhere: list[bytes]

    def send(self, data: bytes, places: Sequence[int] = ()) -> Outcome:
        """Send bytes, cut at these places (modulo their length), and see that everything about it is as it must be."""
        try:
            outcome = self.runner.run(self._send(data, places))
        except BaseException:
            self.runner.run(self._forget())  # or the next example would fail for this one
            raise
        judge(data, outcome, self.elsewhere)
        assert not self.witness.wrong, self.witness.wrong
        return outcome

    async def _send(self, data: bytes, places: Sequence[int]) -> Outcome:
        self.witness.requests.clear()
        self.elsewhere.clear()
        self.lab.records.clear()
        self.lab.leases.tickets.clear()
        outcome = Outcome(*read_all(data))
        caller = await self.lab.call()
        sent = asyncio.Event()
        reading = asyncio.create_task(self._read(caller, outcome, sent))
        edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
        with suppress(ConnectionError):
            for start, end in itertools.pairwise(edges):
                await caller.send(data[start:end])
                for _ in range(3):  # so that the router reads the pieces one by one
                    await asyncio.sleep(0)
        sent.set()
        await asyncio.wait_for(reading, HANG)
        caller.leave()
        self.lab.callers.remove(caller)
        await asyncio.wait_for(self._quiet(), HANG)
        outcome.engine = list(self.witness.requests)
        return outcome

    async def _forget(self) -> None:
        for caller in self.lab.callers:
            caller.leave()
        self.lab.callers.clear()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        self.lab.pool.close()
        await asyncio.sleep(0.01)

    async def _read(self, caller: Caller, outcome: Outcome, sent: asyncio.Event) -> None:
        """Take answers until the router closes. What it waits for without end is cut short: its time is over."""
        data = b""
        with suppress(ConnectionError):  # it does not wait for ever for a client that goes on and on
            while True:
                if len(outcome.replies) >= len(outcome.understood) and outcome.ending != "last":
                    await sent.wait()
                    await self._let_time_pass(caller, refused=outcome.ending.startswith("refused"))
                block = await caller.reader.read(1 << 16)
                if not block:
                    break
                data += block
                outcome.replies, _ = replies(data)
        outcome.replies, rest = replies(data)
        assert not rest, rest

    async def _let_time_pass(self, caller: Caller, *, refused: bool) -> None:
        """All that can be answered has been: the deadlines of whoever waits for more are over.

        What the second reader has refused, the router may refuse only later, at the end of a head. It gets a moment to
        make a request of it, which would be a finding.
        """
        left = 30 if refused else 0
        while not (caller.reader.at_eof() or caller.reader._buffer or caller.reader.exception()):  # type: ignore[attr-defined]
            for line in tuple(self.lab.front._connections) if left <= 0 else ():
                if line._state in {State.HEAD, State.BODY}:
                    line.expired()
            left -= 1
            await asyncio.sleep(0.001)

    async def _quiet(self) -> None:
        """Wait until nothing is left of it: no connection, lease, file, or task but this one and the engine's."""
        while (self.lab.front.connections or self.lab.leases.out or self.lab.spool_files()  # noqa: ASYNC110
               or len(asyncio.all_tasks()) > 1 + self.lab.pool.open):  # fmt: skip
            await asyncio.sleep(0.001)


def judge(data: bytes, outcome: Outcome, elsewhere: Sequence[bytes]) -> None:
    """Compare what the second reader found with what the router did."""
    left = list(outcome.engine)
    for index, reply in enumerate(outcome.replies):
        assert reply.status != 500, reply
        assert 200 <= reply.status < 600
        closes = reply.fields.get(b"connection") == b"close"
        if reply.status == 200:
            assert index < len(outcome.understood), "the router answers what is no request"
            read, got = outcome.understood[index], left.pop(0)
            assert (got.method, got.target, got.body) == (read.method, read.target.removeprefix(UPSTREAM), read.body)
            assert reply.body == got.body
            added = {name for name, _ in set(got.fields) - set(read.fields)}
            assert added <= ADDED, "a field appears that the client did not send"
        elif not closes:
            assert index < len(outcome.understood), "the router answers what is no request"
        assert not closes or index == len(outcome.replies) - 1
    assert not left, f"an engine got what the client did not ask: {left}"
    if elsewhere:
        handed = b"".join(elsewhere)
        assert handed in data, "what is handed over is what was sent"
        if len(outcome.replies) <= len(outcome.understood):
            read = outcome.understood[len(outcome.replies) - 1]
            assert data.startswith(handed, read.start), "what is handed over begins with the request"
            assert read.method != b"POST" or read.target.partition(b"?")[0] not in FOR_ENGINES


@contextmanager
def fuzzing(directory: Path, *, memory_limit: int = LIMIT) -> Iterator[Fuzz]:
    """A lab for many examples, in a loop of its own."""
    elsewhere: list[bytes] = []
    lab = Lab(directory, memory_limit=memory_limit, others=lambda: Elsewhere(elsewhere))
    with asyncio.Runner() as runner:
        runner.run(lab.__aenter__())
        runner.run(lab.engine.stop())
        witness = Witness(lab.engine.path)
        runner.run(witness.start())
        try:
            yield Fuzz(lab, runner, witness, elsewhere)
        finally:
            lab.pool.close()
            runner.run(lab.__aexit__(None, None, None))
            runner.run(witness.stop())
