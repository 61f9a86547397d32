"""Units over D-Bus: systemd starts and stops them and tells what becomes of them; nothing is decided here.

What this rests on (systemd's dbus-unit.c and dbus-job.c):

- A change is announced as two PropertiesChanged: the service's (Result, ExecMainStatus, StatusText …), then the unit's
  (ActiveState, InvocationID …), in this order so that they can be read as one. So a failure arrives complete.
- An announcement that is pending goes out before the state changes again, and before the job's JobRemoved. So no state
  is skipped, and when `start()` returns, the last change has been reported.
- systemd unloads a unit that came to rest, after it said so. So what is not loaded is inactive.

After each daemon-reload, and when systemd or the bus went away and came back, everything is read anew, and what differs
is reported: nothing that happened meanwhile is lost.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from swapper.core.events import ActiveState
from swapper.host import failures
from swapper.host.bus import BROKER, MANAGER, MANAGER_PATH, PROPERTIES, SYSTEMD, Bus, BusError, Untyped, pick
from swapper.host.definition import Definition
from swapper.host.known import Known
from swapper.host.status import (
    UNIT_PROPERTIES,
    JobResult,
    UnitRefused,
    UnitStatus,
    assignments,
    object_path,
)
from swapper.host.targets import Targets

__all__ = ["JobResult", "UnitRefused", "UnitStatus", "Units"]

PATTERNS: Final = ("llama@*.service", "vllm@*.service", "speech@*.service")
TARGETS: Final = ("swapper-profile@*.target",)

_SERVICE: Final = "org.freedesktop.systemd1.Service"
_UNIT: Final = "org.freedesktop.systemd1.Unit"
_ALL: Final = ""  # as interface of GetAll: of all of them, at one moment
_LIMITS: Final = ("TimeoutStartUSec", "WatchdogUSec")
_FILES: Final = ("FragmentPath", "DropInPaths", "NeedDaemonReload")

_PATIENCE: Final = 10.0  # seconds without systemd before those who wait are told
_RETRY: Final = 0.5  # seconds until systemd is looked for again, unless a signal says that it is back

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    unit: str
    starts: bool
    ended: asyncio.Future[JobResult]


class Units:
    """The units that match some patterns: what they do, start, stop. To be used in the loop's thread."""

    def __init__(
        self,
        on_change: Callable[[UnitStatus], None],
        on_reload: Callable[[], None],
        patterns: Iterable[str],
        on_order: Callable[[str, bool], None],
    ) -> None:
        self._on_change = on_change
        self._on_reload = on_reload
        self._targets = Targets(TARGETS, lambda target, begins: self._tell(on_order, target, begins))
        self._loop = asyncio.get_running_loop()
        self._known = Known(patterns, self._report)
        self._jobs: dict[str, _Job] = {}
        self._next_end: asyncio.Future[None] = self._loop.create_future()  # of any job
        self._bus: Bus | None = None
        self._attached = asyncio.Event()  # systemd answers, and sends signals
        self._stale = asyncio.Event()  # what is known may be the past
        self._lost_at = 0.0
        self._trouble = ""
        self._reloaded = False
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        on_change: Callable[[UnitStatus], None],
        on_reload: Callable[[], None],
        patterns: Iterable[str] = PATTERNS,
        on_order: Callable[[str, bool], None] = lambda _target, _begins: None,
    ) -> Self:
        """Connect to systemd, and hear of every change from now on.

        Args:
            on_change: Called in the loop's thread for each change of a unit's state, and of what it says of itself
                (`STATUS=`), in systemd's order. What is so from the start is `list()`'s to tell.
            on_reload: Called after each daemon-reload, once what that changed has been reported.
            patterns: Shell patterns of unit names.
            on_order: Called when the start of a profile's target is ordered (True), and when that is over (False).

        Raises:
            UnitRefused: With code `dbus_unavailable`.
        """
        units = cls(on_change, on_reload, patterns, on_order)
        try:
            await units._attach()
        except BusError as error:
            await units.close()
            raise UnitRefused(failures.unreachable(error.text)) from error
        units._attached.set()
        units._keeper = asyncio.create_task(units._keep(), name="units")
        return units

    async def list(self) -> tuple[UnitStatus, ...]:
        """The units that systemd has loaded. One that it has not is inactive."""
        return await self._ask("list", "", self._refresh)

    async def status(self, unit: str) -> UnitStatus:
        """What systemd says of a unit now, loaded or not."""
        return await self._ask("read", unit, lambda bus: self._read(bus, unit))

    async def environment(self, unit: str) -> tuple[tuple[str, str], ...]:
        """`Environment=` of a unit as systemd sees it, an administrator's drop-ins included."""

        def read(reply: Untyped) -> tuple[tuple[str, str], ...]:
            return assignments(reply.unpack()[0])

        return await self._ask("read", unit, lambda bus: _get(bus, unit, "Environment", read))

    async def files(self, unit: str) -> Definition:
        """The files that define a unit, as systemd has read them: the unit file, then the drop-ins in their order."""

        async def read(bus: Bus) -> Definition:
            path, dropins, stale = await asyncio.gather(
                *(_get(bus, unit, name, lambda reply: reply.unpack()[0], _UNIT) for name in _FILES)
            )
            return Definition(tuple(Path(each) for each in (path, *dropins) if each), bool(stale))

        return await self._ask("read", unit, read)

    async def start(self, unit: str) -> JobResult:
        """Start a unit and wait for the job's end, by when the unit's last change has been reported.

        Where somebody else is just having it stopped, that is waited for: `systemctl stop` must not end with "Job
        canceled" because a request came at the same moment.

        Raises:
            UnitRefused: With code `model_disabled` (masked), `unit_refused` (no such unit, not allowed, bad setting) or
                `dbus_unavailable`.
        """
        return await self._run("StartUnit", unit, "fail", starts=True)

    async def stop(self, unit: str) -> JobResult:
        """Stop a unit and wait for the job's end: none of its processes is left.

        Raises:
            UnitRefused: As `start()`.
        """
        return await self._run("StopUnit", unit, "replace", starts=False)

    async def close(self) -> None:
        """Disconnect; nothing is reported any more. Units go on."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._bus is not None:
            self._bus.close()

    # Signals

    def _unit_changed(self, unit: str, properties: Mapping[str, Untyped]) -> None:
        before = self._known.seen(unit)
        now = self._known.unit_changed(unit, properties)
        if now.active is ActiveState.ACTIVATING is not before.active:
            self._read_limits(unit)

    def _job_removed(self, arguments: tuple[Untyped, ...]) -> None:
        _, path, _, result = arguments
        self._targets.job_removed(path)
        if job := self._jobs.pop(path, None):
            job.ended.set_result(JobResult(result))
        ended, self._next_end = self._next_end, self._loop.create_future()
        ended.set_result(None)

    def _reloading(self, arguments: tuple[Untyped, ...]) -> None:
        (begins,) = arguments
        if not begins:
            self._reloaded = True
            self._stale.set()

    def _owner_changed(self, arguments: tuple[Untyped, ...]) -> None:
        _, _, owner = arguments
        self._lost("it is restarting" if not owner else "it was restarted")

    def _report(self, status: UnitStatus) -> None:
        if self._keeper is not None:
            self._tell(self._on_change, status)

    def _tell[**P](self, listener: Callable[P, None], *arguments: P.args, **keywords: P.kwargs) -> None:
        try:
            listener(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 (not ours: what we are reading has to be read on)
            self._loop.call_exception_handler({"message": "A listener to units failed", "exception": error})

    # What is asked

    async def _refresh(self, bus: Bus) -> tuple[UnitStatus, ...]:
        def listed(reply: Untyped) -> tuple[str, ...]:
            units = tuple(unit for unit, *_ in reply.unpack()[0])
            self._known.loaded(units)
            return units

        arguments = ("(asas)", ((), self._known.patterns))
        units = await bus.call(MANAGER_PATH, MANAGER, "ListUnitsByPatterns", arguments, listed)
        return tuple(await asyncio.gather(*(self._read(bus, unit) for unit in units)))

    def _read(self, bus: Bus, unit: str) -> asyncio.Future[UnitStatus]:
        def read(reply: Untyped) -> UnitStatus:
            return self._known.read(unit, pick(reply.get_child_value(0), UNIT_PROPERTIES))

        return bus.call(object_path(unit), PROPERTIES, "GetAll", ("(s)", (_ALL,)), read)

    def _read_limits(self, unit: str) -> None:
        """Have the unit's time limits noted, for a failure that comes of them; they are not announced."""

        def note(name: str, reply: Untyped) -> None:
            self._known.read(unit, {name: reply.unpack()[0]})

        if self._bus is not None:
            for name in _LIMITS:
                reading = _get(self._bus, unit, name, functools.partial(note, name))
                reading.add_done_callback(lambda done: done.exception())  # then it stays unknown

    # Jobs

    async def _run(self, method: str, unit: str, mode: str, *, starts: bool) -> JobResult:
        patience = self._loop.time() + _PATIENCE

        def accepted(reply: Untyped) -> _Job:
            (path,) = reply.unpack()
            return self._jobs.setdefault(path, _Job(unit, starts, self._loop.create_future()))

        async def request(bus: Bus) -> _Job:
            while True:
                ended = self._next_end
                try:
                    return await bus.call(MANAGER_PATH, MANAGER, method, ("(ss)", (unit, mode)), accepted)
                except BusError as error:
                    if not failures.in_the_way(error.name) or self._loop.time() > patience:
                        raise
                await asyncio.wait({ended}, timeout=_RETRY)

        job = await self._ask("start" if starts else "stop", unit, request)
        result = await asyncio.shield(job.ended)  # several may wait for one job
        if result is JobResult.DONE and self._known.seen(unit).running is not starts:
            await self.status(unit)  # systemd announces no change of a unit that it had not announced itself
        return result

    def _settle(self, reply: Untyped) -> None:
        """End the jobs whose end was not heard of: those that systemd does not list any more."""
        going = {path for _, _, _, _, path, _ in reply.unpack()[0]}
        for path in self._jobs.keys() - going:
            job = self._jobs.pop(path)
            as_asked = self._known.seen(job.unit).running is job.starts
            job.ended.set_result(JobResult.DONE if as_asked else JobResult.FAILED)
        self._targets.settle(going)

    # Connection

    async def _ask[T](self, what: str, unit: str, question: Callable[[Bus], Awaitable[T]]) -> T:
        """Put a question to systemd, and again if it went away meanwhile: none does harm when it is put twice."""
        patience = self._loop.time() + _PATIENCE
        again = True  # once more at least, however long it took to find out that nobody is there
        while True:
            bus = await self._reach()
            try:
                return await question(bus)
            except BusError as error:
                if not failures.gone(error.name) or not (again or self._loop.time() < patience):
                    raise UnitRefused(failures.refused(what, unit, error.name, error.text)) from error
                again = False
                self._lost(error.text)

    async def _reach(self) -> Bus:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._attached.wait()
        if self._bus is None or not self._attached.is_set():
            raise UnitRefused(failures.unreachable(self._trouble))
        return self._bus

    def _lost(self, why: str) -> None:
        if self._attached.is_set():
            _log.warning("systemd cannot be reached over D-Bus: %s", why)
            self._lost_at = self._loop.time()
        self._trouble = why
        self._attached.clear()
        self._reloaded = True  # for all we know
        self._stale.set()

    async def _keep(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self._attach()
            except (BusError, ValueError) as error:  # ValueError: a state that is not ours to know
                self._trouble = str(error)
                if self._loop.time() - self._lost_at > _PATIENCE:
                    self._abandon_jobs()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY):
                        await self._stale.wait()
                self._stale.set()
            else:
                self._attached.set()
                if self._reloaded:
                    self._reloaded = False
                    self._tell(self._on_reload)

    async def _attach(self) -> None:
        """Have systemd send signals, and catch up with what went unheard."""
        if self._bus is None or self._bus.closed:
            self._bus = await self._open()
        await _subscribe(self._bus)
        await self._refresh(self._bus)
        await self._bus.call(MANAGER_PATH, MANAGER, "ListJobs", ("()", ()), self._settle)

    async def _open(self) -> Bus:
        bus = await Bus.open(on_close=lambda: self._lost("the bus closed the connection"))
        bus.on_signal(BROKER, BROKER, "NameOwnerChanged", self._owner_changed, arg0=SYSTEMD)
        bus.on_signal(SYSTEMD, MANAGER, "JobNew", functools.partial(self._targets.job_new, bus))
        bus.on_signal(SYSTEMD, MANAGER, "JobRemoved", self._job_removed)
        bus.on_signal(SYSTEMD, MANAGER, "Reloading", self._reloading)
        name_of = functools.lru_cache(maxsize=4096)(self._known.name_of)
        bus.on_properties(_SERVICE, name_of, UNIT_PROPERTIES, self._known.service_changed)
        bus.on_properties(_UNIT, name_of, UNIT_PROPERTIES, self._unit_changed)
        return bus

    def _abandon_jobs(self) -> None:
        for job in self._jobs.values():
            job.ended.set_exception(UnitRefused(failures.unreachable(self._trouble)))
        self._jobs.clear()


async def _subscribe(bus: Bus) -> None:
    try:
        await bus.call(MANAGER_PATH, MANAGER, "Subscribe", ("()", ()), lambda _: None)
    except BusError as error:
        if not error.name.endswith(".AlreadySubscribed"):
            raise


def _get[T](
    bus: Bus, unit: str, name: str, then: Callable[[Untyped], T], interface: str = _SERVICE
) -> asyncio.Future[T]:
    """Read one property of a service."""
    return bus.call(object_path(unit), PROPERTIES, "Get", ("(ss)", (interface, name)), then)
