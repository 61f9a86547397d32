"""A client that leaves, at whatever point, takes everything of its request along; so does one that does not keep up."""

import asyncio
import json
import socket
from collections.abc import Mapping, Sequence

import pytest

from swapper.core.model import Failure
from swapper.router.errors import ApiError
from swapper.router.wire.body import BLOCK
from swapper.router.wire.line import ClientLine
from swapper.router.wire.ports import FetchedMedia
from tests.router.conftest import PATIENCE, STREAM, Caller, Lab, Request, answer, chunk, until

CHAT = b'{"model": "a", "messages": []}'


async def _gone(lab: Lab) -> None:
    async with asyncio.timeout(PATIENCE):
        await lab.front._empty.wait()
    assert not lab.leases.out


async def test_in_the_middle_of_a_head(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(b"POST /v1/chat/completions HTTP/1.1\r\nHo")
    caller.leave()
    await _gone(lab)
    assert lab.records == []


@pytest.mark.parametrize("size", [100, 3_000_000])
async def test_in_the_middle_of_a_body(lab: Lab, size: int) -> None:
    caller = await lab.call()
    await caller.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    await caller.send(b'{"model": "a", "pad": "' + b"x" * (size - 50))
    await until(lambda: size < 1_000_000 or lab.spool_files())
    caller.leave()
    await _gone(lab)


async def test_while_media_are_fetched(lab: Lab) -> None:
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    class Slow:
        async def fetch(self, urls: Sequence[str], room: int) -> Mapping[str, FetchedMedia]:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError((urls, room))

    lab.use(media=Slow())
    caller = await lab.call()
    await caller.post(b'{"model": "a", "messages": [{"image_url": "http://h/x"}]}')
    await asyncio.wait_for(begun.wait(), PATIENCE)
    assert lab.leases.tickets == [], "a download must not hold a lease"
    caller.leave()
    await asyncio.wait_for(cancelled.wait(), PATIENCE)
    await _gone(lab)


async def test_while_it_waits(lab: Lab) -> None:
    lab.leases.at_once = False
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(lab.leases.asked.wait(), PATIENCE)
    caller.leave()
    await asyncio.wait_for(lab.leases.tickets[0].released.wait(), PATIENCE)
    [record] = lab.records
    assert (record.status, record.reason, record.sent) == (499, "client_gone", 0)


async def test_while_it_waits_and_is_far_ahead(lab: Lab) -> None:
    lab.leases.at_once = False
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(lab.leases.asked.wait(), PATIENCE)
    await caller.send(b"x" * 100_000)
    [line] = lab.front._connections
    await until(lambda: not line.transport.is_reading())
    caller.writer.close()  # what was sent is not read, so this does not show by itself
    await asyncio.wait_for(lab.leases.tickets[0].released.wait(), PATIENCE)


async def test_by_closing_only_its_own_side(lab: Lab) -> None:
    lab.leases.at_once = False
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(lab.leases.asked.wait(), PATIENCE)
    caller.writer.write_eof()
    await asyncio.wait_for(lab.leases.tickets[0].released.wait(), PATIENCE)
    assert await caller.rest() == b""


async def test_while_its_error_is_put_together(lab: Lab) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def explain(failure: Failure, model: str) -> ApiError:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError((failure, model))

    lab.use(explain=explain)
    lab.leases.failure = Failure("model_failed", "It failed.")
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(begun.wait(), PATIENCE)
    caller.leave()
    await asyncio.wait_for(ended.wait(), PATIENCE)
    await _gone(lab)


async def test_before_the_first_byte(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, writer
        await reader.read()
        raise ConnectionError

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(lab.engine.arrived.wait(), PATIENCE)
    caller.leave()
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    await _gone(lab)
    assert lab.records[0].status == 499


async def test_in_the_middle_of_a_stream(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request
        writer.write(STREAM + chunk(b"data: 1\n\n"))
        await reader.read()
        raise ConnectionError

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(caller.reader.readuntil(b"data: 1"), PATIENCE)
    caller.leave()
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    await _gone(lab)
    assert (lab.records[0].status, lab.records[0].reason) == (200, "client_gone")


async def test_while_its_body_goes_to_the_engine(lab: Lab) -> None:
    lab.engine.read_bodies = False
    begun = asyncio.Event()

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, writer
        begun.set()
        await asyncio.wait_for(lab.leases.tickets[0].released.wait(), PATIENCE)
        await reader.read()
        raise ConnectionError

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(json.dumps({"model": "a", "pad": "x" * 20_000_000}).encode())
    await asyncio.wait_for(begun.wait(), PATIENCE)
    caller.leave()
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    await _gone(lab)


async def _pour(lab: Lab, size: int) -> list[int]:
    """Let the engine answer with that many bytes; what it could write so far is in the list."""
    written = [0]

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while written[0] < size:
            writer.write(b"x" * BLOCK)
            await writer.drain()
            written[0] += BLOCK

    lab.engine.script = script
    return written


async def _until_still(written: list[int]) -> None:
    """Wait until no more is written for some rounds of the loop."""
    before = -1
    async with asyncio.timeout(PATIENCE):
        while before != written[0]:
            before = written[0]
            for _ in range(200):
                await asyncio.sleep(0)


async def test_a_slow_reader_slows_the_engine_down(lab: Lab) -> None:
    size = 64 * 1024 * 1024
    written = await _pour(lab, size)
    caller = await lab.call()
    caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await caller.post(CHAT)
    await asyncio.wait_for(lab.engine.arrived.wait(), PATIENCE)
    [connection] = lab.front._connections
    await until(lambda: connection.paused)
    await _until_still(written)
    # The kernel's buffers of two sockets on loopback hold some megabytes; what we hold is bounded below.
    assert written[0] < size / 4
    assert connection.paused
    assert connection.transport.get_write_buffer_size() <= 128 * 1024 + 256 * 1024
    caller.reader._transport.resume_reading()  # type: ignore[attr-defined]
    await caller.reader.readuntil(b"\r\n\r\n")
    left = size
    while left:
        left -= len(await asyncio.wait_for(caller.reader.read(1 << 20), PATIENCE))
    [record] = await lab.finished(1)
    assert record.reason == ""


async def _narrow(lab: Lab, caller: Caller, behind: int) -> ClientLine:
    """Let the kernel hold little for a client that reads nothing, and the router think it behind after some bytes."""
    caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
    caller.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await until(lambda: lab.front.connections)
    [line] = lab.front._connections
    line.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    line.transport.set_write_buffer_limits(high=behind)
    return line


async def test_a_slow_reader_slows_down_the_answer_after_this_one_too(lab: Lab) -> None:
    size = 64 * 1024 * 1024
    written = await _pour(lab, size)
    pour = lab.engine.script

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(lab.engine.requests) == 1:
            writer.write(answer(b"x" * 150_000))
        else:
            await pour(request, reader, writer)

    lab.engine.script = script
    caller = await lab.call()
    line = await _narrow(lab, caller, 1000)
    await caller.post(CHAT)
    await lab.finished(1)
    assert line.paused, "the answer has ended, and the client is behind"
    await caller.post(CHAT)
    await until(lambda: len(lab.engine.requests) == 2)
    await _until_still(written)
    assert line.transport.get_write_buffer_size() < 150_000 + 2 * BLOCK
    caller.leave()
    await _gone(lab)


@pytest.mark.settings(stall_timeout=0.2)
async def test_a_reader_that_stands_still_is_dropped(lab: Lab) -> None:
    await _pour(lab, 64 * 1024 * 1024)
    caller = await lab.call()
    caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await caller.post(CHAT)
    [record] = await lab.finished(1)
    assert record.reason == "client_gone"
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    await _gone(lab)


@pytest.mark.settings(stall_timeout=0.2)
@pytest.mark.parametrize("behind", [1, 1 << 24], ids=["behind", "nearly behind"])
async def test_a_client_that_has_said_goodbye_is_not_waited_for(lab: Lab, behind: int) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request
        writer.write(STREAM + chunk(b"x" * 150_000))
        await reader.read()
        raise ConnectionError

    lab.engine.script = script
    caller = await lab.call()
    line = await _narrow(lab, caller, behind)
    await caller.post(CHAT)
    await until(line.transport.get_write_buffer_size)
    assert line.paused is (behind == 1)
    caller.writer.write_eof()
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    await _gone(lab)


async def test_the_lease_ends_when_the_engine_is_done_with_a_slow_reader(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(answer(b"x" * 100_000))

    lab.engine.script = script
    caller = await lab.call()
    caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await caller.post(CHAT)
    await lab.finished(1)
    assert not lab.leases.out
