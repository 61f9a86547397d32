"""Where bodies are kept: small ones in memory, large ones in an unlinked temporary file.

Rules of this file:
  * The event loop never waits for a disk: a thread writes and reads, one block of a body at a time, in order.
  * A body at rest is a row of segments, each bytes in memory or a span of a file. Putting data URLs in the place of
    media URLs cuts and joins segments; it copies nothing.
  * Files have no name, so nothing is left behind however the process ends.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

from swapper.router.errors import ApiError

MEMORY_LIMIT = 1024 * 1024
"""Largest body that is held in memory, in bytes."""

BLOCK = 256 * 1024
"""Bytes read from a file at a time."""

_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR})  # open(2): what file systems without it say
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _open_nameless(directory: Path) -> int:
    """A file for writing and reading that nobody else can find; `tempfile` would double what this module imports."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    except OSError as exc:
        if exc.errno not in _NO_TMPFILE:
            raise
    path = directory / os.urandom(16).hex()
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    path.unlink()
    return descriptor


class SpoolFile:
    """A temporary file without a name. Each user of it holds a share; the last one closes it."""

    __slots__ = ("_shares", "raw")

    def __init__(self, directory: Path) -> None:
        self.raw = FileIO(_open_nameless(directory), "r+b")
        self._shares = 1

    def share(self) -> None:
        """One more user."""
        self._shares += 1

    def close(self) -> None:
        """One user less."""
        self._shares -= 1
        if self._shares == 0:
            self.raw.close()


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a file, in bytes."""

    file: SpoolFile
    start: int
    length: int


type Segment = bytes | Span


def _length(segment: Segment) -> int:
    return len(segment) if isinstance(segment, bytes) else segment.length


class Spool:
    """The directory for large bodies, and the threads that write and read there."""

    def __init__(self, directory: Path, *, memory_limit: int = MEMORY_LIMIT) -> None:
        self.directory = directory
        self.memory_limit = memory_limit
        self._threads = ThreadPoolExecutor(2, "spool")

    def run[T](self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do something with a file in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)


class Store:
    """Takes a body as it comes in.

    Attributes:
        size: Bytes taken.
        error: Why bytes could not be kept, once that has happened; `spool_full` when the disk is full.
        notify: Called each time some of the backlog has been written, and when that failed.
    """

    __slots__ = ("_closed", "_file", "_held", "_spool", "_writing", "error", "notify", "size")

    def __init__(self, spool: Spool, notify: Callable[[], None]) -> None:
        self.size = 0
        self.error: ApiError | None = None
        self.notify = notify
        self._spool = spool
        self._held = bytearray()  # what is not on disk, nor on its way there
        self._file: SpoolFile | None = None
        self._writing: asyncio.Future[SpoolFile] | None = None
        self._closed = False

    @property
    def in_memory(self) -> bool:
        """Whether everything taken so far is held in memory."""
        return self.size <= self._spool.memory_limit

    @property
    def settled(self) -> bool:
        """Whether nothing is to go to the disk, or on its way there."""
        return self.in_memory or (self._writing is None and not self._held)

    @property
    def backlog(self) -> int:
        """Bytes that still wait for the disk, less those on their way there."""
        return 0 if self.in_memory else len(self._held)

    def held(self) -> bytes:
        """All of it, as long as it is in memory."""
        return bytes(self._held)

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size += len(data)
        self._held += data
        if not self.in_memory:
            self._start()

    def _start(self) -> None:
        """Have a thread write what has come, unless one is at it."""
        if self._writing is not None or not self._held or self._closed or self.error is not None:
            return
        data, self._held = self._held, bytearray()
        self._writing = self._spool.run(partial(self._append, data))
        self._writing.add_done_callback(self._written)

    def _append(self, data: bytearray) -> SpoolFile:
        """In a thread: write at the end of the file, which is made when it is first needed."""
        file = self._file or SpoolFile(self._spool.directory)
        try:
            with memoryview(data) as rest:
                position = 0
                while position < len(rest):
                    position += file.raw.write(rest[position:]) or 0
        except OSError:
            if self._file is None:
                file.close()
            raise
        return file

    def _written(self, done: asyncio.Future[SpoolFile]) -> None:
        self._writing = None
        if (exc := done.exception()) is not None:
            self._held.clear()
            self.error = _spool_error(exc, self._spool.directory)
        else:
            self._file = done.result()
        if self._closed:
            self._let_go()
            return
        self._start()
        self.notify()

    def segments(self, start: int, stop: int) -> Iterable[Segment]:
        """What lies between two offsets of a settled store."""
        if start >= stop:
            return ()
        if self._file is not None:
            self._file.share()
            return (Span(self._file, start, stop - start),)
        return (bytes(self._held[start:stop]),)

    def close(self) -> None:
        """Forget it. Bodies made of its segments live on."""
        self._closed = True
        self._held.clear()
        if self._writing is None:
            self._let_go()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _spool_error(exc: BaseException, directory: Path) -> ApiError:
    if isinstance(exc, OSError) and exc.errno in _FULL:
        return ApiError("spool_full", f"There is no room for this request's body in {directory}.",
                        "Free some space there, or send a smaller body.")  # fmt: skip
    return ApiError("spool_failed", f"This request's body cannot be kept in {directory}: {exc}.",
                    "Look at `journalctl -u swapper`, and at the directory's owner and mode.")  # fmt: skip


class Body:
    """A body at rest that is more than one piece of memory. Whoever made it closes it."""

    __slots__ = ("_segments", "_spool", "size")

    def __init__(self, spool: Spool, segments: Iterable[Segment]) -> None:
        self._spool = spool
        self._segments = tuple(segments)
        self.size = sum(map(_length, self._segments))

    async def blocks(self) -> AsyncIterator[bytes]:
        """The bytes, at most `BLOCK` at a time where they come from a file."""
        for segment in self._segments:
            if isinstance(segment, bytes):
                yield segment
                continue
            position, end = segment.start, segment.start + segment.length
            while position < end:
                want = min(BLOCK, end - position)
                block = await self._spool.run(partial(os.pread, segment.file.raw.fileno(), want, position))
                if not block:
                    raise EOFError("the spool file is shorter than it was")
                position += len(block)
                yield block

    def close(self) -> None:
        """Let go of the files."""
        for segment in self._segments:
            if isinstance(segment, Span):
                segment.file.close()
        self._segments = ()


def splice(spool: Spool, store: Store, replacements: Iterable[tuple[int, int, Iterable[Segment]]]) -> Body:
    """A body like the store's, in which some ranges have been replaced.

    Args:
        spool: Where the store keeps its file.
        store: A settled store.
        replacements: Start, end, and what comes in its place; in ascending order.
    """
    segments: list[Segment] = []
    position = 0
    for start, end, instead in replacements:
        segments.extend(store.segments(position, start))
        segments.extend(instead)
        position = end
    segments.extend(store.segments(position, store.size))
    return Body(spool, segments)
