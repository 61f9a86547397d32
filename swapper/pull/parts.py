"""A file that is being fetched: several pieces of it at a time, and a note of how far each of them is.

The note is written after what it speaks of is on the disk (fdatasync), so it never promises what a crash has taken:
after kill -9 and after a power cut the pull goes on where the note says. What is whole is measured by the hub's
checksum, since the note knows nothing of what the network did to the bytes.
"""

import contextlib
import errno
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from swapper.pull import PullError
from swapper.pull.choose import File

PIECE = 128 << 20
"""Bytes that are asked for at a time: a file has several connections, and no answer is longer than hubs give over plain
HTTP (50 GB)."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk that has no room."""

_BLOCK = 1 << 20


class DiskError(Exception):
    """What came could not be written."""


class OverflowedError(Exception):
    """More came than was asked for: whoever answers does not know of ranges."""


class Piece:
    """A range of a part, as the binary file that `http_get` of huggingface_hub writes to: its positions begin at 0.

    Attributes:
        start: Where it begins.
        length: Its bytes.
        done: How many of them have come.
    """

    def __init__(self, file: int, start: int, length: int, done: int) -> None:
        self.start = start
        self.length = length
        self.done = done
        self._file = file
        self._writing = threading.Lock()

    def write(self, data: bytes) -> int:
        """Append.

        Raises:
            OverflowedError: That is more than belongs here.
            DiskError: It cannot be written.
        """
        if self.done + len(data) > self.length:
            raise OverflowedError
        view = memoryview(data)
        try:
            with self._writing:
                while view:
                    written = os.pwrite(self._file, view, self.start + self.done)
                    self.done += written
                    view = view[written:]
        except OSError as error:
            raise DiskError(error.errno, error.strerror) from error
        return len(data)

    def close(self) -> None:
        """From now on nothing can be written: what else is opened may get the number that the file had."""
        with self._writing:
            self._file = -1

    def tell(self) -> int:
        """How far it is."""
        return self.done

    def seek(self, position: int) -> int:
        """Go back to a position, of which everything behind is of no use."""
        self.done = min(position, self.done)
        return self.done

    def truncate(self) -> int:
        """What is behind the position will be written over."""
        return self.done


class Part:
    """A file that comes.

    Attributes:
        file: What it becomes.
        path: Where it is once it is whole.
        pieces: Its ranges.
        whole: Whether all of it is there, and measured.
        settling: Held while it is measured.
    """

    def __init__(self, file: File, path: Path) -> None:
        """Take up what is there of it.

        Raises:
            DiskError: It cannot be opened.
        """
        self.file = file
        self.path = path
        self._coming = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.note")
        self._lock = threading.Lock()
        self.settling = threading.Lock()
        self.whole = path.exists()
        self._descriptor: int | None = None
        self.pieces: Sequence[Piece] = ()
        if not self.whole:
            size, done = self._noted()
            self._open(size, done)

    @property
    def done(self) -> int:
        """Bytes that have come."""
        return self.file.size if self.whole else sum(piece.done for piece in self.pieces)

    @property
    def came(self) -> bool:
        """Whether there is nothing to ask for any more."""
        return all(piece.done == piece.length for piece in self.pieces)

    def remember(self) -> None:
        """Note how far it is.

        Raises:
            DiskError: The disk takes no more.
        """
        with self._lock:
            if self._descriptor is None:
                return
            told = {"piece": self.pieces[0].length if self.pieces else 0, "done": [each.done for each in self.pieces]}
            try:
                os.fdatasync(self._descriptor)
                _replaced(self._note, json.dumps(told).encode())
            except OSError as error:
                raise DiskError(error.errno, error.strerror) from error

    def settle(self) -> None:
        """All has come: see that it is what the hub has, and call it whole.

        Raises:
            PullError: It is not; it has been thrown away.
            DiskError: It cannot be read, or the disk takes no more.
        """
        try:
            found = checksum(self._coming, self.file)
            if found == self.file.checksum and self._descriptor is not None:
                os.fsync(self._descriptor)
                self._coming.rename(self.path)
        except OSError as error:
            raise DiskError(error.errno, error.strerror) from error
        self.forget()
        if found != self.file.checksum:
            message = f"{self.file.name} is not what the hub says it is: {found} instead of {self.file.checksum}"
            raise PullError("checksum", message, "it was thrown away; the same command fetches it again")
        self.whole = True

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            for piece in self.pieces:
                piece.close()
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    def _noted(self) -> tuple[int, list[int]]:
        """Size of the pieces, and how far each is, as was noted; the usual ones, where nothing that fits was."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self._note.read_bytes())
            size, done = int(note["piece"]), [int(each) for each in note["done"]]
            lengths = _lengths(self.file.size, size)
            fits = len(done) == len(lengths) and all(0 <= a <= b for a, b in zip(done, lengths, strict=True))
            if fits and self._coming.stat().st_size >= max((n * size + each for n, each in enumerate(done)), default=0):
                return size, done
        return PIECE, []

    def _open(self, size: int, done: Sequence[int]) -> None:
        try:
            self._descriptor = os.open(self._coming, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if not done:
                os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise DiskError(error.errno, error.strerror) from error
        lengths = _lengths(self.file.size, size)
        far = done or [0] * len(lengths)
        starts = [number * size for number in range(len(lengths))]
        self.pieces = [Piece(self._descriptor, *each) for each in zip(starts, lengths, far, strict=True)]

    def forget(self) -> None:
        """Throw away what has come of it, unless it is whole."""
        self.close()
        self._note.unlink(missing_ok=True)
        self._coming.unlink(missing_ok=True)


def _replaced(note: Path, content: bytes) -> None:
    """Write a note anew: whole or not at all, or, where the disk is full, into the room that it has."""
    fresh = note.with_name(f"{note.name}.new")
    try:
        fresh.write_bytes(content)
        fresh.replace(note)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        if error.errno not in FULL or not note.exists():
            raise
        with note.open("r+b") as file:
            file.write(content)
            file.truncate()


def _lengths(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)] if size > 0 else []


def checksum(path: Path, file: File) -> str:
    """What a file on the disk has for the checksum of `file`: SHA-256, or that of git (gitformat-pack(5), "blob").

    Raises:
        OSError: It cannot be read.
    """
    kind = file.checksum.partition(":")[0]
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    with path.open("rb", buffering=0) as opened:
        if kind != "sha256":
            digest.update(b"blob %d\0" % path.stat().st_size)
        while block := opened.read(_BLOCK):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"
