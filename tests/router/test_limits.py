"""Clients that are wrong, slow or greedy: a clear error, and nobody else is hurt."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swapper.router.wire.connection import LEAST_PROGRESS, Connection
from tests.router.conftest import PATIENCE, Lab, chunk, until

MIB = 1024 * 1024


def _code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


_EVIL = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n" + b'{"model":"evil"}'
_HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = {
    "two lengths": _HEAD + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "length and chunks": _HEAD + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an obscured coding": _HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n",
    "a space before the colon": _HEAD + b"Content-Length : 5\r\n\r\n",
    "a bare line feed": _HEAD + b"X: y\nContent-Length: 5\r\n\r\n",
    "a folded line": _HEAD + b" Content-Length: 5\r\n\r\n",
    "a wrong chunk": _CHUNKED + b"0x5\r\n",
    "a long chunk": _CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "a chunk that ends in a line feed": _CHUNKED + b"1\r\na\n0\r\n\r\n",
    "no host": b"POST /v1/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED.keys())
async def test_nothing_is_smuggled(lab: Lab, data: bytes) -> None:
    caller = await lab.call()
    await caller.send(data + _EVIL)
    status, headers, body = await caller.answer()
    assert (status // 100, headers[b"connection"]) in {(4, b"close"), (5, b"close")}
    assert _code(body) in {"invalid_request", "unknown_coding"}
    assert await caller.rest() == b""
    assert lab.engine.requests == []
    assert lab.leases.tickets == []


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
async def test_a_head_without_end(lab: Lab, end: bytes) -> None:
    caller = await lab.call()
    await caller.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 66_000 + end)
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (431, "head_too_large")
    assert lab.records[0].reason == "head_too_large"


async def test_a_large_head_is_taken(lab: Lab) -> None:
    caller = await lab.call()
    await caller.post(b'{"model": "a"}', extra=b"X: " + b"x" * 60_000 + b"\r\n")
    assert (await caller.answer())[0] == 200


@pytest.mark.settings(max_body=3 * MIB)
async def test_a_body_that_is_announced_too_large_is_not_read(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(_HEAD + b"Expect: 100-continue\r\nContent-Length: 3145729\r\n\r\n")
    status, headers, body = await caller.answer()
    assert (status, _code(body), headers[b"connection"]) == (413, "body_too_large", b"close")
    assert await caller.rest() == b""


@pytest.mark.settings(max_body=3 * MIB)
@pytest.mark.parametrize("announced", [True, False])
async def test_a_client_that_sends_too_much_can_read_why(lab: Lab, announced: bool) -> None:
    caller = await lab.call()
    framing = b"Content-Length: %d" % (20 * MIB) if announced else b"Transfer-Encoding: chunked"
    await caller.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
    for block in (b'{"model": "a", "pad": "', *[b"x" * MIB] * 20):
        await caller.send(block if announced else chunk(block))  # never fails: it is read and thrown away
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (413, "body_too_large")
    await until(lambda: not lab.spool_files())


@pytest.mark.settings(max_body=1000)
@pytest.mark.parametrize(("size", "expected"), [(1000, 200), (1001, 413)])
async def test_a_body_that_comes_with_its_head_has_the_same_limit(lab: Lab, size: int, expected: int) -> None:
    body = b'{"model": "a", "pad": "' + b"x" * (size - 25) + b'"}'
    assert len(body) == size
    caller = await lab.call()
    await caller.post(body)
    assert (await caller.answer())[0] == expected


@pytest.mark.settings(max_body=3 * MIB)
async def test_the_limit_is_not_yet_too_much(lab: Lab) -> None:
    body = b'{"model": "a", "pad": "' + b"x" * (3 * MIB - 25) + b'"}'
    assert len(body) == 3 * MIB
    caller = await lab.call()
    await caller.post(body)
    assert (await caller.answer())[2] == body


@pytest.mark.settings(linger=0.1)
async def test_a_client_that_never_stops_sending_is_cut_off(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(b"nonsense\r\n\r\n")
    assert (await caller.answer())[0] == 400
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(_drip(caller.send, b"x"), PATIENCE)


@pytest.mark.settings(header_timeout=0.1)
async def test_a_head_that_comes_byte_by_byte_does_not_last(lab: Lab) -> None:
    caller = await lab.call()
    dripping = asyncio.create_task(_drip(caller.send, b"POST /v1/completions HTTP/1.1\r\nX: "))
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (408, "client_too_slow")
    dripping.cancel()
    await asyncio.wait({dripping})


async def _drip(send: object, data: bytes) -> None:
    while True:
        for at in range(len(data)):
            await send(data[at : at + 1])  # type: ignore[operator]
            await asyncio.sleep(0.01)  # the slowness is what is tested
        data = b"x"


@pytest.mark.settings(body_timeout=0.2)
async def test_a_body_that_comes_byte_by_byte_does_not_last(lab: Lab) -> None:
    slow, other = await lab.call(), await lab.call()
    await slow.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    dripping = asyncio.create_task(_drip(slow.send, b'{"model": "a"'))
    await other.post(b'{"model": "a"}')
    assert (await other.answer())[0] == 200
    status, _, body = await slow.answer()
    assert (status, _code(body)) == (408, "client_too_slow")
    assert lab.leases.tickets[0].client is not None
    assert len(lab.leases.tickets) == 1, "a body on its way holds no lease"
    dripping.cancel()
    await asyncio.wait({dripping})


async def test_a_slow_body_that_makes_progress_is_taken(lab: Lab) -> None:
    caller = await lab.call()
    body = b'{"model": "a", "pad": "' + b"x" * 100_000 + b'"}'
    await caller.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
    await until(lambda: lab.front.connections)
    [connection] = lab.front._connections
    assert isinstance(connection, Connection)
    await until(lambda: connection._intake)
    assert connection._intake is not None
    store = connection._intake.store
    for at in range(0, len(body), LEAST_PROGRESS):
        if at:
            connection.expired()  # its time is over, again and again, as the front's own round finds it
        await caller.send(body[at : at + LEAST_PROGRESS])
        await until(lambda: store.size == min(at + LEAST_PROGRESS, len(body)))  # noqa: B023 - awaited at once
    assert (await caller.answer())[2] == body


async def test_an_idle_connection_is_closed_without_a_word(lab: Lab) -> None:
    used = await lab.call()
    await used.post(b'{"model": "a"}')
    assert (await used.answer())[0] == 200
    lab.front.settings = replace(lab.front.settings, idle_timeout=0.1)
    never = await lab.call()
    await used.post(b'{"model": "a"}')  # which has the usual time still
    assert (await used.answer())[0] == 200
    assert await never.rest() == b""
    assert await used.rest() == b""


async def test_a_compressed_body_is_refused(lab: Lab) -> None:
    caller = await lab.call()
    await caller.post(b"\x1f\x8b", extra=b"Content-Encoding: gzip\r\n")
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /v1/completions HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417),
    ],
)
async def test_what_this_server_does_not_do_has_its_own_status(lab: Lab, data: bytes, status: int) -> None:
    caller = await lab.call()
    await caller.send(data)
    assert (await caller.answer())[0] == status


_FRAGMENTS = st.sampled_from([
    b"POST /v1/completions HTTP/1.1\r\n", b"POST /v1/audio/transcriptions HTTP/1.0\r\n", b"Host: x\r\n", b"\r\n", b"\n",
    b"Content-Length: 14\r\n", b"Content-Length: 9999999\r\n", b"Transfer-Encoding: chunked\r\n", b"\0", b"x" * 70_000,
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Content-Type: multipart/form-data; boundary=b\r\n",
    b"Content-Encoding: gzip\r\n", b'{"model": "a"}', b'{"model": "a", "messages": [{"image_url": "http://h/"}]}',
    b'{"model"', b"e\r\n", b"0\r\n", b"--b\r\n", b'Content-Disposition: form-data; name="model"\r\n\r\n', b"--b--\r\n",
])  # fmt: skip


@given(st.lists(_FRAGMENTS | st.binary(max_size=20), max_size=25))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_a_client_sends_surprises(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    surprises: list[dict[str, object]] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: surprises.append(context))
        async with Lab(tmp_path_factory.mktemp("lab"), memory_limit=20_000) as lab:
            caller = await lab.call()
            await until(lambda: lab.front.connections)
            [line] = lab.front._connections
            assert isinstance(line, Connection)
            for piece in pieces:
                for start in range(0, len(piece), 65536):
                    part = piece[start : start + 65536]
                    if lab.front.connections and line.transport.is_reading():
                        line.get_buffer(-1)[: len(part)] = part
                        line.buffer_updated(len(part))
                await asyncio.sleep(0)
            caller.writer.write_eof()
            await asyncio.wait_for(caller.rest(), PATIENCE)
            await until(lambda: not lab.front.connections)
            assert lab.front.busy == 0

    asyncio.run(story())
    assert surprises == []
