"""What an engine has read of its model. The engine is a double: it reads as it is told, in each way that engines do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper import progress
from swapper.progress import INDEX, Reading

READER = """\
import mmap, os, sys
files, maps = {}, {}
print(flush=True)
for line in sys.stdin:
    what, path, start, count = line.split("|")
    start, count = int(start), int(count)
    if what == "open":
        files[path] = os.open(path, os.O_RDONLY)
    elif what == "seek":
        os.lseek(files[path], start, os.SEEK_SET)
    elif what == "read":
        os.lseek(files[path], start, os.SEEK_SET)
        while count > 0:
            count -= len(os.read(files[path], min(count, 1 << 20)))
    elif what == "map":
        maps[path] = mmap.mmap(files[path], 0, prot=mmap.PROT_READ)
    elif what == "touch":
        for place in range(start, start + count, mmap.PAGESIZE):
            maps[path][place]
    elif what == "close":
        if path in maps:
            maps.pop(path).close()
        os.close(files.pop(path))
    print(flush=True)
"""

MIB = 1 << 20
SIZE = 64 * MIB
CLOSE = SIZE // 200
"""Half a percent: pages come to a process in groups."""

COMMANDS = 2000
"""Bytes that the engine is told in a test: it reads them too."""


class Engine:
    """A process that reads files on command."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.id = self._process.pid
        self._done()

    def does(self, what: str, path: Path, start: int = 0, count: int = 0) -> None:
        """Have it done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}|{path}|{start}|{count}\n")
        self._process.stdin.flush()
        self._done()

    def _done(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "\n"

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.end()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.gguf", SIZE)


def write(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_what_is_read_is_known_in_whatever_order(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    assert (reading.size, reading.look()) == (SIZE, 0)
    engine.does("open", model)
    assert reading.look() == 0
    engine.does("read", model, SIZE - 16 * MIB, 16 * MIB)
    assert reading.look() == pytest.approx(16 * MIB, abs=COMMANDS)
    engine.does("read", model, 0, 16 * MIB)
    engine.does("read", model, 20 * MIB, 8 * MIB)
    assert reading.look() == pytest.approx(40 * MIB, abs=COMMANDS)
    assert reading.look() == pytest.approx(40 * MIB, abs=COMMANDS)


@pytest.mark.parametrize("moment", [b"/io", b"/fdinfo/3"], ids=["count", "position"])
def test_what_is_read_during_a_look_is_known_at_the_next(
    engine: Engine, model: Path, monkeypatch: pytest.MonkeyPatch, moment: bytes
) -> None:
    reading = Reading(engine.id, [str(model)])
    reading.look()
    engine.does("open", model)
    engine.does("read", model, 0, 8 * MIB)
    look_into, read = progress.content, [8 * MIB]

    def content(path: bytes) -> bytes:
        said = look_into(path)
        if path.endswith(moment):
            engine.does("read", model, sum(read), 8 * MIB)
            read.append(8 * MIB)
        return said

    monkeypatch.setattr(progress, "content", content)
    reading.look()
    monkeypatch.undo()
    assert len(read) > 1
    assert reading.look() == pytest.approx(sum(read), abs=COMMANDS)


def test_going_to_the_end_is_not_reading(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    reading.look()
    engine.does("open", model)
    engine.does("seek", model, SIZE)
    assert reading.look() < CLOSE


def test_what_else_is_read_does_not_count(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    reading.look()
    engine.does("open", model)
    engine.does("open", Path("/dev/zero"))
    engine.does("read", Path("/dev/zero"), 0, 16 * MIB)
    assert reading.look() == 0


def test_what_is_read_twice_is_not_all(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    engine.does("open", model)
    for _ in range(3):
        engine.does("read", model, 0, SIZE // 2)
        assert 0 < reading.look() < SIZE
    engine.does("close", model)
    assert reading.look() == SIZE


def test_pages_of_a_mapping_count_once_they_are_there(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    engine.does("open", model)
    engine.does("map", model)
    assert reading.look() == 0
    engine.does("touch", model, SIZE // 2, SIZE // 4)
    assert reading.look() == pytest.approx(SIZE // 4, abs=CLOSE)
    engine.does("touch", model, 0, SIZE // 2)
    assert reading.look() == pytest.approx(SIZE * 3 // 4, abs=CLOSE)
    engine.does("touch", model, SIZE * 3 // 4, SIZE // 4)
    assert reading.look() == SIZE


def test_a_file_that_is_closed_was_read(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    engine.does("open", model)
    engine.does("map", model)
    engine.does("touch", model, 0, SIZE // 2)
    reading.look()
    engine.does("close", model)
    assert reading.look() == SIZE


def test_a_look_at_its_head_is_not_reading_it(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    reading.look()
    engine.does("open", model)
    engine.does("read", model, 0, MIB)
    assert reading.look() == pytest.approx(MIB, abs=COMMANDS)
    engine.does("close", model)
    assert reading.look() == pytest.approx(MIB, abs=COMMANDS)


def test_a_link_is_what_it_leads_to(engine: Engine, model: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(model)
    reading = Reading(engine.id, [str(link)])
    reading.look()
    engine.does("open", link)
    engine.does("read", link, 0, 8 * MIB)
    assert reading.look() == pytest.approx(8 * MIB, abs=COMMANDS)


def test_in_a_directory_the_weights_count_that_are_loaded(engine: Engine, tmp_path: Path) -> None:
    first, second = (write(tmp_path / f"model-0000{part}-of-00002.safetensors", 8 * MIB) for part in (1, 2))
    write(tmp_path / "duplicate.safetensors", 16 * MIB)
    write(tmp_path / "pytorch_model.bin", 16 * MIB)
    assert Reading(engine.id, [str(tmp_path)]).size == 32 * MIB
    (tmp_path / INDEX).write_text("{}")
    reading = Reading(engine.id, [str(tmp_path)])
    assert (reading.size, reading.look()) == (16 * MIB, 0)
    engine.does("open", second)
    engine.does("read", second, 0, 4 * MIB)
    assert reading.look() == pytest.approx(4 * MIB, abs=COMMANDS)
    engine.does("open", first)
    engine.does("close", second)
    engine.does("read", first, 0, 2 * MIB)
    assert reading.look() == pytest.approx(10 * MIB, abs=COMMANDS)
    write(tmp_path / "consolidated-00001-of-00001.safetensors", 4 * MIB)
    assert Reading(engine.id, [str(tmp_path)]).size == 4 * MIB


def test_all_files_of_a_model_count(engine: Engine, model: Path, tmp_path: Path) -> None:
    projector = write(tmp_path / "mmproj.gguf", SIZE // 4)
    assert Reading(engine.id, [str(model), str(projector), str(tmp_path / "absent")]).size == SIZE * 5 // 4


@pytest.mark.parametrize("others", ["1\n", "", None])
def test_in_a_group_of_others_the_engine_is_looked_at(
    engine: Engine, model: Path, tmp_path: Path, others: str | None
) -> None:
    reading = Reading(engine.id, [str(model)])
    if others is not None:
        (tmp_path / "cgroup.procs").write_text(others)
    reading._group = os.fsencode(tmp_path / "cgroup.procs")
    engine.does("open", model)
    engine.does("read", model, 0, 4 * MIB)
    assert 4 * MIB <= reading.look() < 5 * MIB


def test_of_an_engine_that_is_gone_nothing_more_is_learned(engine: Engine, model: Path) -> None:
    reading = Reading(engine.id, [str(model)])
    reading.look()
    engine.does("open", model)
    engine.does("read", model, 0, 4 * MIB)
    assert reading.look() == pytest.approx(4 * MIB, abs=COMMANDS)
    engine.end()
    assert reading.look() == pytest.approx(4 * MIB, abs=COMMANDS)


def test_where_nothing_is_there_nothing_is_known(engine: Engine, tmp_path: Path) -> None:
    reading = Reading(engine.id, [str(tmp_path), os.devnull])
    assert (reading.size, reading.look()) == (0, 0)
