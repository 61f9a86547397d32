"""Bodies too large for memory: to disk, and from there to the engine, byte for byte, and nothing stays behind."""

import asyncio
import hashlib
import json
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.router.conftest import PATIENCE, Caller, Lab, Request, answer, chunk
from tests.router.test_form import form

MIB = 1024 * 1024


def _code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 5 * MIB + 3])
@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
async def test_a_body_arrives_as_it_was_sent(lab: Lab, size: int, chunked: bool) -> None:
    body = b'{"pad": "%b", "model": "a"}'
    body %= b"\\n" * ((size - len(body) + 2) // 2) + b"x" * ((size - len(body) + 2) % 2)
    assert len(body) == size
    caller = await lab.call()
    if chunked:
        await caller.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await caller.send(b"".join(chunk(body[at : at + 70_001]) for at in range(0, size, 70_001)) + b"0\r\n\r\n")
    else:
        await caller.post(body)
    status, _, returned = await caller.answer()
    assert status == 200
    assert hashlib.sha256(returned).digest() == hashlib.sha256(body).digest()
    assert lab.engine.requests[0].headers[b"content-length"] == b"%d" % size
    assert lab.records[0].received == size
    await caller.post(b'{"model": "a"}')
    assert (await caller.answer())[0] == 200


async def test_a_spooled_form(lab: Lab) -> None:
    body = form((b'"file"; filename="speech.wav"', bytes(range(256)) * 12_000), (b'"model"', b"b"), (b'"x"', b"y"))
    caller = await lab.call()
    kind = b"Content-Type: multipart/form-data; boundary=Xb\r\n"
    await caller.post(body, path=b"/v1/audio/transcriptions", extra=kind)
    status, _, returned = await caller.answer()
    assert (status, returned) == (200, body)
    assert lab.leases.tickets[0].model == "a"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"pad": "' + b"x" * 2 * MIB + b'"}', "model_missing"),
        (b'{"model": "a", "pad": "' + b"x" * 2 * MIB + b'"', "invalid_json"),
        (b'{"model": "a", "model": "b", "pad": "' + b"x" * 2 * MIB + b'"}', "duplicate_model"),
    ],
)
async def test_a_spooled_body_that_is_no_question(lab: Lab, body: bytes, code: str) -> None:
    caller = await lab.call()
    for _ in range(2):
        await caller.post(body)
        status, _, returned = await caller.answer()
        assert (status, _code(returned)) == (400, code)


async def test_a_body_that_turns_out_to_be_wrong_on_its_way(lab: Lab) -> None:
    caller = await lab.call()
    await caller.send(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (100 * MIB))
    await caller.send(b'{"model": "a", "pad": nonsense' + b" " * 2 * MIB)
    status, headers, returned = await caller.answer()
    assert (status, _code(returned), headers[b"connection"]) == (400, "invalid_json", b"close")


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond that: what a full disk does, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk(lab: Lab) -> None:
    caller = await lab.call()
    with _largest_file(3 * MIB):
        sending = asyncio.create_task(caller.post(b'{"model": "a", "pad": "' + b"x" * 8 * MIB + b'"}'))
        status, headers, returned = await caller.answer()
        assert (status, _code(returned), headers[b"connection"]) == (507, "spool_full", b"close")
        caller.leave()
        await asyncio.wait({sending})
        sending.exception()
    other = await lab.call()
    await other.post(b'{"model": "a"}')
    assert (await other.answer())[0] == 200


async def test_a_spool_directory_that_is_not_there(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "spool").rmdir()
    caller = await lab.call()
    await caller.post(b'{"model": "a", "pad": "' + b"x" * 2 * MIB + b'"}')
    status, _, returned = await caller.answer()
    assert (status, _code(returned)) == (500, "spool_failed")
    (tmp_path / "spool").mkdir()


async def test_a_file_system_without_nameless_files(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is left of the flag where it is not known; the answer is then EISDIR (open(2)).
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    body = b'{"model": "a", "pad": "' + b"x" * 2 * MIB + b'"}'
    caller = await lab.call()
    await caller.post(body)
    assert (await caller.answer())[2] == body
    assert list((tmp_path / "spool").iterdir()) == []


async def test_an_engine_that_answers_before_it_has_read_all(lab: Lab) -> None:
    lab.engine.read_bodies = False

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del request, reader
        writer.write(answer(b"enough"))
        await asyncio.wait_for(lab.leases.tickets[-1].released.wait(), PATIENCE)

    lab.engine.script = script
    caller = await lab.call()
    for count in (1, 2):
        await caller.post(json.dumps({"model": "a", "pad": "x" * 20 * MIB}).encode())
        status, _, returned = await caller.answer()
        assert (status, returned) == (200, b"enough")
        assert lab.engine.connections == count, "a connection with half a request on it is not used again"


async def test_a_stale_connection_costs_a_spooled_body_nothing(lab: Lab) -> None:
    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        if len(lab.engine.requests) == 2:
            raise ConnectionError
        writer.write(answer(b"%d" % len(request.body)))

    lab.engine.script = script
    caller = await lab.call()
    body = json.dumps({"model": "a", "pad": "x" * 3 * MIB}).encode()
    for _ in range(2):
        await caller.post(body)
        assert await caller.answer() is not None
    assert len(lab.engine.requests) == 3
    assert {request.body for request in lab.engine.requests} == {body}


def _peak() -> int:
    """Most memory that this process has had at once since `_reset_peak`, in bytes."""
    [line] = [line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if "VmHWM" in line]
    return int(line.split()[1]) * 1024


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


async def _blocks(size: int) -> AsyncIterator[bytes]:
    yield b'{"messages": [{"role": "user", "content": "'
    block = b"QUJD" * 16 * 1024
    for _ in range(size // len(block)):
        yield block
    yield b'"}], "model": "a"}'


async def _send_all(caller: Caller, size: int) -> None:
    async for block in _blocks(size):
        await caller.send(block)


async def test_200_mib_cost_at_most_32_mib_of_memory(lab: Lab) -> None:
    size = 200 * MIB
    total = sum([len(block) async for block in _blocks(size)])
    taken = 0
    lab.engine.read_bodies = False

    async def script(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        while taken < int(request.headers[b"content-length"]):
            taken += len(await reader.read(65536))
        writer.write(answer(b"done"))

    lab.engine.script = script
    caller = await lab.call()
    await caller.post(b'{"model": "nobody"}')
    await caller.answer()
    _reset_peak()
    before = _peak()
    await caller.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % total)
    await _send_all(caller, size)
    assert (await caller.answer())[2] == b"done"
    assert taken == total
    # Client and engine are in this process, so their buffers count too.
    assert _peak() - before < 32 * MIB
