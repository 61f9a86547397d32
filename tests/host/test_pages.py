"""Reading ahead, with real files: what is in the page cache afterwards is asked of the kernel."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.host import pages
from swapper.host.pages import PIECE, SAMPLE, absent, available, read_ahead
from tests.lab.cache import forget, in_cache

SIZE = PIECE + (8 << 20) + 1


@pytest.fixture
def large() -> Iterator[Path]:
    """A file of real bytes on a disk, of which nothing is in the cache."""
    path = Path("/var/tmp/swapper-test-pages")
    path.write_bytes(os.urandom(1 << 20) * (SIZE >> 20) + b"x")
    forget(path)
    if in_cache(path, 0, SIZE):
        path.unlink()
        pytest.skip("/var/tmp is no disk")
    yield path
    path.unlink()


def test_a_piece_is_in_the_cache_and_no_more_was_asked_for(large: Path) -> None:
    assert read_ahead(large, 0, 4 << 20) == 4 << 20
    assert read_ahead(large, 4 << 20, 1 << 20) == 1 << 20
    assert in_cache(large, (4 << 20) - 1, 1), "what comes before is waited for"
    assert not in_cache(large, SIZE - (1 << 20), 1 << 20)


def test_pieces_are_bounded_and_end_with_the_file(large: Path) -> None:
    assert read_ahead(large, 0, 1 << 40) == PIECE
    assert read_ahead(large, PIECE, 1 << 40) == SIZE - PIECE
    assert read_ahead(large, SIZE, 1 << 40) == 0
    assert in_cache(large, PIECE - 1, 1)
    assert read_ahead(large, SIZE + 7, 1 << 40) == 0


def test_what_is_no_file_is_an_error_and_nothing_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert read_ahead(tmp_path / "fifo", 0, 1 << 20) == 0
    assert read_ahead(tmp_path, 0, 1 << 20) == 0
    with pytest.raises(FileNotFoundError):
        read_ahead(tmp_path / "nowhere", 0, 1 << 20)


def test_available_memory_is_what_the_kernel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < available() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:  900 kB\nMemAvailable:   123 kB\n")
    with path.open("rb") as file:
        assert [available(file.fileno()) for _ in range(2)] == [123 << 10] * 2
    path.write_text("MemTotal:  900 kB\n")
    monkeypatch.setattr(pages, "MEMINFO", path)
    assert available() == 0
    path.unlink()
    assert available() == 0


def test_what_is_wholly_in_the_cache_is_not_absent(large: Path, tmp_path: Path) -> None:
    empty, fifo = tmp_path / "empty", tmp_path / "fifo"
    empty.touch()
    os.mkfifo(fifo)
    assert absent([large, empty, fifo, tmp_path / "nowhere"]) == (large,)
    assert not in_cache(large, SAMPLE, SIZE - SAMPLE), "looking reads no more than the first page"
    large.read_bytes()
    file = os.open(large, os.O_RDONLY)
    try:
        os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT)
        told = True
    except OSError:  # overlayfs
        told = False
    assert absent([large]) == (() if told else (large,))
    assert absent([large], untold=False) == ()
    os.posix_fadvise(file, 8 << 20, 4 << 20, os.POSIX_FADV_DONTNEED)
    assert absent([large]) == (large,)
    # Elsewhere: what has been looked at is being read by now, and may be there at the next look.
    os.posix_fadvise(file, 24 << 20, 4 << 20, os.POSIX_FADV_DONTNEED)
    os.close(file)
    assert absent([large], untold=False) == ((large,) if told else ())
