"""The router as a whole: everything made, joined, started, reloaded and ended.

Start: read the configuration, connect to systemd, adopt what runs, take systemd's sockets, say READY. A configuration
that is wrong does not keep the router from starting: the last good one goes on; where there is none, every request is
told what is wrong.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from swapper import config as configuration
from swapper.config import Config, ConfigErrors
from swapper.core.actions import Announce
from swapper.core.model import Failure, State
from swapper.core.scheduler import Scheduler
from swapper.host import gpus, journal, notify, pages
from swapper.host.status import UnitStatus
from swapper.host.units import Units
from swapper.router import late, routes, specs
from swapper.router.ahead import ReadAhead
from swapper.router.api.catalog import Catalog, started_now
from swapper.router.api.loading import Loading
from swapper.router.api.parts import Parts
from swapper.router.chores import Chores
from swapper.router.directory import Directory
from swapper.router.explain import Explainer
from swapper.router.feed import Feed
from swapper.router.gpus import Gpus
from swapper.router.guard import Guard
from swapper.router.headroom import Headroom, roomy
from swapper.router.history import History
from swapper.router.late import LateApplication, LateMedia
from swapper.router.measured import Measured
from swapper.router.orders import UnitOrders
from swapper.router.places import Places
from swapper.router.profiles import Profiles
from swapper.router.requestlog import RequestLog
from swapper.router.runtime import Runtime
from swapper.router.situation import Situation
from swapper.router.stats import Stats
from swapper.router.wire.body import Spool
from swapper.router.wire.front import Front
from swapper.router.wire.pool import Pool
from swapper.router.wire.ports import Live, Record, Services
from swapper.router.wire.settings import FrontSettings

_LOG = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections that may wait to be accepted: as `Backlog=` of the socket unit, for `listen()` is called again."""

DRAIN_TIMEOUT = 20.0
"""Seconds that streams get to end when the router is stopped; less than the unit's `TimeoutStopSec=`."""


ACCEPTED = 0.05
"""Seconds for connections that were accepted just before the router ends to become known."""

LAST_WORDS = 2.0
"""Seconds for those who are turned away then, and for whoever watches or follows a log."""


class Router:
    """The running router."""

    def __init__(
        self, paths: Sequence[Path] = (), sealed: Iterable[str] = (), meminfo: int | None = None
    ) -> None:
        """Make all parts; nothing is read, connected or opened yet.

        Args:
            paths: Configuration files; none for the usual ones.
            sealed: Names of credentials that lie encrypted.
            meminfo: /proc/meminfo, open; None where it can be opened.
        """
        self._paths = tuple(paths)
        self._guard = Guard(sealed)
        self._config = Config()
        self._statuses: dict[str, UnitStatus] = {}
        self._applying = asyncio.Lock()
        self._chores = Chores()
        self._scheduler = Scheduler()
        self._places = Places(self._config, self._scheduler)
        self._feed = Feed()
        self._stats = Stats(lambda model: self._scheduler.record(model) is not None)
        self._pool = Pool()
        self._runtime = Runtime(self._scheduler, self._places.socket, self._pool.forget)
        self._directory = Directory(self._places, self._reconsider)
        self._situation = Situation(self._scheduler, self._feed, self._runtime)
        self._measured = Measured(self._places, self._scheduler)
        self._gpus = Gpus(gpus.read, self._measured.seen)
        self._meminfo = meminfo
        self._ahead = ReadAhead(self._places, self._scheduler, partial(pages.available, meminfo))
        self._headroom = Headroom(self._scheduler, self._runtime.dispatch, partial(pages.memory, meminfo))
        self._profiles = Profiles(self._places, self._scheduler, self._runtime.dispatch)
        self._explain = Explainer(self._places, self._scheduler, self._feed, _tail)
        self._units: Units | None = None
        self._front: Front | None = None
        self._application: LateApplication | None = None
        self._media: LateMedia | None = None
        self._media_settings = (self._config.media, self._config.router.max_body)
        self._spool: Spool | None = None
        self._servers: list[asyncio.Server] = []
        self._log = RequestLog()
        self._history = History()
        self._orders: UnitOrders | None = None
        self._runtime.watch(self._places.note)
        self._runtime.watch(self._feed.note)
        self._runtime.watch(self._stats.changed)
        self._runtime.watch(self._gpus.note)
        self._runtime.watch(self._ahead.note)
        self._runtime.watch(self._headroom.note)
        self._runtime.watch(self._announced)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Adopt what runs, and serve these listening sockets.

        Raises:
            UnitRefused: systemd cannot be reached.
            OSError: API keys cannot be read.
        """
        self._guard.read()
        try:
            self._config = await asyncio.to_thread(configuration.load, *self._paths)
        except ConfigErrors as errors:
            self._refuse(errors)
            # What was good before goes on, as it does when the router runs: its models may be running too.
            with contextlib.suppress(ConfigErrors):
                self._config = await asyncio.to_thread(configuration.load_last_good)
        self._places.apply(self._config)
        self._units = await Units.connect(self._unit_changed, self._reloaded, on_order=self._ordered)
        orders = UnitOrders(self._units, self._places, self._scheduler, self._runtime.dispatch, self._feed.progress,
                            roomy=lambda: roomy(*pages.memory(self._meminfo)))  # fmt: skip
        self._runtime.orders = self._orders = orders
        await self._apply()
        self._guard.listens(sockets)
        for status in await self._units.list():
            self._unit_changed(status)
        self._spool = Spool(self._config.router.spool)
        catalog = Catalog(self._places, self._scheduler, self._feed, self._statuses, started_now(), self._measured)
        parts = Parts(self._directory, catalog, self._runtime, orders, self._feed, self._stats,
                      lambda: self.connections, journal.follow, journal.recent, self._explain,
                      lambda: self._guard.access.keyed, self._guard.cors, self._gpus.look, self._guard.owner,
                      self._guard.permit, self._live, self._cancel, self._history, self._units.files,
                      lambda: self._guard.names)  # fmt: skip
        self._application = LateApplication(partial(late.runner, parts, LAST_WORDS))
        self._front = Front(self._services(), self._front_settings(), routes.find, self._application)
        loop = asyncio.get_running_loop()
        for listening in sockets:
            self._servers.append(await loop.create_server(self._front, sock=listening, backlog=BACKLOG))
        self._preload()
        notify.ready(self._status())

    async def stop(self) -> None:
        """Let streams end, then end everything. Units go on; connections to come wait in systemd's backlog."""
        notify.stopping("Letting requests end.")
        await self._stop_listening()
        self._feed.close()
        if self._front is not None:
            await self._let_end(self._front)
        await self._chores.close()
        await self._gpus.close()
        await self._ahead.close()
        await self._headroom.close()
        await self._profiles.close()
        if self._application is not None:
            await self._application.close()
        self._runtime.close()
        if self._orders is not None:
            await self._orders.close()
        if self._media is not None:
            await self._media.close()
        if self._spool is not None:
            self._spool.close()
        if self._units is not None:
            await self._units.close()

    async def _stop_listening(self) -> None:
        """Leave connections to come in systemd's backlog, and lose none of those that were just taken out of it.

        asyncio accepts a batch at a time and makes their protocols in tasks, which fail once the server is closed.
        """
        loop = asyncio.get_running_loop()
        for server in self._servers:
            for listening in server.sockets:
                loop.remove_reader(listening.fileno())
        await asyncio.sleep(ACCEPTED)
        for server in self._servers:
            server.close()

    async def _let_end(self, front: Front) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await front.drain()
        # Models that are being loaded go on loading, and the next router adopts them.
        hint = "Send the request again."
        self._runtime.turn_away(Failure("router_stopping", "The router is being stopped.", hint, retry_after=1.0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await front.drain()
        front.abort()

    @property
    def connections(self) -> int:
        """Clients that are connected."""
        connections = self._front.connections if self._front is not None else 0
        others = self._application.connections if self._application is not None else 0
        return connections + others

    @property
    def idle(self) -> bool:
        """Whether nothing would be missed if the router ended: no connection, no request, no model that runs."""
        residents = any(record.running for record in self._scheduler.records())
        return not (self.connections or residents or self._runtime.requests)

    @property
    def idle_exit(self) -> float | None:
        """Seconds of being idle after which the router should end; None for never."""
        return self._config.router.idle_exit

    # -- configuration -----------------------------------------------------------------------------------------------

    async def reload(self) -> None:
        """Read the configuration again; a wrong one is refused, and the old one goes on."""
        notify.reloading()
        try:
            self._guard.read()
        except OSError as error:
            _LOG.error("API keys cannot be read, so those that were read last go on: %s", error)
        try:
            self._config = await asyncio.to_thread(configuration.load, *self._paths)
        except ConfigErrors as errors:
            self._refuse(errors)
        else:
            self._directory.mistakes = ()
            _LOG.info("configuration read: %d models", len(self._config.models))
            await self._apply()
        notify.ready(self._status())

    def _refuse(self, errors: ConfigErrors) -> None:
        self._directory.mistakes = errors.errors
        for error in errors.errors:
            _LOG.error("%s", error, extra={"CONFIG_FILE": error.file, "CONFIG_LINE": error.line})
        _LOG.error("the configuration is wrong in %d places and was not applied", len(errors.errors))

    async def _apply(self) -> None:
        """Bring the configuration that was read into force."""
        if self._units is None:
            return
        async with self._applying:
            config = self._config
            self._guard.apply(config)
            total = (await asyncio.to_thread(pages.memory, self._meminfo))[1]
            event = specs.applied(config, await specs.read_pins(self._units, config), total)
            self._places.apply(config)
            self._runtime.dispatch(event)
            if self._front is not None:
                self._front.services = self._services()
                self._front.settings = self._front_settings()

    def _reloaded(self) -> None:
        """Systemd has read its units anew: pins may be others."""
        self._chores.spawn(self._apply(), "apply")

    def _front_settings(self) -> FrontSettings:
        router = self._config.router
        return FrontSettings(
            max_body=router.max_body,
            header_timeout=router.header_timeout,
            body_timeout=router.body_timeout,
            idle_timeout=router.idle_timeout,
        )

    def _services(self) -> Services:
        if self._spool is None:
            raise RuntimeError("no spool yet")
        settings = (self._config.media, self._config.router.max_body)
        if self._media is None or self._media_settings != settings:
            if self._media is not None:
                self._chores.spawn(_retire(self._media, self._media_settings[0].timeout), "retire media")
            self._media, self._media_settings = LateMedia(settings[0], self._spool, settings[1]), settings
        return Services(
            leases=self._runtime,
            pool=self._pool,
            spool=self._spool,
            media=self._media,
            directory=self._directory,
            access=self._guard.access,
            gate=self._guard.gate,
            situation=self._situation,
            explain=self._explain,
            done=self._request_over,
        )

    def _preload(self) -> None:
        for model in self._config.models:
            if model.preload:
                self._chores.spawn(self._load(model.name), f"preload {model.name}")

    async def _load(self, name: str) -> None:
        loading = Loading()
        ticket = self._runtime.request(name, loading, light=True)
        failure = await loading.loaded
        ticket.release()
        if failure is not None:
            _LOG.error("could not preload %s: %s", name, failure.message, extra={"MODEL": name})

    # -- what happens --------------------------------------------------------------------------------------------------

    def _reconsider(self, model: str) -> None:
        record = self._scheduler.record(model)
        companions = () if record is None else record.companions
        if self._orders is not None:
            for name in (model, *(companion.name for companion in companions)):
                self._orders.reconsider(name)

    def _request_over(self, record: Record) -> None:
        self._stats.note(record)
        self._history.note(record)
        self._log(record)

    def _live(self) -> Sequence[Live]:
        return self._front.live() if self._front is not None else ()

    def _cancel(self, request: str, why: Failure) -> int:
        return self._front.cancel(request, why) if self._front is not None else 0

    def _unit_changed(self, status: UnitStatus) -> None:
        self._statuses[status.unit] = status
        if self._orders is not None:
            self._orders.changed(status)

    def _ordered(self, target: str, begins: bool) -> None:
        if self._units is not None:
            self._profiles.ordered(target, begins, self._units.status)

    def _announced(self, change: Announce) -> None:
        level = logging.WARNING if change.new is State.FAILED else logging.INFO
        _LOG.log(
            level,
            "%s: %s -> %s (%s)",
            change.model,
            change.old,
            change.new,
            change.reason.whole,
            extra={
                "MODEL": change.model,
                "OLD_STATE": change.old,
                "NEW_STATE": change.new,
                "TOOK_MS": "" if change.took is None else f"{change.took * 1000:.1f}",
            },
        )
        notify.status(self._status())

    def _status(self) -> str:
        resident = [f"{r.name} {r.appears}" for r in self._scheduler.records() if r.running]
        waiting = list(self._scheduler.claims)
        words = [
            f"{', '.join(resident) or 'No model'} of {len(self._places.config.models)}",
            *([f"waiting: {', '.join(waiting)}"] if waiting else []),
            *([f"configuration refused: {self._directory.mistakes[0]}"] if self._directory.mistakes else []),
            *self._guard.complaints,
        ]
        return "; ".join(words)


def _tail(unit: str, invocation: str, lines: int) -> Sequence[str]:
    return journal.tail(unit, invocation, lines, patience=0.5)


async def _retire(media: LateMedia, after: float) -> None:
    """Close a fetcher that nobody starts to use any more, once what it fetches must have ended."""
    await asyncio.sleep(after)
    await media.close()
