"""The page cache: what of a file is in it, and how to have it forgotten."""

import ctypes
import mmap
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


def cached(path: Path) -> list[bool]:
    """For each page of a file, whether it is in the cache (mincore(2)). Looking reads nothing.

    The truth is told to the file's owner, to root, and to those who may write to it.
    """
    size = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        if _libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages):
            raise OSError(ctypes.get_errno(), "mincore")
    return [bool(page & 1) for page in bytes(pages)]


def in_cache(path: Path, start: int, length: int) -> bool:
    """Whether these bytes can be read without the disk, but for one page of a hundred.

    Of what it is asked to read ahead, a busy kernel leaves out some pages, or soon drops them again (seen with 6.18: up
    to 144 of 25,600, in 11 of 87 times; asking twice helps with the first kind only).
    """
    pages = cached(path)[start // mmap.PAGESIZE : -(-(start + length) // mmap.PAGESIZE)]
    return pages.count(False) <= len(pages) // 100


def forget(path: Path) -> None:
    """Have the kernel drop a file from its cache."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
