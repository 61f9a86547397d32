"""WebSockets: after the engine's 101, bytes go both ways, until either side ends."""

import asyncio

from tests.router.conftest import Lab, Request, answer, until

ASK = (
    b"GET /v1/realtime?model=a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer secret\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n"
)


async def echoing(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greets, then sends back what comes, then leaves when the client has said `bye`."""
    assert request.headers[b"upgrade"] == b"websocket"
    assert request.headers[b"connection"].lower() == b"upgrade"
    writer.write(SWITCH + b"hello ")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
        if data.endswith(b"bye"):
            break
    writer.write_eof()
    await reader.read()
    raise ConnectionError


async def test_bytes_go_both_ways(lab: Lab) -> None:
    lab.engine.script = echoing
    caller = await lab.call()
    await caller.send(ASK)
    head = await caller.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
    assert b"\r\nSec-WebSocket-Accept: y\r\n" in head
    assert await caller.reader.readexactly(6) == b"hello "
    await caller.send(b"one")
    assert await caller.reader.readexactly(3) == b"one"
    assert len(lab.leases.out) == 1
    await caller.send(b"bye")
    assert await caller.rest() == b"bye"
    record = (await lab.finished(1))[0]
    assert (record.status, record.reason, record.route) == (101, "", "/v1/realtime")
    assert b"authorization" not in lab.engine.requests[0].headers
    assert lab.engine.requests[0].headers[b"sec-websocket-version"] == b"13"


async def test_much_data_at_the_engines_pace(lab: Lab) -> None:
    go = asyncio.Event()
    got = bytearray()

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request
        writer.write(SWITCH)
        await go.wait()
        while len(got) < 8 << 20:
            got.extend(await reader.read(65536))
        writer.write(b"all")

    lab.engine.script = script
    caller = await lab.call()
    await caller.send(ASK)
    await caller.reader.readuntil(b"\r\n\r\n")
    caller.writer.write(b"x" * (8 << 20))
    connection = next(iter(lab.front._connections))
    await until(lambda: not connection._reading)
    go.set()
    assert await asyncio.wait_for(caller.reader.readexactly(3), 20) == b"all"
    assert len(got) == 8 << 20
    caller.leave()
    await lab.finished(1)


async def test_a_client_that_leaves_ends_the_engines_side(lab: Lab) -> None:
    lab.engine.script = echoing
    caller = await lab.call()
    await caller.send(ASK)
    await caller.reader.readuntil(b"hello ")
    caller.leave()
    await asyncio.wait_for(lab.engine.lost.wait(), 20)
    assert (await lab.finished(1))[0].reason == "client_gone"


async def test_an_engine_that_refuses_is_quoted(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(answer(b"no", status=b"403 Forbidden"))

    lab.engine.script = script
    caller = await lab.call()
    await caller.send(ASK)
    assert (await caller.answer())[::2] == (403, b"no")


async def test_a_switch_that_nobody_asked_for_is_no_answer(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(SWITCH)

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(b'{"model": "a"}', extra=b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    assert (await caller.answer())[0] == 502
    assert b"upgrade" not in lab.engine.requests[0].headers


async def test_without_a_model_in_the_query(lab: Lab) -> None:
    for query, code in ((b"", b"model_missing"), (b"?model=", b"model_missing"), (b"?model=a&model=b", b"duplicate"),
                        (b"?model=%ff", b"model_invalid"), (b"?model=nope", b"model_not_found")):  # fmt: skip
        caller = await lab.call()
        await caller.send(ASK.replace(b"?model=a", query))
        assert code in (await caller.answer())[2]
    assert not lab.leases.tickets
