"""Clients that leave the installed router at every stage: nobody holds the model, and the real engine stops working."""

import contextlib
import fcntl
import http.client
import json
import socket
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.job.house import (
    ask,
    chat,
    configure,
    connect,
    question,
    run,
    sentence,
    show,
    state,
    stream,
    until,
    wait_for,
    write_gguf,
)
from tests.job.mishaps import standing_still

CONFIG = """
models:
  alpha: {engine: llama, model: alpha.gguf, context: 65536}
  slow:  {engine: llama, model: slow.gguf, context: 2048, args: [-lm, none]}
"""
LOOKS = 1.5
"""Seconds between looks. llama-server finds out once a second whether a client is gone that waits for a whole answer,
but only if nobody else got any in that second (0.7.0): who asks it all the time keeps it from stopping."""

SANE = 30.0
"""Seconds; the engine itself needs up to two, on a machine that has the time to run it."""


@pytest.fixture(autouse=True)
def _models() -> None:
    write_gguf("slow", size_mb=1500)
    configure(CONFIG)


@contextlib.contextmanager
def asked(model: str, **more: object) -> Iterator[http.client.HTTPConnection]:
    """A request for a very long answer that has been sent; its client leaves in the end."""
    with contextlib.closing(connect()) as connection:
        body = json.dumps(question(model, "LOOP", **{"max_tokens": 2_000_000, **more}))
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        yield connection


def of(model: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """What the API says of a model."""
    return ask("GET", f"/api/models/{model}").json


def works(model: str) -> bool:
    """Whether the engine works on anything, as it says itself."""
    return any(slot["is_processing"] for slot in ask("GET", f"/slots?model={model}").json)


def idle(model: str) -> None:
    """The router lets go at once, and the engine stops."""
    begun = time.monotonic()
    until(lambda: of(model)["leases"] == 0, f"nobody holds {model}")
    time.sleep(LOOKS)
    while works(model):
        assert time.monotonic() - begun < SANE, f"{model} goes on"
        time.sleep(LOOKS)
    assert chat(model).content == sentence(model)


def test_while_it_waits_for_another_model() -> None:
    with stream("alpha"):
        with asked("slow"):
            until(lambda: of("slow")["waiting"] == 1, "it waits")
            until(lambda: state("alpha") == "draining", "its turn is over")
        until(lambda: state("alpha") == "ready", "nobody needs its room any more")
        assert of("slow")["waiting"] == 0
        assert chat("alpha").content == sentence("alpha")
    idle("alpha")
    assert state("slow") == "stopped"


def test_while_its_model_is_loaded() -> None:
    with standing_still("slow") as go_on:
        with asked("slow"):
            until(lambda: state("slow") == "starting", "it is loaded")
            assert of("slow")["waiting"] == 1
        until(lambda: of("slow")["waiting"] == 0, "nobody waits")
        assert state("slow") == "starting"
        go_on()
        wait_for("slow", "ready")
    idle("slow")


def test_before_the_first_byte() -> None:
    chat("alpha")
    with asked("alpha"):
        until(lambda: works("alpha"), "the engine works")
        assert of("alpha")["leases"] == 1
    idle("alpha")


def test_in_the_middle_of_a_stream() -> None:
    with stream("alpha"):
        assert works("alpha")
    idle("alpha")


def test_a_slow_reader_whose_buffers_are_full() -> None:
    chat("alpha")
    with asked("alpha", stream=True) as connection:
        until(lambda: full(connection.sock), "the buffers are full")
        assert of("alpha")["leases"] == 1
    idle("alpha")


def full(sock: socket.socket) -> bool:
    """Whether nothing more arrives for half a second, since nobody takes what is there."""
    before = unread(sock)
    time.sleep(0.5)  # of what does not come no event tells
    return 0 < before == unread(sock)


def unread(sock: socket.socket) -> int:
    """Bytes in the socket's buffer (tcp(7), FIONREAD)."""
    found: int = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]
    return found


def test_many_that_come_and_go_leave_no_memory_behind() -> None:
    chat("alpha")
    for _ in range(50):
        with stream("alpha"):
            pass
    idle("alpha")
    before = resident("swapper.service")
    for _ in range(300):
        with stream("alpha"):
            pass
    idle("alpha")
    assert resident("swapper.service") - before < 4 << 20
    assert "Traceback" not in run("journalctl", "--unit=swapper", "--boot", "--lines=2000")


def resident(unit: str) -> int:
    """Bytes of memory that the unit's main process holds."""
    status = Path(f"/proc/{show(unit, 'MainPID')}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
