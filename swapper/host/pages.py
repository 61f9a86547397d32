"""Files read ahead into the page cache, so that whoever reads them next waits for memory and not for the disk.

Sources: posix_fadvise(2), POSIX_FADV_WILLNEED; readahead(2); proc_meminfo(5). One advice starts no more than the
device's read-ahead window (`read_ahead_kb`, 128 KiB if nobody changed it; `force_page_cache_ra()` in mm/readahead.c of
the kernel cuts off the rest, seen with 6.18): so it is given in steps of that size. It only starts the reading, and
cannot be taken back: so each piece waits for the end of the one before, and never more than two are under way.
An advice takes its time even where all is there (40 to 130 µs for a megabyte), hence the look before: preadv2(2) with
RWF_NOWAIT gives what is in the cache, or fails (on overlayfs always).
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

STEP = 128 << 10
"""Bytes of one advice."""

PIECE = 32 << 20
"""Bytes that are asked for before the piece before is waited for: reading ends this soon when nobody wants it."""

SAMPLE = 1 << 20
"""Of so many bytes one page is looked at."""

MEMINFO = Path("/proc/meminfo")

_MOST = 1 << 16


def available(meminfo: int | None = None) -> int:
    """Bytes of memory that can be had without swapping (`MemAvailable`): what is free, and caches that can go.

    Args:
        meminfo: /proc/meminfo, open, for those who cannot see it (`ProcSubset=pid`); each reading is a new one.

    Returns:
        0 where that cannot be known.
    """
    return memory(meminfo)[0]


def memory(meminfo: int | None = None) -> tuple[int, int]:
    """Bytes of memory that can be had, and that there are (`MemTotal`); as `available`, zeros included."""
    try:
        text = MEMINFO.read_bytes() if meminfo is None else os.pread(meminfo, _MOST, 0)
    except OSError:
        return 0, 0
    return _field(text, b"MemAvailable:"), _field(text, b"MemTotal:")


def _field(text: bytes, name: bytes) -> int:
    line = next((line for line in text.splitlines() if line.startswith(name)), None)
    return int(line.split()[1]) << 10 if line is not None else 0


def absent(paths: Iterable[Path], *, untold: bool = True) -> tuple[Path, ...]:
    """Those of these files that may be read and are not wholly in the page cache, by samples. For a thread.

    Args:
        paths: The files.
        untold: Whether those count of which the file system does not tell.
    """
    return tuple(path for path in paths if _absent(path, untold=untold))


def _absent(path: Path, *, untold: bool) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        status = os.fstat(file)
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        page = [bytearray(1)]
        # No further than the first that is not there: the kernel begins to read what is asked for.
        return not all(os.preadv(file, page, offset, os.RWF_NOWAIT) for offset in range(0, size, SAMPLE))
    except BlockingIOError:
        return True
    except OSError:
        return untold
    finally:
        os.close(file)


def read_ahead(path: Path, start: int, most: int) -> int:
    """Ask for the next piece of a file, and wait for what comes before it. For a thread.

    Args:
        path: The file.
        start: Where the piece begins.
        most: Bytes that are asked for at most, if that is less than `PIECE`.

    Returns:
        How many bytes were asked for; 0 at the end.

    Raises:
        OSError: It may not be read, is not there, or the file system takes no advice.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        end = min(start + min(PIECE, most), status.st_size if stat.S_ISREG(status.st_mode) else 0)
        for offset in range(start, end, STEP):
            os.posix_fadvise(file, offset, min(STEP, end - offset), os.POSIX_FADV_WILLNEED)
        if 0 < start < status.st_size:
            os.pread(file, 1, start - 1)
    finally:
        os.close(file)
    return max(end - start, 0)
