"""The journal: structured entries in, a unit's lines out.

Entries are written by a thread of their own: journald may take its time, and nothing may hold up the loop. Where it, or
python3-systemd, is missing, they go to standard error with the priority in front, as sd-daemon(3) has it.
A reader belongs to one thread (sd_journal_open(3)); what is asynchronous here gives each one a thread.
"""

import asyncio
import atexit
import contextlib
import functools
import json
import logging
import queue
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any, Final
from uuid import UUID

try:
    from systemd import journal
except ImportError:
    journal = None

_SOCKET: Final = Path("/run/systemd/journal/socket")
_VARLINK: Final = "/run/systemd/journal/io.systemd.journal"
_IDENTIFIER: Final = "swapper"
_BACKLOG: Final = 4096  # entries that may wait for journald; then they are dropped rather than held in memory
_BATCH: Final = 500  # lines read at a time

type _Reader = Any  # systemd.journal.Reader, which has no types


class Priority(IntEnum):
    """Priorities of syslog(3)."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


def send(message: str, *, priority: Priority = Priority.INFO, **fields: object) -> None:
    """Write an entry; returns at once.

    Args:
        message: What a person reads.
        priority: How much it matters.
        fields: More fields, such as `MODEL=`, `REQUEST_ID=`; capitals. None is left out.
    """
    _writer().put({"MESSAGE": message, "PRIORITY": str(priority.value), **_texts(fields)})


class Handler(logging.Handler):
    """Sends log records to the journal; attributes in capitals (`extra={"MODEL": "devstral"}`) become fields."""

    def __init__(self, identifier: str = _IDENTIFIER) -> None:
        super().__init__()
        self._identifier = identifier

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; returns at once."""
        try:
            fields = {name: value for name, value in vars(record).items() if name.isupper()}
            place = {"LOGGER": record.name, "CODE_FILE": record.pathname, "CODE_LINE": record.lineno}
            whose = {"SYSLOG_IDENTIFIER": self._identifier}
            send(self.format(record), priority=_priority(record.levelno), **whose, **place, **fields)
        except Exception:  # noqa: BLE001 (as logging does it: a log line never breaks the one who logs)
            self.handleError(record)


def install(level: int = logging.INFO, identifier: str = _IDENTIFIER) -> None:
    """Send everything that is logged, from this level on, to the journal.

    Args:
        level: One of logging's.
        identifier: What `journalctl` calls the one who logs.
    """
    logging.basicConfig(level=level, handlers=[Handler(identifier)], format="%(message)s", force=True)


def tail(unit: str, invocation: str, lines: int, *, patience: float = 0.0) -> tuple[str, ...]:
    """The last lines that a unit's processes wrote after one of its starts. Blocks: for a thread.

    Of a process that ended at once journald may not find out the invocation. Its lines, the very ones that tell why,
    are known by their time: after systemd's last word on the start before. (Not after its first on this one, which can
    come later than what the process prints.) Time since boot, that is: somebody may have set the clock in between.

    Args:
        unit: Full name.
        invocation: Which start of it.
        lines: How many at most.
        patience: Seconds to wait for journald to take in what has been written so far: that a unit failed is known
            before its last lines are.
    """
    if journal is None or not invocation:
        return ()
    if patience:
        _synchronize(patience)
    with journal.Reader() as reader:
        span = _span(reader, unit, invocation)
        reader.flush_matches()
        reader.add_match(_SYSTEMD_UNIT=unit)
        if span is None:
            reader.add_match(_SYSTEMD_INVOCATION_ID=invocation)
        else:
            reader.add_match(_BOOT_ID=span.boot.hex)
        if span is not None and span.until is not None:
            reader.seek_monotonic(span.until, span.boot)
        else:
            reader.seek_tail()
        found: list[str] = []
        while len(found) < lines and (entry := reader.get_previous()):
            if span is not None and _taken_in(entry)[1] <= span.since:
                break
            if entry.get("_SYSTEMD_INVOCATION_ID", invocation) == invocation:
                found.append(_text(entry))
    return tuple(reversed(found))


async def follow(unit: str, lines: int) -> AsyncGenerator[str]:
    """The last lines of a unit, systemd's on it included, over all its starts; then each new one when it comes.

    Args:
        unit: Full name.
        lines: How many old ones at most.
    """
    if journal is None:
        return
    with contextlib.closing(_Follower(unit)) as follower:
        batch = await follower.read(functools.partial(_last, lines=lines))
        while True:
            for line in batch:
                yield line
            if len(batch) < _BATCH:
                await follower.readable()
            batch = await follower.read(_next)


async def recent(unit: str, lines: int) -> tuple[str, ...]:
    """The last lines of a unit, systemd's on it included, over all its starts.

    Args:
        unit: Full name.
        lines: How many at most.
    """
    if journal is None:
        return ()
    with contextlib.closing(_Follower(unit)) as follower:
        return await follower.read(functools.partial(_last, lines=lines))


class _Follower:
    """A reader in a thread of its own, and its file descriptor in the loop."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._reader: _Reader = None

    async def read(self, how: Callable[[_Reader], tuple[str, ...]]) -> tuple[str, ...]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, how)

    async def readable(self) -> None:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._reader.fileno(), changed.set)
        try:
            await changed.wait()
        finally:  # not left in place: it stays readable until the thread has looked
            loop.remove_reader(self._reader.fileno())

    def close(self) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _read(self, how: Callable[[_Reader], tuple[str, ...]]) -> tuple[str, ...]:
        if self._reader is None:
            self._reader = journal.Reader()
            self._reader.add_match(_SYSTEMD_UNIT=self._unit)
            self._reader.add_disjunction()
            self._reader.add_match(_PID="1", UNIT=self._unit)
            self._reader.fileno()  # from here on it watches
        return how(self._reader)

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()


@dataclass(frozen=True, slots=True)
class _Span:
    """Part of the time since a boot: from systemd's last word on the start before to its first on the next, if any."""

    boot: UUID
    since: timedelta
    until: timedelta | None


def _span(reader: _Reader, unit: str, invocation: str) -> _Span | None:
    """Where a start's lines are; None where systemd said nothing of it."""
    reader.add_match(_PID="1", UNIT=unit)
    reader.seek_tail()
    boot: UUID | None = None
    until: timedelta | None = None
    while entry := reader.get_previous():
        here, time = _taken_in(entry)
        if entry.get("INVOCATION_ID") == invocation:
            boot = here
        elif boot is not None:
            return _Span(boot, time if here == boot else timedelta(), until)
        else:
            until = time
    return _Span(boot, timedelta(), until) if boot is not None else None


def _taken_in(entry: Mapping[str, Any]) -> tuple[UUID, timedelta]:
    """When journald took an entry in: in which boot, and how long after its beginning."""
    time: timedelta = entry["__MONOTONIC_TIMESTAMP"].timestamp
    boot: UUID = entry["__MONOTONIC_TIMESTAMP"].bootid
    return boot, time


def _last(reader: _Reader, lines: int) -> tuple[str, ...]:
    reader.seek_tail()
    last = reader.get_previous()
    if not last:
        reader.seek_head()  # from a tail with nothing before it, nothing would ever come next
        return ()
    found = [_text(last)] if lines else []
    while len(found) < lines and (entry := reader.get_previous()):
        found.append(_text(entry))
    for _ in range(len(found) - 1):
        reader.get_next()
    return tuple(reversed(found))


def _next(reader: _Reader) -> tuple[str, ...]:
    reader.process()
    found: list[str] = []
    while len(found) < _BATCH and (entry := reader.get_next()):
        found.append(_text(entry))
    return tuple(found)


def _synchronize(patience: float) -> None:
    """Have journald process all that waits in its sockets: io.systemd.Journal.Synchronize, as `journalctl --sync`.

    Without the sync to disk that it entails, where journald knows that parameter (systemd 258).
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as varlink:
        varlink.settimeout(patience)
        varlink.connect(_VARLINK)
        for parameters in ({"offline": False}, {}):
            call = {"method": "io.systemd.Journal.Synchronize", "parameters": parameters}
            varlink.sendall(json.dumps(call).encode() + b"\0")
            if b'"error"' not in varlink.recv(4096):
                return


def _text(entry: Mapping[str, Any]) -> str:
    message = entry.get("MESSAGE", "")
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)


class _Writer:
    """Writes what it is given, one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue(_BACKLOG)
        self._write = _write_journal if journal is not None and _SOCKET.exists() else _write_stderr
        self._lost = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.flush)

    def put(self, entry: Mapping[str, str]) -> None:
        try:
            self._waiting.put_nowait(functools.partial(self._write, entry))
        except queue.Full:
            self._lost += 1

    def flush(self) -> None:
        """Wait until what was given so far is written, two seconds at most."""
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._waiting.put(written.set, timeout=1)
            written.wait(1)

    def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # there is nobody to tell
                self._waiting.get()()
            if self._lost and self._waiting.empty():
                lost, self._lost = self._lost, 0
                send(
                    f"{lost} log entries were dropped: they came faster than they could be written",
                    priority=Priority.WARNING,
                )


@functools.cache
def _writer() -> _Writer:
    return _Writer()


def flush() -> None:
    """Wait until what was sent so far is written."""
    _writer().flush()


def _write_journal(entry: Mapping[str, str]) -> None:
    fields = {"SYSLOG_IDENTIFIER": _IDENTIFIER, **entry}
    journal.sendv(*(f"{name}={value}" for name, value in fields.items()))


def _write_stderr(entry: Mapping[str, str]) -> None:
    shown = entry.keys() - {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"}
    fields = "".join(f" {name}={value}" for name, value in entry.items() if name in shown)
    for line in (entry["MESSAGE"] + fields).splitlines():
        sys.stderr.write(f"<{entry['PRIORITY']}>{line}\n")
    sys.stderr.flush()


def _texts(fields: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value is not None}


def _priority(level: int) -> Priority:
    if level >= logging.ERROR:
        return Priority.ERROR
    if level >= logging.WARNING:
        return Priority.WARNING
    return Priority.INFO if level >= logging.INFO else Priority.DEBUG
