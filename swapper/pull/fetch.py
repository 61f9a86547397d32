"""The unprivileged step of a pull: gets what is asked for, and leaves it whole and measured for root to put in place.

Several connections at a time work through the pieces of all files. One that breaks is tried again, with growing pauses,
for as long as anything comes at all; ten minutes without a byte end the pull, and the same command goes on with what is
there.
"""

import contextlib
import fcntl
import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swapper.host import credentials
from swapper.pull import PullError
from swapper.pull.choose import Choice, File, choose
from swapper.pull.hub import TOKEN, Hub, PassingError
from swapper.pull.parts import FULL, DiskError, OverflowedError, Part, Piece, checksum
from swapper.pull.places import Places, key
from swapper.pull.teller import Teller, gib

CONNECTIONS = 8

PATIENCE = 600.0
"""Seconds without a byte after which it is given up."""

FIRST_PATIENCE = 15.0
"""Seconds for the first answer: who mistyped something wants to know."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between tries of a connection; the last goes on."""

BESIDE = 64 << 20
"""Bytes that are left free on the disk."""

NOTED = 2.0
"""Seconds between two notes of how far it is: what a kill may cost."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of the hub.

    Attributes:
        commit: The commit that all of it is of.
        choice: What was meant.
        missing: Of that, what is not in its place yet.
    """

    commit: str
    choice: Choice
    missing: Sequence[File]


class Fetch:
    """One pull."""

    def __init__(self, places: Places, teller: Teller, patience: float = PATIENCE) -> None:
        """Know what to do.

        Args:
            places: Where things are.
            teller: Tells how far it is.
            patience: Seconds without a byte after which it is given up.
        """
        self._places = places
        self._source = places.source
        self._teller = teller
        self._patience = patience
        self._last = time.monotonic()
        self._ended = threading.Event()
        self._results: queue.SimpleQueue[Part | Exception] = queue.SimpleQueue()

    def run(self) -> None:
        """Get it all.

        Raises:
            PullError: It cannot be had, or not now.
        """
        with _alone(self._source.repo, self._teller):
            token = credentials.read(TOKEN).get(TOKEN, b"").decode().strip()
            hub = Hub(token or None)
            wanted = self._wanted(hub)
            parts: list[Part] = []
            try:
                for file in wanted.missing:
                    parts.append(Part(file, self._places.parts / key(self._source, file)))  # noqa: PERF401 - closed below
                self._check_room(parts)
                self._get(hub, wanted.commit, parts)
            except DiskError as error:
                raise _disk(error, self._places.parts) from error
            except OverflowedError:
                for part in parts:
                    part.forget()  # whatever came stands where it does not belong
                raise PullError("no_ranges", f"{hub.endpoint} does not serve parts of files", _MIRROR) from None
            finally:
                self._ended.set()
                for part in parts:
                    with contextlib.suppress(DiskError):  # said already, or nobody's trouble any more
                        part.remember()
                    part.close()

    def _wanted(self, hub: Hub) -> Wanted:
        self._teller.say(f"asking {hub.endpoint} what there is")
        commit, files = self._asked(hub)
        choice = choose(files, self._source.what)
        missing = [file for name, file in choice.files.items() if not self._there(name, file)]
        keys = [key(self._source, file) for file in choice.files.values()]
        self._teller.knows(self._places.target, choice, {file.name for file in missing}, keys)
        return Wanted(commit, choice, missing)

    def _asked(self, hub: Hub) -> tuple[str, Sequence[File]]:
        end = time.monotonic() + min(FIRST_PATIENCE, self._patience)
        for pause in _pauses():
            try:
                return hub.files(self._source.repo)
            except PassingError as error:
                if time.monotonic() + pause > end:
                    raise PullError("unreachable", f"{hub.endpoint} does not answer: {error}", _MIRROR) from error
                time.sleep(pause)
        raise AssertionError

    def _there(self, name: str, file: File) -> bool:
        """Whether a file is in its place already.

        Raises:
            PullError: Another one is.
        """
        place = self._places.target / name
        try:
            if not place.exists():
                return False
            if place.stat().st_size == file.size:
                self._teller.say(f"measuring {place}, which is there already")
                if checksum(place, file) == file.checksum:
                    return True
        except OSError as error:
            raise PullError("disk", f"{place} cannot be read: {error.strerror}") from error
        message = f"{place} is there, and is not what {self._source.repo} has now"
        raise PullError("in_the_way", message, "move it away, with the model that it is of stopped")

    def _check_room(self, parts: Sequence[Part]) -> None:
        needed = sum(part.file.size - part.done for part in parts)
        disk = os.statvfs(self._places.parts)
        free = disk.f_bavail * disk.f_frsize
        if needed and needed + BESIDE > free:
            needed += BESIDE
            message = f"the disk of {self._places.models} has {gib(free)} free, and {gib(needed)} are needed"
            raise PullError("disk_full", message, _ROOM)

    # -- connections ---------------------------------------------------------------------------------------------------

    def _get(self, hub: Hub, commit: str, parts: Sequence[Part]) -> None:
        """Have all parts become whole; what goes wrong with one ends all."""
        left = {id(part) for part in parts if not part.whole}
        work: queue.SimpleQueue[tuple[Part, Piece]] = queue.SimpleQueue()
        for part in parts:
            if not part.whole and part.came:
                self._teller.say(f"measuring {part.file.name}")
                part.settle()
                left.discard(id(part))
                continue
            for piece in part.pieces:
                if piece.done < piece.length:
                    work.put((part, piece))
        _remember(parts)  # while there is room for notes
        for _ in range(CONNECTIONS):
            threading.Thread(target=self._work, args=(hub, commit, work), daemon=True).start()
        noted, before = time.monotonic(), -1
        while left:
            self._teller.far(parts)
            if (done := sum(part.done for part in parts)) != before:
                before, self._last = done, time.monotonic()
            with contextlib.suppress(queue.Empty):
                result = self._results.get(timeout=0.5)
                if isinstance(result, Exception):
                    raise result
                left.discard(id(result))
            if time.monotonic() - noted >= NOTED:
                noted = time.monotonic()
                _remember(parts)
        self._teller.far(parts)

    def _work(self, hub: Hub, commit: str, work: "queue.SimpleQueue[tuple[Part, Piece]]") -> None:
        """One connection, until there is nothing to do."""
        while not self._ended.is_set():
            try:
                part, piece = work.get_nowait()
            except queue.Empty:
                return
            try:
                self._piece(hub, commit, part, piece)
                with part.settling:
                    if not part.whole and part.came:
                        part.settle()
                        self._results.put(part)
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                self._results.put(error)
                return

    def _piece(self, hub: Hub, commit: str, part: Part, piece: Piece) -> None:
        for pause in _pauses():
            before = piece.done
            try:
                hub.fetch(self._source.repo, commit, part.file, piece)
            except PassingError as error:
                if time.monotonic() - self._last > self._patience:
                    hint = "the same command goes on with what is there"
                    raise PullError("broken_off", f"nothing comes any more: {error}", hint) from error
                self._teller.trouble(str(error))
                if self._ended.wait(pause if piece.done == before else PAUSES[0]):
                    return
            else:
                return


_ROOM = "make room, and pull again: what has come is kept"
_MIRROR = "another hub: systemctl edit swapper-pull@, with [Service] and Environment=HF_ENDPOINT=https://…"


@contextlib.contextmanager
def _alone(repo: str, teller: Teller) -> Iterator[None]:
    """Wait for other pulls of the same repository: whatever they bring is there then."""
    path = teller.folder / f"{repo.replace('/', '--')}.lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            teller.say(f"waiting for another pull of {repo}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remember(parts: Iterable[Part]) -> None:
    for part in parts:
        part.remember()


def _pauses() -> Iterator[float]:
    yield from PAUSES
    while True:
        yield PAUSES[-1]


def _disk(error: DiskError, where: Path) -> PullError:
    number, text = error.args
    if number in FULL:
        return PullError("disk_full", f"the disk of {where} is full", _ROOM)
    return PullError("disk", f"{where} cannot be written: {text}")
