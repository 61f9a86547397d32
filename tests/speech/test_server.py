"""The engine's HTTP, word by word, with programs that stand in for espeak-ng and ffmpeg where neither may be installed.

`cat` and `sh` do for them what is looked at here: what is answered when they work, fail, or go on for ever. The real
ones are heard in tests/job/test_speech.py.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swapper.speech.server import LARGEST_BODY, Server
from swapper.speech.voices import OPENAI, Voices

VOICES = Voices(frozenset({"de"}), frozenset(OPENAI.values()), "de")
type Ask = Callable[[bytes], bytes]


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first in PATH: what espeak-ng is told comes out of ffmpeg as it went in."""
    script(tmp_path / "espeak-ng", "exec cat")
    script(tmp_path / "ffmpeg", "exec cat")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def server(programs: Path) -> Iterator[Server]:
    with Server(str(programs / "s"), name="voice", espeak="espeak-ng", voices=VOICES, slots=2) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(server: Server) -> Ask:
    """Send bytes and nothing more; everything that comes back until the server closes."""

    def send(request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(server.server_address))
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer

    return send


def post(body: object, path: str = "/v1/audio/speech") -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def look(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n".encode()


def read(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_a_text_goes_through_and_ends_with_the_last_chunk(ask: Ask) -> None:
    answer = ask(post({"input": "Hello!"}))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n6\r\nHello!\r\n0\r\n\r\n")


def test_two_requests_on_one_connection(ask: Ask) -> None:
    first = post({"input": "One."}).replace(b"Connection: close\r\n", b"")
    answer = ask(first + post({"input": "Two."}))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answer.index(b"4\r\nOne.\r\n0\r\n\r\n") < answer.index(b"4\r\nTwo.\r\n0\r\n\r\n")


@pytest.mark.parametrize("program", ["espeak-ng", "ffmpeg"])
def test_what_fails_before_it_says_anything_is_an_error(ask: Ask, programs: Path, program: str) -> None:
    script(programs / program, "exit 3")
    status, body = read(ask(post({"input": "Hello!"})))
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["code"], error["type"]) == (500, "speech_failed", "server_error")
    assert error["message"] == f"{program} ended with status 3."


@pytest.mark.parametrize("program", ["espeak-ng", "ffmpeg"])
def test_what_is_gone_meanwhile_is_an_error_that_says_what_to_install(
    ask: Ask, programs: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setenv("PATH", str(programs))  # where the real one is not found in its place
    (programs / program).write_text("#!/no/such/interpreter\n")
    status, body = read(ask(post({"input": "Hello!"})))
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["code"], error["hint"]) == (500, "speech_failed", "apt install espeak-ng ffmpeg")


def test_what_fails_in_the_middle_is_cut(ask: Ask, programs: Path, server: Server) -> None:
    script(programs / "ffmpeg", "head -c 3; exit 3")
    answer = ask(post({"input": "Hello!"}).replace(b"Connection: close\r\n", b""))
    assert answer.endswith(b"\r\n\r\n3\r\nHel\r\n")
    assert server.room.busy == 0


def test_who_leaves_frees_its_place(programs: Path, server: Server) -> None:
    script(programs / "espeak-ng", "cat; exec sleep 3600")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.server_address))
        connection.sendall(post({"input": "Hello!"}))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert server.room.busy == 1
    with server.room._changed:
        assert server.room._changed.wait_for(lambda: server.room.busy == 0, timeout=20)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (post({"input": ""}), 400, "invalid_request"),
        (post({"input": "x"}, "/v1/chat/completions"), 404, "not_found"),
        (look("/metrics"), 404, "not_found"),
        (b"POST /v1/audio/speech HTTP/1.1\r\n\r\n", 411, "length_required"),
        (b"POST /v1/audio/speech HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "length_required"),
        (b"POST /v1/audio/speech HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411, "length_required"),
        (b"POST /v1/audio/speech HTTP/1.1\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5000), 411, "length_required"),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (LARGEST_BODY + 1), 413, "body_too_large"),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405, "method_not_allowed"),
        (b"nonsense and more of it\r\n\r\n", 400, "invalid_request"),
    ],
)
def test_what_is_refused(ask: Ask, request_: bytes, status: int, code: str) -> None:
    got, body = read(ask(request_))
    error = body["error"]
    assert isinstance(error, dict)
    assert (got, error["code"]) == (status, code)


def test_what_only_looks(ask: Ask) -> None:
    assert read(ask(look("/health"))) == (200, {"status": "ok"})
    assert read(ask(look("/v1/models")))[1]["data"] == [
        {"id": "voice", "object": "model", "created": 0, "owned_by": "espeak-ng"}
    ]
    assert read(ask(look("/v1/audio/voices?x=y")))[1]["languages"] == ["de"]
    assert ask(look("/slots")).count(b'"is_processing": false') == 2
