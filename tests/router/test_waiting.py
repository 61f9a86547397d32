"""Streams that wait: comments while a model loads, and whatever the engine answers then."""

import asyncio
import json
import re

import pytest

from swapper.core.model import Failure
from swapper.router.wire.ports import Comments, Target
from tests.router.conftest import STREAM, Caller, Lab, Request, Script, answer, chunk, until

STREAMING = b'{"model": "a", "messages": [], "stream": true}'
SOON = Comments(first=0.02, again=0.02)
EVENT = b'data: {"choices": []}\n\n'


async def waiting(lab: Lab, body: bytes = STREAMING, path: bytes = b"/v1/chat/completions") -> Caller:
    """A client whose request waits, and that has been told so twice."""
    lab.leases.at_once = False
    lab.use(comments=SOON)
    caller = await lab.call()
    await caller.post(body, path=path)
    head = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/event-stream\r\n" in head
    assert b"Transfer-Encoding: chunked\r\n" in head
    for _ in range(2):
        assert await caller.chunk() == b": a is loading, 0\n\n"
    return caller


def grant(lab: Lab) -> None:
    lab.leases.tickets[-1].client.admitted(str(lab.engine.path), 0.0)


async def after_comments(caller: Caller) -> bytes:
    """What comes when the engine has the word, up to the last chunk, which must come."""
    data = b""
    while piece := await caller.chunk():
        data += piece if not piece.startswith(b":") else b""
    assert await caller.reader.readexactly(2) == b"\r\n"
    return data


def script_of(response: bytes) -> Script:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(response)
        if b"Content-Length" not in response and b"chunked" not in response:
            await writer.drain()
            raise ConnectionError

    return script


async def test_the_engines_stream_goes_on_in_the_one_that_waited(lab: Lab) -> None:
    lab.engine.script = script_of(STREAM + chunk(EVENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    caller = await waiting(lab)
    grant(lab)
    assert await after_comments(caller) == EVENT + b"data: [DONE]\n\n"
    lab.leases.at_once = True
    await caller.post(b'{"model": "a"}')  # the connection is as good as any
    assert (await caller.answer())[0] == 200
    record = (await lab.finished(2))[0]
    assert (record.status, record.reason) == (200, "")


async def test_events_without_chunks_get_some(lab: Lab) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(EVENT)
    lab.engine.script = script_of(head + EVENT)
    caller = await waiting(lab)
    grant(lab)
    assert await after_comments(caller) == EVENT


async def test_events_that_end_with_the_connection_get_chunks(lab: Lab) -> None:
    lab.engine.script = script_of(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENT)
    caller = await waiting(lab)
    grant(lab)
    assert await after_comments(caller) == EVENT


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_engines_error_becomes_an_event(lab: Lab, chunked: bool) -> None:
    error = b'{\n "error": {"message": "too long", "code": 400}\n}'
    response = answer(error, status=b"400 Bad Request")
    if chunked:
        response = b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(error) + b"0\r\n\r\n"
    lab.engine.script = script_of(response)
    caller = await waiting(lab)
    grant(lab)
    rest = (await caller.rest()).rpartition(b"data: ")[2]
    assert json.loads(rest.partition(b"\n\n")[0]) == {"error": {"message": "too long", "code": 400}}
    assert not rest.endswith(b"0\r\n\r\n")  # never a clean end
    assert (await lab.finished(1))[0].reason == "engine_refused"


async def test_an_error_that_is_not_json_is_quoted(lab: Lab) -> None:
    lab.engine.script = script_of(answer(b"no way", status=b"500 Oh"))
    caller = await waiting(lab)
    grant(lab)
    assert b"The engine refused the request: no way" in await caller.rest()


async def test_an_answer_that_is_no_stream_becomes_one_event(lab: Lab) -> None:
    lab.engine.script = script_of(answer(b'{"text":\n"hello"}'))
    caller = await waiting(lab, path=b"/v1/audio/transcriptions")
    grant(lab)
    assert await after_comments(caller) == b'data: {"text": "hello"}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("path", "event"),
    [
        (b"/v1/chat/completions", b'data: {"error": {"message": "It broke."'),
        (b"/v1/messages", b'event: error\ndata: {"type": "error", "error": {"message": "It broke."'),
    ],
)
async def test_a_load_that_fails_is_an_event(lab: Lab, path: bytes, event: bytes) -> None:
    caller = await waiting(lab, path=path)
    lab.leases.out.clear()
    lab.leases.tickets[-1].client.rejected(Failure("model_failed", "It broke."))
    rest = await caller.rest()
    assert event in rest
    assert not rest.endswith(b"0\r\n\r\n")
    record = (await lab.finished(1))[0]
    assert (record.status, record.reason) == (200, "model_failed")


async def test_an_engine_that_dies_before_its_first_byte_is_an_event(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader, writer
        raise ConnectionError

    lab.engine.script = script
    caller = await waiting(lab)
    grant(lab)
    assert b'"code": "engine_broke_off"' in await caller.rest()


async def test_who_leaves_while_waiting_holds_nothing(lab: Lab) -> None:
    caller = await waiting(lab)
    caller.leave()
    assert (await lab.finished(1))[0].reason == "client_gone"
    assert not lab.leases.out


async def test_a_client_that_does_not_read_is_not_flooded(lab: Lab) -> None:
    lab.target = Target("a")
    lab.use(comments=Comments(0.0, 0.0), situation=lambda model, _: model * 100_000)
    lab.leases.at_once = False
    caller = await lab.call()
    await caller.post(STREAMING)
    await until(lambda: lab.front.connections)
    [connection] = lab.front._connections
    async with asyncio.timeout(10):
        while not connection.paused:  # noqa: ASYNC110 - of which no event tells
            await asyncio.sleep(0.01)
    size = connection.transport.get_write_buffer_size()
    await asyncio.sleep(0.1)
    assert connection.transport.get_write_buffer_size() <= size
    caller.leave()
    await lab.finished(1)


@pytest.mark.parametrize(
    "body", [b'{"model": "a", "stream": false}', b'{"model": "a"}', b'{"model": "a", "stream": "true"}']
)
async def test_who_wants_no_stream_waits_in_silence_for_a_real_status(lab: Lab, body: bytes) -> None:
    lab.use(comments=SOON)
    lab.leases.at_once = False
    lab.engine.script = script_of(answer(b"{}", status=b"418 Teapot"))
    caller = await lab.call()
    await caller.post(body)
    await lab.leases.asked.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.reader.read(1), 0.2)
    grant(lab)
    assert (await caller.answer())[0] == 418


async def test_reasoning_where_the_model_says_so(lab: Lab) -> None:
    lab.target = lab.target._replace(loading_message=True)
    lab.use(comments=SOON)
    lab.leases.at_once = False
    lab.engine.script = script_of(STREAM + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    caller = await lab.call()
    await caller.post(b'{"model": "b", "messages": [], "stream": true}')
    await caller.reader.readuntil(b"\r\n\r\n")
    said = await caller.chunk()
    assert re.match(rb"data: .*\n\n\Z", said)
    value = json.loads(said[6:])
    assert value["object"] == "chat.completion.chunk"
    assert value["model"] == "b"
    assert value["choices"][0]["delta"] == {"role": "assistant", "reasoning_content": "a is loading, 0\n"}
    grant(lab)
    await after_comments(caller)


async def test_old_clients_wait_in_silence(lab: Lab) -> None:
    lab.use(comments=SOON)
    lab.leases.at_once = False
    lab.engine.script = script_of(STREAM + chunk(EVENT) + b"0\r\n\r\n")
    caller = await lab.call()
    head = b"POST /v1/chat/completions HTTP/1.0\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(STREAMING)
    await caller.send(head + STREAMING)
    await lab.leases.asked.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.reader.read(1), 0.2)
    grant(lab)
    assert (await caller.rest()).endswith(EVENT)
