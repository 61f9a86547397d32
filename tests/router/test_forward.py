"""Forwarding, as clients and engines see it when all goes well."""

import asyncio
import json
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swapper.router.wire import pool, upstream
from swapper.router.wire.connection import AHEAD_LIMIT, Connection
from tests.router.conftest import PATIENCE, STREAM, Lab, Request, ScriptedEngine, answer, chunk, until

CHAT = b'{"model": "a", "messages": []}'
_TIMING = re.compile(rb"queue;dur=[0-9.]+, load;dur=0.0, engine;dur=[0-9.]+")


async def test_bytes_pass_unchanged_both_ways(lab: Lab) -> None:
    body = b'{"messages" :[{"role":"user","content":"\xc3\xa9 \\u00e9"}],\n "model":"b"}  '
    caller = await lab.call()
    await caller.post(body, path=b"/v1/chat/completions?x=%20y", extra=b"Content-Type: a/json\r\nX-Mine: 1\r\n")
    status, headers, returned = await caller.answer()
    assert (status, returned) == (200, body)
    request = lab.engine.requests[0]
    assert (request.method, request.target, request.body) == (b"POST", b"/v1/chat/completions?x=%20y", body)
    assert request.headers[b"x-mine"] == b"1"
    assert request.headers[b"x-request-id"] == headers[b"x-request-id"]
    assert b"authorization" not in request.headers
    assert lab.leases.tickets[0].model == "a"
    [record] = lab.records
    assert (record.model, record.method, record.path, record.status) == ("a", "POST", "/v1/chat/completions", 200)
    assert (record.received, record.reason) == (len(body), "")
    assert record.sent > len(body)
    assert record.id.encode() == headers[b"x-request-id"]


async def test_a_stream_passes_chunk_by_chunk(lab: Lab) -> None:
    go_on = asyncio.Event()

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(STREAM + chunk(b"data: 1\n\n"))
        await go_on.wait()
        writer.write(chunk(b"data: 2\n\n") + b"0\r\n\r\n")

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT)
    head = await caller.reader.readuntil(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    assert b"\r\nContent-Type: text/event-stream\r\n" in head
    assert await caller.chunk() == b"data: 1\n\n"
    assert lab.leases.out, "the lease lasts as long as the stream"
    go_on.set()
    assert await caller.chunk() == b"data: 2\n\n"
    assert await caller.chunk() == b""
    await lab.finished(1)
    assert not lab.leases.out


async def test_connections_are_kept_on_both_sides(lab: Lab) -> None:
    caller = await lab.call()
    for _ in range(3):
        await caller.post(CHAT)
        assert (await caller.answer())[0] == 200
    assert lab.engine.connections == 1
    assert len(lab.engine.requests) == 3


async def test_pipelined_requests_are_answered_in_order(lab: Lab) -> None:
    caller = await lab.call()
    bodies = [b'{"model": "a", "n": %d}' % number for number in range(50)]
    bodies[7] = b"{"
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    requests = [head % len(body) + body for body in bodies]
    await caller.send(b"\r\n".join(requests))
    for body in bodies:
        status, _, returned = await caller.answer()
        assert (status, returned) == (200, body) if body != b"{" else status == 400
    assert [request.body for request in lab.engine.requests] == [body for body in bodies if body != b"{"]


async def test_a_client_that_is_far_ahead_is_not_read_from(lab: Lab) -> None:
    lab.leases.at_once = False
    caller = await lab.call()
    body = json.dumps({"model": "a", "pad": "x" * 100_000}).encode()
    count = 60
    sending = asyncio.create_task(_send_many(caller.post, body, count))
    await asyncio.wait_for(lab.leases.asked.wait(), PATIENCE)
    [connection] = lab.front._connections
    assert isinstance(connection, Connection)
    await until(lambda: not connection.transport.is_reading())
    assert AHEAD_LIMIT < len(connection._ahead) <= AHEAD_LIMIT + 65536
    lab.leases.at_once = True
    lab.leases.tickets[0].client.admitted(lab.leases.socket)
    for _ in range(count):
        status, _, returned = await caller.answer()
        assert (status, returned) == (200, body)
    await sending


async def _send_many(post: object, body: bytes, count: int) -> None:
    for _ in range(count):
        await post(body)  # type: ignore[operator]


async def test_a_chunked_upload_gets_a_length(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b'{"model"', b': "a"', b"}"):
        await caller.send(chunk(piece))
    await caller.send(b"0\r\nX-Trailer: 1\r\n\r\n")
    assert (await caller.answer())[2] == b'{"model": "a"}'
    [request] = lab.engine.requests
    assert request.headers[b"content-length"] == b"14"
    assert b"transfer-encoding" not in request.headers


async def test_an_http_1_0_client_gets_no_chunks(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(STREAM + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + b"0\r\n\r\n")

    lab.engine.script = script
    caller = await lab.call()
    await caller.send(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT))
    status, headers, body = await caller.answer()
    assert (status, body) == (200, b"data: 1\n\ndata: 2\n\n")
    assert b"transfer-encoding" not in headers
    assert headers[b"connection"] == b"close"


async def test_an_http_1_0_client_is_let_go(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT))
    status, headers, body = await caller.answer()
    assert (status, headers[b"connection"], body) == (200, b"close", CHAT)
    assert await caller.rest() == b""


async def test_a_client_that_wants_to_be_told_to_go_on_is_told(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n")
    assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await caller.send(b'{"model": "a"}')
    assert (await caller.answer())[2] == b'{"model": "a"}'
    assert b"expect" not in lab.engine.requests[0].headers


async def test_a_client_may_ask_to_be_let_go(lab: Lab) -> None:
    caller = await lab.call()
    await caller.post(CHAT, extra=b"Connection: close\r\n")
    status, headers, _ = await caller.answer()
    assert (status, headers[b"connection"]) == (200, b"close")
    assert await caller.rest() == b""


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_without_a_body_has_none(lab: Lab, status: bytes) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(b"HTTP/1.1 %b\r\nServer: x\r\n\r\n" % status)

    lab.engine.script = script
    caller = await lab.call()
    for _ in range(2):
        await caller.post(CHAT)
        head = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 %b\r\n" % status)
        assert b"content-length" not in head.lower()
    assert lab.engine.connections == 1


async def test_a_body_that_ends_with_the_connection_does_so_for_the_client(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + request.body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        raise ConnectionError

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT)
    status, headers, body = await caller.answer()
    assert (status, body, headers[b"connection"]) == (200, CHAT, b"close")
    [record] = await lab.finished(1)
    assert record.reason == ""


async def test_interim_answers_stay_here(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(request.body))

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT)
    status, headers, body = await caller.answer()
    assert (status, body) == (200, CHAT)
    assert _TIMING.fullmatch(headers.pop(b"server-timing"))
    assert headers == {**_plain(len(CHAT)), b"x-request-id": lab.records[0].id.encode()}


def _plain(length: int) -> dict[bytes, bytes]:
    return {b"content-type": b"application/json", b"content-length": b"%d" % length}


async def test_what_is_meant_for_one_connection_stays_on_it(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        extra = b"Keep-Alive: timeout=5\r\nConnection: keep-alive\r\nX-Request-Id: theirs\r\nServer: llama.cpp\r\n"
        writer.write(answer(request.body, extra=extra))

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT, extra=b"X-Request-Id: mine\r\nConnection: X-Hop\r\nX-Hop: 1\r\nAuthorization: Bearer x\r\n")
    _, headers, _ = await caller.answer()
    assert _TIMING.fullmatch(headers.pop(b"server-timing"))
    assert headers == {**_plain(len(CHAT)), b"server": b"llama.cpp", b"x-request-id": b"mine"}
    assert lab.engine.requests[0].headers == {
        b"host": b"localhost", b"content-length": b"%d" % len(CHAT), b"x-request-id": b"mine"
    }  # fmt: skip


async def test_request_ids_differ(lab: Lab) -> None:
    caller = await lab.call()
    ids = set()
    for _ in range(3):
        await caller.post(CHAT)
        ids.add((await caller.answer())[1][b"x-request-id"])
    assert len(ids) == 3


async def test_a_kept_connection_that_the_engine_closes_is_replaced(lab: Lab) -> None:
    closing = asyncio.Event()

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(lab.engine.requests) == 2:
            closing.set()
            raise ConnectionError  # in the middle of a request, as when both sides act at the same time
        await ScriptedEngine.echo(request, reader, writer)

    lab.engine.script = script
    caller = await lab.call()
    for _ in range(2):
        await caller.post(CHAT)
        assert (await caller.answer())[0] == 200
    assert closing.is_set()
    assert lab.engine.connections == 2
    assert [request.body for request in lab.engine.requests] == [CHAT] * 3
    assert len(lab.leases.tickets) == 2, "the lease was kept meanwhile"


async def test_an_engine_that_dies_at_work_is_not_asked_twice(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "STALE_SECONDS", 0.0)

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(lab.engine.requests) == 2:
            raise ConnectionError
        await ScriptedEngine.echo(request, reader, writer)

    lab.engine.script = script
    caller = await lab.call()
    for status in (200, 502):
        await caller.post(CHAT)
        assert (await caller.answer())[0] == status
    assert len(lab.engine.requests) == 2


async def test_a_fresh_connection_is_not_tried_twice(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise ConnectionError(request, reader, writer)

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT)
    status, _, body = await caller.answer()
    assert (status, json.loads(body)["error"]["code"]) == (502, "engine_broke_off")
    assert len(lab.engine.requests) == 1


async def test_an_engine_that_wants_its_connection_closed_is_obeyed(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(answer(request.body, extra=b"Connection: close\r\n"))

    lab.engine.script = script
    caller = await lab.call()
    for count in (1, 2):
        await caller.post(CHAT)
        status, headers, _ = await caller.answer()
        assert status == 200
        assert b"connection" not in headers
        assert lab.engine.connections == count


async def test_connections_to_an_engine_that_stops_are_closed(lab: Lab) -> None:
    caller = await lab.call()
    await caller.post(CHAT)
    await caller.answer()
    assert lab.pool.open == 1
    lab.pool.forget(lab.leases.socket)
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    assert lab.pool.open == 0


async def test_kept_connections_are_closed_after_a_while(lab: Lab) -> None:
    caller = await lab.call()
    began = asyncio.get_running_loop().time()
    await caller.post(CHAT)
    await caller.answer()
    lab.pool.sweep(began + pool.IDLE_SECONDS)
    assert lab.pool.open == 1
    lab.pool.sweep(asyncio.get_running_loop().time() + pool.IDLE_SECONDS + 1.0)
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    assert lab.pool.open == 0


async def test_draining_lets_streams_end_and_keeps_no_connection(lab: Lab) -> None:
    lab.leases.at_once = False
    idle, busy = await lab.call(), await lab.call()
    await busy.post(CHAT)
    await asyncio.wait_for(lab.leases.asked.wait(), PATIENCE)
    draining = asyncio.create_task(lab.front.drain())
    assert await idle.rest() == b""
    assert not draining.done()
    assert lab.front.busy == 1
    lab.leases.tickets[0].client.admitted(lab.leases.socket)
    status, headers, _ = await busy.answer()
    assert (status, headers[b"connection"]) == (200, b"close")
    assert await busy.rest() == b""
    await asyncio.wait_for(draining, PATIENCE)


_EVENTS = [b"data: %d\n\n" % number for number in range(5)]
_ANSWERS = (
    b"HTTP/1.1 102 Processing\r\n\r\n" + STREAM + b"".join(map(chunk, _EVENTS)) + b"0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 45\r\n\r\n" + b"".join(_EVENTS),
)


_CUTS = st.lists(st.integers(0, len(_ANSWERS[0])), max_size=40)


@given(st.sampled_from(_ANSWERS), st.sampled_from([b"1.0", b"1.1"]), _CUTS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_does_not_matter_how_answers_are_cut(
    tmp_path_factory: pytest.TempPathFactory, answered: bytes, version: bytes, cuts: list[int]
) -> None:
    async def story() -> None:
        async with Lab(tmp_path_factory.mktemp("lab")) as lab:

            async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                del request, writer
                await reader.read()
                raise ConnectionError

            lab.engine.script = script
            caller = await lab.call()
            head = b"POST /v1/completions HTTP/%b\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (version, len(CHAT))
            await caller.send(head + CHAT)
            await asyncio.wait_for(lab.engine.arrived.wait(), PATIENCE)
            [connection] = lab.pool._open
            edges = sorted({0, len(answered), *(cut for cut in cuts if cut < len(answered))})
            for start, end in pairwise(edges):
                connection.get_buffer(-1)[: end - start] = answered[start:end]
                connection.buffer_updated(end - start)
            status, headers, body = await caller.answer()
            assert (status, body) == (200, b"".join(_EVENTS))
            assert (b"transfer-encoding" in headers) is (version == b"1.1" and b"chunked" in answered)
            [record] = await lab.finished(1)
            assert record.reason == ""

    asyncio.run(story())


_WHOLE = b'POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: one\r\nContent-Length: 14\r\n\r\n{"model": "a"}'
_CHUNKED = (
    b"\r\nPOST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: two\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunk(b'{"mode') + chunk(b'l": "b"}') + b"0\r\n\r\n"
)  # fmt: skip


@given(cuts=st.lists(st.integers(0, len(_WHOLE + _CHUNKED)), max_size=60))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_does_not_matter_how_requests_are_cut(cuts: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    async def story() -> None:
        async with Lab(tmp_path_factory.mktemp("lab")) as lab:
            caller = await lab.call()
            await until(lambda: lab.front.connections)
            [connection] = lab.front._connections
            assert isinstance(connection, Connection)
            data = _WHOLE + _CHUNKED
            for start, end in pairwise(sorted({0, len(data), *cuts})):
                connection.get_buffer(-1)[: end - start] = data[start:end]
                connection.buffer_updated(end - start)
                if start % 3 == 0:
                    await asyncio.sleep(0)
            for name, body in ((b"one", b'{"model": "a"}'), (b"two", b'{"model": "b"}')):
                status, headers, returned = await caller.answer()
                assert (status, headers[b"x-request-id"], returned) == (200, name, body)

    asyncio.run(story())


async def test_who_may_read_an_answer_is_not_for_the_engine_to_say(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        allowing = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n"
        writer.write(answer(request.body, extra=allowing))

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(CHAT)
    _, headers, _ = await caller.answer()
    assert not [name for name in headers if name.startswith(b"access-control")]
