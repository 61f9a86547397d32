"""A double of a server, which says what no router would: whole answers, cut ones, and what is none."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from swapper.ctl import Failure, once
from swapper.ctl.asking import Host


@contextmanager
def server(answer: bytes) -> Iterator[tuple[str, bytearray]]:
    """One that answers a single request, and closes; its address, and what it was sent."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while not heard.endswith(b"}" if b"Length" in heard else b"\r\n\r\n"):
                    heard.extend(connection.recv(1 << 16))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join(10)


def test_a_request_as_it_goes_out() -> None:
    with server(b'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{"a":1}') as (url, heard):
        assert Host(f"{url}/below/", "a-key").post("/v1/x", {"b": "ä"}) == {"a": 1}
    head, _, body = bytes(heard).partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /below/v1/x HTTP/1.0", f"Host: {urlsplit(url).netloc}".encode(), b"Authorization: Bearer a-key",
        b"Content-Type: application/json", b"Content-Length: 15",
    ]  # fmt: skip
    assert body == b'{"b": "\\u00e4"}'


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}")),
        (b"HTTP/1.0 503 \r\nContent-Length:2\r\nX: y\r\n\r\n{}", (503, b"{}")),
        (b"HTTP/1.0 204\r\n\r\n", (204, b"")),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", (200, b"to the end")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2", "no answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no answer"),
        (b"HTTP/1.1 OK\r\n\r\n", "no answer"),
        (b"", "no answer"),
    ],
)
def test_answers(answer: bytes, found: tuple[int, bytes] | str) -> None:
    with server(answer) as (url, _):
        if isinstance(found, tuple):
            assert once.ask(urlsplit(url), "GET", "/", {}, None, 10) == found
        else:
            with pytest.raises(ConnectionError, match=found):
                once.ask(urlsplit(url), "GET", "/", {}, None, 10)


def test_what_is_wrong_is_a_failure() -> None:
    refusal = b'HTTP/1.1 403 Forbidden\r\n\r\n{"error": {"message": "No.", "code": "key_scope"}}'
    with server(refusal) as (url, _), pytest.raises(Failure, match=r"No\. \[key_scope\]") as refused:
        Host(url).get("/")
    assert refused.value.hint == "set SWAPPER_API_KEY"
    with server(b"HTTP/1.1 200 OK\r\n\r\n<html>") as (url, _), pytest.raises(Failure, match="no JSON"):
        Host(url).get("/")
    with pytest.raises(Failure, match="cannot be asked"):
        Host(url).get("/")
    for address in ("http://x:99999", "http://x:y", "http://x:0", "ftp://x", "http://", "x"):
        with pytest.raises(Failure, match="is no address"):
            Host(address)
