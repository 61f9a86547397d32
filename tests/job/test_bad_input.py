"""Bad input on port 8000: clear errors, and the router stays well."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from tests.job.house import PATIENCE, ask, chat, configure, question, run, sentence, show


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b"", 400, "invalid_json"),
        (b'{"messages": []}', 400, "model_missing"),
        (b'{"model": 7}', 400, "model_invalid"),
        (b'{"model": "alpha", "model": "beta"}', 400, "duplicate_model"),
        (b'{"model": "alhpa"}', 404, "model_not_found"),
    ],
)
def test_bodies_that_are_wrong(body: bytes, status: int, code: str) -> None:
    answer = ask("POST", "/v1/chat/completions", body)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert chat("alpha").content == sentence("alpha")


def test_an_unknown_model_names_those_that_are_near() -> None:
    assert "alpha" in chat("alhpa").error["message"]


def test_unknown_paths_and_wrong_methods() -> None:
    assert ask("GET", "/nothing").error["code"] == "not_found"
    assert ask("DELETE", "/v1/models").error["code"] == "method_not_allowed"
    assert ask("GET", "/v1/chat/completions").status in {404, 405}


def memory() -> int:
    """Resident memory of the router at its highest, in KiB."""
    status = Path(f"/proc/{show('swapper.service', 'MainPID')}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def padded(size: int) -> bytes:
    """A chat request of this many bytes."""
    empty = json.dumps(question("alpha", "Hello!", ignored="")).encode()
    return json.dumps(question("alpha", "Hello!", ignored="x" * (size - len(empty)))).encode()


def test_a_body_of_200_mib_below_the_limit_costs_little_memory() -> None:
    chat("alpha")
    before = memory()
    answer = ask("POST", "/v1/chat/completions", padded(200 << 20))
    # llama-server has a limit of its own; what matters is that the body got there, and what it cost.
    assert answer.status in {200, 413}, answer.body[:500]
    assert memory() - before < 32 << 10
    assert chat("alpha").content == sentence("alpha")


def test_a_body_beyond_the_limit_is_refused() -> None:
    configure("router: {max_body: 1MiB}\nmodels:\n  alpha: {engine: llama, model: alpha.gguf, context: 2048}\n")
    chat("alpha")
    before = memory()
    answer = ask("POST", "/v1/chat/completions", padded(20 << 20))
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")
    assert memory() - before < 32 << 10
    assert chat("alpha").content == sentence("alpha")


def test_a_client_that_sends_one_byte_a_second_holds_up_nobody_and_is_told() -> None:
    configure(
        "router: {body_timeout: 5s}\n"
        "models:\n  alpha: {engine: llama, model: alpha.gguf, context: 2048}\n"
    )
    chat("alpha")
    with socket.create_connection(("127.0.0.1", 8000)) as slow:
        slow.settimeout(PATIENCE)
        slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        end = time.monotonic() + PATIENCE
        told = b""
        while not told and time.monotonic() < end:
            slow.sendall(b"{")
            assert chat("alpha").status == 200
            slow.settimeout(1.0)  # one byte a second is what this test is about
            try:
                told = slow.recv(4096)
            except TimeoutError:
                continue
    assert b" 408 " in told
    assert b"client_too_slow" in told


def test_the_router_survives_it_all_in_one_life() -> None:
    chat("alpha")
    life = show("swapper.service", "InvocationID")
    for junk in (b"\x00" * 100, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\xff\xfe\r\n\r\n", os.urandom(2000)):
        with socket.create_connection(("127.0.0.1", 8000)) as client:
            client.settimeout(30)
            client.sendall(junk + b"\r\n\r\n")
            assert client.recv(4096).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))
    assert chat("alpha").content == sentence("alpha")
    assert show("swapper.service", "InvocationID") == life
    assert "Traceback" not in run("journalctl", "--unit=swapper", "--boot", f"_SYSTEMD_INVOCATION_ID={life}")
