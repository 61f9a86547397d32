"""What clients see when something goes wrong: an error with a code and a hint, and never a clean end in the middle."""

import asyncio
import json

import pytest

from swapper.core.model import Failure
from swapper.router.errors import ApiError
from swapper.router.wire import exchange
from swapper.router.wire.exchange import Exchange
from swapper.router.wire.upstream import Upstream
from tests.router.conftest import PATIENCE, STREAM, Caller, Lab, Request, Script, answer, chunk, until

CHAT = b'{"model": "a", "messages": []}'
FAILURE = Failure("model_failed", "The unit failed.", "Look at its log.", retry_after=7)


def _says(data: bytes) -> Script:
    """A script that writes this, and then waits for its connection to be closed."""

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request
        writer.write(data)
        await reader.read()
        raise ConnectionError

    return script


def _code(body: bytes) -> str:
    error = json.loads(body)["error"]
    assert error["message"]
    assert error["type"]
    return str(error["code"])


async def test_a_rejected_request_is_told_why(lab: Lab) -> None:
    lab.leases.failure = FAILURE
    caller = await lab.call()
    await caller.post(CHAT)
    status, headers, body = await caller.answer()
    assert (status, _code(body)) == (503, "model_failed")
    assert json.loads(body)["error"]["hint"] == "explained for a"
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"retry-after"] == b"7"
    assert b"x-request-id" in headers
    lab.leases.failure = None
    await caller.post(CHAT)
    assert (await caller.answer())[0] == 200, "the connection is kept"
    assert [record.reason for record in lab.records] == ["model_failed", ""]
    assert lab.records[0].queued is None


async def test_a_request_that_is_rejected_because_the_router_ends(lab: Lab) -> None:
    lab.leases.at_once = False
    caller = await lab.call()
    await caller.post(CHAT)
    await until(lambda: lab.leases.tickets)
    draining = asyncio.create_task(lab.front.drain())
    await asyncio.sleep(0)
    lab.leases.tickets[0].client.rejected(Failure("router_stopping", "The router ends."))
    status, headers, _ = await caller.answer()
    assert (status, headers[b"connection"]) == (503, b"close")
    await asyncio.wait_for(draining, PATIENCE)


async def test_an_engine_that_is_not_there(lab: Lab) -> None:
    await lab.engine.stop()
    caller = await lab.call()
    await caller.post(CHAT)
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (503, "engine_unreachable")
    assert not lab.leases.out
    assert len(lab.leases.tickets) == 2, "it asked once more"


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_an_engine_that_has_just_been_replaced(lab: Lab, size: int) -> None:
    async def explain(failure: Failure, model: str) -> ApiError:
        assert not lab.leases.out, "nobody is kept from starting the next engine"
        await lab.engine.start()
        return await lab.explain(failure, model)

    await lab.engine.stop()
    lab.use(explain=explain)
    caller = await lab.call()
    body = b'{"model": "a", "pad": "%b"}' % (b"x" * size)
    await caller.post(body)
    status, _, returned = await caller.answer()
    assert (status, returned) == (200, body)
    assert len(lab.leases.tickets) == 2


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_an_engine_that_takes_connections_and_drops_them(lab: Lab, size: int) -> None:
    def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.transport.abort()

    await lab.engine.stop()
    server = await asyncio.start_unix_server(drop, lab.engine.path)
    caller = await lab.call()
    await caller.post(b'{"model": "a", "pad": "%b"}' % (b"x" * size))
    status, _, returned = await caller.answer()
    assert (status, _code(returned)) == (502, "engine_broke_off")
    server.close()
    await server.wait_closed()


async def test_a_connection_that_is_gone_before_it_is_used(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = lab.pool.connect

    async def connect_and_lose(path: str) -> Upstream:
        upstream = await connect(path)
        upstream._transport.abort()
        await until(lambda: lab.pool.open == 0)
        return upstream

    monkeypatch.setattr(lab.pool, "connect", connect_and_lose)
    caller = await lab.call()
    await caller.post(CHAT)
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (502, "engine_broke_off")


async def test_a_kept_connection_that_is_closed_before_a_large_body_is_sent(lab: Lab) -> None:
    caller = await lab.call()
    await caller.post(CHAT)
    await caller.answer()
    lab.leases.at_once = False
    body = b'{"model": "a", "pad": "%b"}' % (b"x" * 3_000_000)
    await caller.post(body)
    await until(lambda: len(lab.leases.tickets) == 2)
    [kept] = lab.pool._open
    lab.leases.tickets[1].client.admitted(lab.leases.socket)
    kept._transport.abort()  # before the task that sends the body has begun
    status, _, returned = await caller.answer()
    assert (status, returned) == (200, body)
    assert lab.engine.connections == 2


async def test_an_engine_that_dies_before_it_answers(lab: Lab) -> None:
    lab.engine.script = _says(b"HTTP/1.1 200 OK\r\nContent-Le")
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(lab.engine.arrived.wait(), PATIENCE)
    await lab.engine.stop()
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (502, "engine_broke_off")


async def _begin(lab: Lab, data: bytes) -> Caller:
    """A client that has got the head of an answer, and as much of it as has come."""
    lab.engine.script = _says(data)
    caller = await lab.call()
    await caller.post(CHAT)
    assert b" 200 OK\r\n" in await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), PATIENCE)
    return caller


async def test_a_stream_whose_engine_dies_ends_in_an_error_event(lab: Lab) -> None:
    caller = await _begin(lab, STREAM + chunk(b"data: 1\n\n"))
    assert await caller.chunk() == b"data: 1\n\n"
    await lab.engine.stop()
    event = await caller.chunk()
    assert event.startswith(b"data: {")
    assert event.endswith(b"\n\n")
    assert _code(event[6:]) == "engine_broke_off"
    assert await caller.rest() == b"", "the last chunk is missing, so it is no clean end"
    [record] = await lab.finished(1)
    assert (record.status, record.reason) == (200, "engine_broke_off")


async def test_a_stream_of_anthropics_ends_in_an_error_event_with_a_name(lab: Lab) -> None:
    lab.engine.script = _says(STREAM + chunk(b"event: ping\ndata: {}\n\n"))
    caller = await lab.call()
    await caller.post(CHAT, path=b"/v1/messages?beta=true")
    assert b" 200 OK\r\n" in await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert await caller.chunk() == b"event: ping\ndata: {}\n\n"
    await lab.engine.stop()
    name, _, data = (await caller.chunk()).partition(b"\ndata: ")
    assert (name, json.loads(data)["type"], _code(data)) == (b"event: error", "error", "engine_broke_off")
    assert await caller.rest() == b""


@pytest.mark.parametrize("space", [b"", b" "])
async def test_a_stream_that_the_engine_gives_up_does_not_look_whole(lab: Lab, space: bytes) -> None:
    last = b'data: {"choices": [{"delta": {}, "finish_reason":%b"abort"}]}\n\n' % space
    quoted = b'data: {"choices": [{"delta": {"content": "\\"finish_reason\\":%b\\"abort\\""}}]}\n\n' % space
    end = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    caller = await _begin(lab, STREAM + chunk(quoted) + chunk(b"data: 2\n\n") + chunk(last) + end)
    assert await caller.chunk() == quoted
    assert await caller.chunk() == b"data: 2\n\n"
    assert _code((await caller.chunk())[6:]) == "engine_broke_off"
    assert await caller.rest() == b""
    [record] = await lab.finished(1)
    assert (record.status, record.reason) == (200, "engine_broke_off")


@pytest.mark.parametrize("space", [b"", b" "])
async def test_a_stream_whose_engine_is_said_to_be_dead_does_not_look_whole(lab: Lab, space: bytes) -> None:
    word = b"EngineCore encountered an issue. See stack trace (above) for the root cause."
    error = b'{"message":%b"%b", "type": "InternalServerError", "code": 500}' % (space, word)
    last = b'data: {"error":%b%b}\n\n' % (space, error)
    quoted = b'data: {"choices": [{"delta": {"content": "{\\"error\\": {\\"message\\": \\"%b"}}]}\n\n' % word
    end = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    caller = await _begin(lab, STREAM + chunk(quoted) + chunk(b"data: 2\n\n") + chunk(last) + end)
    assert await caller.chunk() == quoted
    assert await caller.chunk() == b"data: 2\n\n"
    assert _code((await caller.chunk())[6:]) == "engine_broke_off"
    assert await caller.rest() == b""
    [record] = await lab.finished(1)
    assert (record.status, record.reason) == (200, "engine_broke_off")


async def test_a_stream_of_which_nothing_came_before_it_is_given_up(lab: Lab) -> None:
    caller = await _begin(lab, STREAM + chunk(b'data: {"finish_reason":"abort"}\n\n') + b"0\r\n\r\n")
    assert b"abort" not in await caller.rest()


async def test_a_stream_whose_lease_is_taken_away_says_why(lab: Lab) -> None:
    caller = await _begin(lab, STREAM + chunk(b"data: 1\n\n"))
    assert await caller.chunk() == b"data: 1\n\n"
    lab.leases.tickets[0].client.aborted(FAILURE)
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    error = json.loads((await caller.chunk())[6:])["error"]
    assert (error["code"], error["hint"]) == ("engine_broke_off", "Look at its log.")
    assert error["message"].endswith(" is gone: The unit failed.")
    assert await caller.rest() == b""


@pytest.mark.parametrize(
    ("failure", "code"), [(FAILURE, "engine_broke_off"), (Failure("model_stopped", "By hand."), "model_stopped")]
)
async def test_systemds_word_comes_a_moment_after_the_end_of_the_connection(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, failure: Failure, code: str
) -> None:
    seen = asyncio.Event()
    broken = Exchange.broken

    def broken_and_seen(self: Exchange, why: str) -> None:
        broken(self, why)
        seen.set()

    monkeypatch.setattr(exchange, "_WORD", PATIENCE)
    monkeypatch.setattr(Exchange, "broken", broken_and_seen)
    caller = await _begin(lab, STREAM + chunk(b"data: 1\n\n"))
    assert await caller.chunk() == b"data: 1\n\n"
    await lab.engine.stop()
    await asyncio.wait_for(seen.wait(), PATIENCE)
    lab.leases.tickets[0].client.aborted(failure)
    error = json.loads((await caller.chunk())[6:])["error"]
    assert (error["code"], failure.message in error["message"]) == (code, True)
    assert await caller.rest() == b""


@pytest.mark.parametrize("data", [chunk(b"data: 1\n\n")[:-4], chunk(b"data: 1\n\n") + b"9", chunk(b"data: half an ev")])
async def test_no_event_is_put_into_the_middle_of_something(lab: Lab, data: bytes) -> None:
    caller = await _begin(lab, STREAM + data)
    assert await caller.reader.readexactly(len(data)) == data
    await lab.engine.stop()
    assert await caller.rest() == b""


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain"])
async def test_no_event_is_put_where_events_do_not_belong(lab: Lab, kind: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
    caller = await _begin(lab, head + chunk(b"data: 1\n\n"))
    assert await caller.chunk() == b"data: 1\n\n"
    await lab.engine.stop()
    assert await caller.rest() == b""


@pytest.mark.parametrize("data", [b"", chunk(b"data: 1\r\n\r\n"), chunk(b"data: 1\n") + chunk(b"\n")])
async def test_an_event_is_put_wherever_one_may_begin(lab: Lab, data: bytes) -> None:
    caller = await _begin(lab, STREAM + data)
    assert await caller.reader.readexactly(len(data)) == data
    await lab.engine.stop()
    assert _code((await caller.chunk())[6:]) == "engine_broke_off"
    assert await caller.rest() == b""


async def test_an_answer_with_a_length_ends_short(lab: Lab) -> None:
    caller = await _begin(lab, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    assert await caller.reader.readexactly(4) == b"half"
    await lab.engine.stop()
    assert await caller.rest() == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_that_ends_with_the_connection_is_reset(lab: Lab, version: bytes) -> None:
    lab.engine.script = _says(b"HTTP/1.1 200 OK\r\n\r\nhalf" if version == b"1.1" else STREAM + chunk(b"half"))
    caller = await lab.call()
    head = b"POST /v1/completions HTTP/%b\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (version, len(CHAT))
    await caller.send(head + CHAT)
    assert (await asyncio.wait_for(caller.reader.readuntil(b"half"), PATIENCE)).endswith(b"half")
    lab.leases.tickets[0].client.aborted(FAILURE)
    with pytest.raises(ConnectionResetError):
        await caller.rest()


async def test_a_lease_that_is_taken_away_before_the_answer(lab: Lab) -> None:
    lab.engine.script = _says(b"")
    caller = await lab.call()
    await caller.post(CHAT)
    await asyncio.wait_for(lab.engine.arrived.wait(), PATIENCE)
    lab.leases.tickets[0].client.aborted(FAILURE)
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (503, "model_failed")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
async def test_an_engine_that_does_not_speak_http(lab: Lab, data: bytes) -> None:
    lab.engine.script = _says(data)
    caller = await lab.call()
    await caller.post(CHAT)
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (502, "engine_broke_off")


async def test_an_engine_whose_chunks_are_wrong(lab: Lab) -> None:
    caller = await _begin(lab, STREAM + chunk(b"data: 1\n\n"))
    assert await caller.chunk() == b"data: 1\n\n"
    await lab.engine.stop()
    assert b"engine_broke_off" in await caller.rest()


async def test_what_an_engine_says_after_its_answer_goes_nowhere(lab: Lab) -> None:
    lab.engine.script = _says(answer(b"ok") + answer(b"evil"))
    caller = await lab.call()
    await caller.post(CHAT)
    assert (await caller.answer())[2] == b"ok"
    await asyncio.wait_for(lab.engine.lost.wait(), PATIENCE)
    assert lab.pool.open == 0


async def test_a_failing_explanation_is_an_internal_error(lab: Lab) -> None:
    async def explain(failure: Failure, model: str) -> ApiError:
        raise RuntimeError(failure, model)

    lab.leases.failure = FAILURE
    lab.use(explain=explain)
    caller = await lab.call()
    await caller.post(CHAT)
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (500, "internal_error")


async def test_an_unknown_model(lab: Lab) -> None:
    caller = await lab.call()
    await caller.post(b'{"model": "nobody"}')
    status, _, body = await caller.answer()
    assert (status, _code(body)) == (404, "model_not_found")
    assert lab.leases.tickets == []
    assert lab.records[0].model == "nobody"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"{}", "model_missing"),
        (b'{"model": 1}', "model_invalid"),
        (b'{"model": "a", "model": "b"}', "duplicate_model"),
        (b'{"model": "a"} {"model": "b"}', "invalid_json"),
        (b'{"model": "\xff"}', "invalid_json"),
    ],
)
async def test_a_body_that_is_no_question(lab: Lab, body: bytes, code: str) -> None:
    caller = await lab.call()
    for _ in range(2):  # the connection is kept
        await caller.post(body)
        status, _, returned = await caller.answer()
        assert (status, _code(returned)) == (400, code)
        assert json.loads(returned)["error"]["hint"]
    assert lab.leases.tickets == []
