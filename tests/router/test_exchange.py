"""What happens to one request on its way: filters, looks, keys, timings, tokens."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256

import pytest

from swapper.config import Filters, KeySettings
from swapper.core.model import Failure
from swapper.keys import Key
from swapper.router.access import Access
from swapper.router.gate import Gate
from swapper.router.wire.ports import FetchedMedia, Target
from tests.router.conftest import STREAM, Lab, Request, Script, answer, chunk

FILTERS = Filters((("temperature", "0.5"),), ("top_k",))


def saying(response: bytes) -> Script:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(response)

    return script


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
async def test_filters_change_what_the_engine_gets(lab: Lab, size: int) -> None:
    lab.target = Target("a", FILTERS)
    caller = await lab.call()
    pad = "x" * size
    await caller.post(json.dumps({"top_k": 3, "pad": pad, "model": "a", "temperature": 2, "n": 1}).encode())
    status, _, body = await caller.answer()
    assert status == 200
    assert json.loads(body, object_pairs_hook=list) == [
        ("temperature", 0.5), ("pad", pad), ("model", "a"), ("n", 1),
    ]  # fmt: skip


async def test_filters_and_media_together(lab: Lab) -> None:
    class Medium:
        def segments(self) -> Sequence[bytes]:
            return (b'"data:image/png;base64,QQ=="',)

        def close(self) -> None:
            pass

    class Source:
        async def fetch(self, urls: Sequence[str], room: int) -> Mapping[str, FetchedMedia]:
            assert room > 0
            return {url: Medium() for url in urls}

    lab.target = Target("a", Filters((("n", "1"),), ("input",)))
    lab.use(media=Source())
    caller = await lab.call()
    part = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/a.png"}}]}]
    await caller.post(json.dumps({"model": "a", "input": part, "messages": part}).encode())
    _, _, body = await caller.answer()
    value = json.loads(body)
    assert value["messages"][0]["content"][0]["image_url"]["url"] == "data:image/png;base64,QQ=="
    assert value["n"] == 1
    assert "input" not in value


async def test_a_form_is_not_filtered(lab: Lab) -> None:
    lab.target = Target("a", FILTERS)
    caller = await lab.call()
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\na\r\n--b--\r\n'
    kind = b"Content-Type: multipart/form-data; boundary=b\r\n"
    await caller.post(form, path=b"/v1/audio/transcriptions", extra=kind)
    assert (await caller.answer())[2] == form


async def test_a_look_takes_no_lease(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(b"GET /props?model=a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await caller.answer())[0] == 200
    assert lab.engine.requests[0].target == b"/props?model=a"
    assert b"content-length" not in lab.engine.requests[0].headers
    assert not lab.leases.tickets


async def test_a_look_at_what_is_not_loaded_says_so(lab: Lab) -> None:
    lab.leases.failure = Failure("model_not_loaded", "a is not loaded.")
    caller = await lab.call()
    await caller.send(b"GET /props?model=a HTTP/1.1\r\nHost: x\r\n\r\n")
    status, _, body = await caller.answer()
    assert (status, json.loads(body)["error"]["code"]) == (503, "model_not_loaded")
    assert not lab.leases.tickets


async def test_a_path_of_the_engine_itself(lab: Lab) -> None:
    caller = await lab.call()
    await caller.post(b"no json at all", path=b"/upstream/a/pooling?x=1")
    status, _, body = await caller.answer()
    assert (status, body) == (200, b"no json at all")
    assert lab.engine.requests[0].target == b"/pooling?x=1"
    large = b"\xff" * 2_000_000
    await caller.post(large, path=b"/upstream/a/pooling")
    assert (await caller.answer())[2] == large
    assert [record.route for record in await lab.finished(2)] == ["/upstream/"] * 2


async def test_an_answer_to_head_has_no_body(lab: Lab) -> None:
    lab.engine.script = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    caller = await lab.call()
    await caller.send(b"HEAD /upstream/a/health HTTP/1.1\r\nHost: x\r\n\r\n")
    await caller.send(b"GET /props?model=a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 500" in await caller.reader.readuntil(b"\r\n\r\n")
    lab.engine.script = saying(answer(b"next"))
    assert (await caller.answer())[2] == b"next"


def keyed(lab: Lab, *, concurrency: int | None = None) -> None:
    key = (sha256(b"a-good-long-key!").digest(), Key("alice", admin=False))
    settings = [KeySettings("alice", concurrency)]
    lab.use(access=Access([key], (), ("https://chat.example.com",), settings), gate=Gate(time.monotonic))


GOOD = b"Authorization: Bearer a-good-long-key!\r\n"


async def test_a_key_is_asked_for_noted_and_kept(lab: Lab) -> None:
    keyed(lab)
    caller = await lab.call()
    await caller.post(b'{"model": "a"}', extra=GOOD)
    assert (await caller.answer())[0] == 200
    assert (await lab.finished(1))[0].key == "alice"
    assert b"authorization" not in lab.engine.requests[0].headers
    await caller.post(b'{"model": "a"}')
    status, headers, body = await caller.answer()
    assert (status, json.loads(body)["error"]["code"]) == (401, "key_missing")
    assert b"bearer" in headers[b"www-authenticate"].lower()
    assert len(lab.engine.requests) == 1


async def test_who_has_no_key_need_not_send_a_body(lab: Lab) -> None:
    keyed(lab)
    caller = await lab.call()
    await caller.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 400000000\r\n\r\n")
    assert (await caller.answer())[0] == 401


async def test_what_the_router_answers_itself_is_guarded_too(lab: Lab) -> None:
    keyed(lab)
    for path, extra, code in ((b"/api/models", b"", b"key_missing"), (b"/metrics", GOOD, b"key_scope"),
                              (b"/v1/models", b"x-api-key: wrong-wrong-wrong\r\n", b"key_wrong")):  # fmt: skip
        caller = await lab.call()
        await caller.send(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path, extra))
        assert code in (await caller.answer())[2]


async def test_a_key_has_so_many_requests_at_once(lab: Lab) -> None:
    keyed(lab, concurrency=1)
    lab.leases.at_once = False
    first, second = await lab.call(), await lab.call()
    await first.post(b'{"model": "a"}', extra=GOOD)
    await lab.leases.asked.wait()
    await second.post(b'{"model": "a"}', extra=GOOD)
    status, _, body = await second.answer()
    assert (status, json.loads(body)["error"]["code"]) == (429, "key_busy")
    lab.leases.at_once = True
    lab.leases.tickets[0].client.admitted(lab.leases.socket, 0.0)
    assert (await first.answer())[0] == 200
    await second.post(b'{"model": "a"}', extra=GOOD)
    assert (await second.answer())[0] == 200


async def test_pages_that_may_read_are_told_so(lab: Lab) -> None:
    keyed(lab)
    origin = b"Origin: https://chat.example.com\r\n"
    caller = await lab.call()
    await caller.send(b"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\n%b\r\n" % origin)
    head = await caller.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"Access-Control-Allow-Origin: https://chat.example.com" in head
    for extra, status in ((GOOD, 200), (b"", 401)):
        await caller.post(b'{"model": "a"}', extra=origin + extra)
        got, headers, _ = await caller.answer()
        assert (got, headers[b"access-control-allow-origin"]) == (status, b"https://chat.example.com")
    caller = await lab.call()
    await caller.post(b'{"model": "a"}', extra=GOOD + b"Origin: https://evil.example\r\n")
    status, headers, _ = await caller.answer()
    assert status == 403
    assert b"access-control-allow-origin" not in headers


async def test_times_are_told(lab: Lab) -> None:
    lab.leases.at_once = False
    caller = await lab.call()
    await caller.post(b'{"model": "a"}')
    await lab.leases.asked.wait()
    lab.leases.tickets[0].client.admitted(lab.leases.socket, 0.0)
    _, headers, _ = await caller.answer()
    timing = dict(part.split(b";dur=") for part in headers[b"server-timing"].split(b", "))
    assert timing.keys() == {b"queue", b"load", b"engine"}
    assert all(float(value) >= 0 for value in timing.values())
    await caller.post(b'{"model": "nobody"}')
    assert b"server-timing" in (await caller.answer())[1]


async def test_tokens_are_found_however_the_last_events_come(lab: Lab) -> None:
    last = [b'data: {"usage":{"prompt_tokens":5,"completion_tokens":7}}\n\n', b"data: [DONE]\n\n"]

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        for block in (STREAM, chunk(b'data: {"delta": "x"}\n\n'), *map(chunk, last), b"0\r\n", b"\r\n"):
            for _ in range(20):  # the block before has been read
                await asyncio.sleep(0)
            writer.write(block)

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(b'{"model": "a"}')
    await caller.answer()
    record = (await lab.finished(1))[0]
    assert (record.tokens_in, record.tokens_out) == (5, 7)


@pytest.mark.parametrize(
    ("response", "tokens"),
    [
        (answer(b'{"usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}'), (5, 7)),
        (answer(b'{"content": "\\"prompt_tokens\\": 9", "usage":{"prompt_tokens":5,"completion_tokens":7}}'), (5, 7)),
        (answer(b'{"usage": {"input_tokens": 5, "output_tokens": 7}}'), (5, 7)),
        (answer(b'{"usage": {"prompt_tokens": 5, "total_tokens": 5}}'), (5, None)),
        (answer(b'{"timings":{"cache_n":2,"prompt_n":3,"prompt_ms":1.5,"predicted_n":7}}'), (5, 7)),
        (answer(b"{}"), (None, None)),
        (
            STREAM
            + chunk(b'event: message_start\ndata: {"message": {"usage": {"input_tokens": 5, "output_tokens": 0}}}\n\n')
            + b"".join(chunk(b'data: {"delta": "x"}\n\n') for _ in range(3))
            + chunk(b'event: message_delta\ndata: {"usage": {"output_tokens": 7}}\n\n')
            + b"0\r\n\r\n",
            (5, 7),
        ),
    ],
)
async def test_tokens_are_those_that_the_engine_reports(
    lab: Lab, response: bytes, tokens: tuple[int | None, int | None]
) -> None:
    lab.engine.script = saying(response)
    caller = await lab.call()
    await caller.post(b'{"model": "a"}')
    await caller.answer()
    record = (await lab.finished(1))[0]
    assert (record.tokens_in, record.tokens_out) == tokens
