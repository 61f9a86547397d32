"""Disks that are full: the one request that needs room is told so, and everything else goes on.

A small tmpfs stands in for the disk: mounted where the router keeps large bodies, or where journald keeps its files.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job.house import ask, chat, configure, question, run, sentence, stream, until, write_gguf
from tests.job.mishaps import ENDLESS, Question, agree, nothing_is_left

SPOOL = Path("/var/cache/swapper/router")
MIB = 1 << 20


@contextlib.contextmanager
def small_disk(folder: Path, size: int, *services: str) -> Iterator[None]:
    """A disk of so many bytes at a folder, for services that are started anew on it and, in the end, without it."""
    run("systemctl", "stop", *services)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "test-disk", str(folder))
    try:
        run("systemctl", "start", *services)
        yield
    finally:
        run("systemctl", "stop", *services)
        run("umount", "--lazy", str(folder))
        run("systemctl", "start", *services)


def fill(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    return path


def free(folder: Path) -> int:
    """Bytes of room."""
    there = os.statvfs(folder)
    return there.f_bavail * there.f_frsize


@pytest.fixture
def small_spool() -> Iterator[None]:
    """Room for bodies of 8 MiB in all."""
    configure(ENDLESS)
    chat("alpha")
    with small_disk(SPOOL, 8 * MIB, "swapper.service"):
        yield


def long(size: int) -> dict[str, object]:
    """A request of about so many bytes; the engine takes none that long, and says so."""
    return question("alpha", "x" * size)


@pytest.mark.usefixtures("small_spool")
def test_a_body_that_does_not_fit_is_refused_and_everything_else_goes_on() -> None:
    room = free(SPOOL)
    with stream("alpha") as response:
        refused = ask("POST", "/v1/chat/completions", long(12 * MIB))
        assert (refused.status, refused.error["code"]) == (507, "spool_full")
        assert str(SPOOL) in refused.error["message"]
        assert refused.error["hint"] != ""
        assert chat("alpha").content == sentence("alpha"), "a small body needs no disk"
        taken = ask("POST", "/v1/chat/completions", long(4 * MIB))
        assert taken.status == 400, "the engine's own word: the context is shorter"
        assert b"exceed_context_size" in taken.body
        for _ in range(100):
            assert response.readline() != b""
    until(lambda: free(SPOOL) == room, "nothing is left of either body")
    assert chat("beta").content == sentence("beta")
    nothing_is_left()


@pytest.mark.usefixtures("small_spool")
def test_where_there_is_no_room_at_all_small_requests_are_answered_and_large_ones_once_there_is() -> None:
    filler = fill(SPOOL)
    refused = ask("POST", "/v1/chat/completions", long(2 * MIB))
    assert (refused.status, refused.error["code"]) == (507, "spool_full")
    assert chat("beta").content == sentence("beta")
    run("systemctl", "restart", "swapper.service")
    assert chat("alpha").content == sentence("alpha"), "a router starts without room, too"
    filler.unlink()
    assert ask("POST", "/v1/chat/completions", long(2 * MIB)).status == 400
    nothing_is_left()


@pytest.fixture
def full_log() -> Iterator[Path]:
    """Journald on a disk without room."""
    folder = next(path for path in (Path("/var/log/journal"), Path("/run/log/journal")) if path.is_dir())
    with small_disk(folder, 16 * MIB, "systemd-journald.service"):
        yield folder


def test_without_room_for_logs_models_are_served_and_swapped_and_fail_with_a_reason(full_log: Path) -> None:
    configure(ENDLESS)
    filler = fill(full_log)
    for model in ("alpha", "beta", "gamma", "alpha"):
        assert chat(model).content == sentence(model)
    with stream("alpha") as response:
        waiting = Question("beta")
        for _ in range(500):
            assert response.readline() != b""
    assert waiting.answer.content == sentence("beta")
    path = write_gguf("alpha")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        assert "exit status 1" in answer.error["message"]
        assert ask("GET", "/api/models/alpha/log").status == 200
    finally:
        path.write_bytes(whole)
    assert chat("alpha").content == sentence("alpha")
    assert free(full_log) < MIB, "it was full all the time"
    filler.unlink()
    agree()
    nothing_is_left()
