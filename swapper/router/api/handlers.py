"""What the router answers by itself: information for clients, operations for administrators. An aiohttp application.

Every answer closes its connection, so that the next request comes to the front again, which may forward it.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, assert_never

from aiohttp import web

from swapper import __version__
from swapper.config import Model
from swapper.core.early import Early
from swapper.core.events import ParkAsked, UnloadAsked
from swapper.core.model import State
from swapper.router.api import anthropic, cards
from swapper.router.api.answers import answered, plain, whose
from swapper.router.api.asking import Asking
from swapper.router.api.catalog import Catalog
from swapper.router.api.dashboard import Dashboard
from swapper.router.api.endpoints import ENDPOINTS, MOST_LINES, Endpoint
from swapper.router.api.loading import Loading
from swapper.router.api.openapi import document
from swapper.router.api.parts import Parts
from swapper.router.api.shapes import Cards, Health, Index, Overview, Running, States
from swapper.router.errors import ApiError
from swapper.router.feed import Change, Progress

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOG = logging.getLogger(__name__)

KEEPALIVE = 15.0
"""Seconds between comments in a stream of events in which nothing happens."""

LEAVING = 0.05
"""Seconds between two looks at a process that leaves the gate."""

STOPPING = 120.0
"""Seconds beyond a model's `drain_timeout` after which its unit is said not to stop."""

MOST_TEXT = 8 << 20
"""Most bytes of a journal that one answer has: the last ones."""

_COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_NUMBER = re.compile(r"[0-9]{1,9}")
RECENT = 200
"""Changes of state that an overview has: the last ones. `/api/timeline` has an hour's."""

_NAME = r"[\s\S]+(?<!/log)(?<!/load)(?<!/unload)(?<!/park)(?<!/unit)(?<!/settings)"
"""Names may have slashes in them. What may follow a name is no part of it: another method would take it so."""


class Api:
    """The handlers, on their parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asking = Asking(parts.catalog)
        self._dashboard = Dashboard(parts)

    def application(self) -> web.Application:
        """The application, ready to be run."""
        app = web.Application(middlewares=[_envelope])
        handlers = self._handlers()
        for endpoint in ENDPOINTS:
            pattern = endpoint.path.replace("{model}", "{model:" + _NAME + "}")
            handler = partial(self._permitted, endpoint, handlers[endpoint.operation])
            if endpoint.method == "GET":
                app.router.add_get(pattern, handler)
            else:
                app.router.add_route(endpoint.method, pattern, handler)
        app.on_cleanup.append(self._asking.close)
        app.on_response_prepare.append(self._let_read)
        return app

    def _handlers(self) -> Mapping[str, Handler]:
        dashboard = self._dashboard
        return {
            "ui": dashboard.ui, "uiFolder": dashboard.slash, "uiFile": dashboard.file, "key": dashboard.key,
            "requests": dashboard.requests, "cancel": dashboard.cancel, "timeline": dashboard.timeline,
            "usage": dashboard.usage, "unit": dashboard.unit, "settings": dashboard.settings,
            "index": self.index, "health": self.health, "openapi": self.openapi,
            "metrics": self.metrics, "running": self.running, "listModels": self.models, "retrieveModel": self.model,
            "overview": self.overview, "detail": self.detail, "log": self.log, "load": self.load,
            "unload": self.unload, "park": self.park, "events": self.events,
        }  # fmt: skip

    async def _permitted(self, endpoint: Endpoint, handler: Handler, request: web.Request) -> web.StreamResponse:
        """The front has judged a path as it was spelt; what it means is known here."""
        self._parts.permit(whose(self._parts, request), endpoint.scope)
        return await handler(request)

    async def _let_read(self, request: web.Request, response: web.StreamResponse) -> None:
        """Pages that may use the port may read its answers too, those that have no end included."""
        lines = self._parts.cors(request.headers.get("Origin", "").encode(errors="replace"))
        for line in lines.decode().splitlines():
            name, _, value = line.partition(": ")
            response.headers.add(name, value)

    async def index(self, _: web.Request) -> web.StreamResponse:
        """Where things are."""
        return answered(Index(__version__))

    async def openapi(self, _: web.Request) -> web.StreamResponse:
        """The description of all this."""
        return web.json_response(document(__version__, keys=self._parts.keyed()))

    async def health(self, _: web.Request) -> web.StreamResponse:
        """Whether the router does its work; with what is wrong in the configuration, if anything."""
        mistakes = tuple(str(mistake) for mistake in self._parts.directory.mistakes)
        return answered(Health("degraded" if mistakes else "ok", mistakes))

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """What Prometheus wants to know, engines' own metrics included."""
        expose = await asyncio.to_thread(_exposition)
        text, content_type = await expose(self._parts, request.headers.get("Accept", ""))
        response = web.Response(body=text, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def running(self, _: web.Request) -> web.StreamResponse:
        """Residents."""
        return answered(Running(cards.residents(self._parts.catalog)))

    async def models(self, request: web.Request) -> web.StreamResponse:
        """All models, with aliases and state."""
        limit = _number(request, "limit", least=1, most=anthropic.MOST)
        catalog = await self._looked()
        found = tuple(cards.card(catalog, model) for model in catalog.places.config.models)
        if anthropic.HEADER not in request.headers:
            return answered(Cards("list", found))
        return answered(anthropic.page(found, limit, request.query.get("after_id"), request.query.get("before_id")))

    async def model(self, request: web.Request) -> web.StreamResponse:
        """One model."""
        model = self._named(request)
        card = cards.card(await self._looked(), model)
        return answered(anthropic.model(card) if anthropic.HEADER in request.headers else card)

    async def overview(self, _: web.Request) -> web.StreamResponse:
        """All models, GPUs and recent changes, for operators."""
        catalog = await self._measured()
        return answered(
            Overview(
                models=tuple(cards.details(catalog, model) for model in catalog.places.config.models),
                gpus=cards.gpus(catalog),
                parked=cards.parked(catalog),
                queue=tuple(catalog.scheduler.claims),
                changes=tuple(cards.changed(change) for change in tuple(catalog.feed.changes)[-RECENT:]),
            )
        )

    async def detail(self, request: web.Request) -> web.StreamResponse:
        """One model, for operators."""
        model = self._named(request)
        return answered(cards.details(await self._measured(), model))

    async def load(self, request: web.Request) -> web.StreamResponse:
        """Have a model loaded; answers when it is ready, or why it is not."""
        model = self._named(request)
        loading = Loading()
        self._parts.orders.reconsider(model.name)
        # Light: a model that is ready is loaded, however busy it is.
        ticket = self._parts.runtime.request(model.name, loading, light=True)
        try:
            failure = await loading.loaded
        finally:
            ticket.release()
        if failure is not None:
            raise await self._parts.explain(failure, model.name)
        return answered(cards.details(self._parts.catalog, model))

    async def unload(self, request: web.Request) -> web.StreamResponse:
        """Have a model stopped once its requests have ended; answers when it is."""
        model = self._named(request)
        with self._parts.feed.subscribe() as changes:
            self._parts.runtime.dispatch(UnloadAsked(model.name))
            try:
                async with asyncio.timeout(model.drain_timeout + STOPPING):
                    while self._running(model):
                        if self._leaves(model):
                            await asyncio.sleep(LEAVING)  # its state does not change with that
                            continue
                        change = await _next(changes)
                        if change.model == model.name and not change.new.running:
                            break  # it may have been started again since
            except TimeoutError:
                raise _stuck(model) from None
        return answered(cards.details(self._parts.catalog, model))

    async def park(self, request: web.Request) -> web.StreamResponse:
        """Have a model parked once its requests have ended; answers when it is."""
        model, scheduler = self._named(request), self._parts.runtime.scheduler
        with self._parts.feed.subscribe() as changes:
            if (failure := scheduler.not_parked(model.name)) is not None:
                raise await self._parts.explain(failure, model.name)
            self._parts.runtime.dispatch(ParkAsked(model.name))
            record = scheduler.record(model.name)
            state = None if record is None else record.state
            try:
                async with asyncio.timeout(model.drain_timeout + STOPPING):
                    while state in {State.DRAINING, State.STOPPING}:
                        change = await _next(changes)
                        state = change.new if change.model == model.name else state
            except TimeoutError:
                raise _stuck(model) from None
        if state is not State.PARKED:
            raise ApiError("model_not_parked", f"{model.name} was stopped: it could not be parked.",
                           f"journalctl -u {model.unit}")  # fmt: skip
        return answered(cards.details(self._parts.catalog, model))

    async def log(self, request: web.Request) -> web.StreamResponse:
        """The journal of a model's unit as text, going on for as long as the client listens with `follow=1`."""
        unit = self._named(request).unit
        lines = _number(request, "lines", least=0, most=MOST_LINES)
        lines = 100 if lines is None else lines
        if not _flag(request, "follow"):
            return web.Response(text=_bounded(await self._parts.recent(unit, lines)))
        response = web.StreamResponse(headers={**_COMMON, "Content-Type": "text/plain; charset=utf-8"})
        response.force_close()
        await response.prepare(request)
        if request.method != "HEAD":
            async for line in self._parts.follow(unit, lines):
                await response.write(line.encode(errors="replace") + b"\n")
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """What changes, and how far loads and pulls are, as server-sent events; the present state first."""
        response = web.StreamResponse(headers={**_COMMON, "Content-Type": "text/event-stream"})
        response.force_close()
        with self._parts.feed.watch() as news:
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            states = States({record.name: record.appears for record in self._parts.runtime.scheduler.records()})
            await response.write(_event("models", states, 0))
            pending = asyncio.ensure_future(anext(news, None))
            pulls = asyncio.ensure_future(self._parts.orders.follow_pulls())
            try:
                while True:
                    await asyncio.wait({pending}, timeout=KEEPALIVE)
                    if not pending.done():
                        await response.write(b": nothing new\n\n")
                        continue
                    new = pending.result()
                    if new is None:
                        return response
                    await response.write(_news(new))
                    pending = asyncio.ensure_future(anext(news, None))
            finally:
                pending.cancel()
                pulls.cancel()

    async def _looked(self) -> Catalog:
        """What there is to show, after a look at the files and at engines that have not been asked yet."""
        await asyncio.gather(self._parts.orders.refresh(), self._asking.learn())
        return self._parts.catalog

    async def _measured(self) -> Catalog:
        """The same, after a look at the GPUs too."""
        await asyncio.gather(self._looked(), self._parts.look())
        return self._parts.catalog

    def _named(self, request: web.Request) -> Model:
        return self._parts.directory.find(request.match_info["model"])

    def _leaves(self, model: Model) -> bool:
        record = self._parts.runtime.scheduler.record(model.name)
        return record is not None and record.early is Early.LEAVES

    def _running(self, model: Model) -> bool:
        record = self._parts.runtime.scheduler.record(model.name)
        return record is not None and record.running


async def _next(changes: AsyncIterator[Change]) -> Change:
    change = await anext(changes, None)
    if change is None:
        raise ApiError("router_stopping", "The router is being stopped.", "Send the request again.", retry_after=1.0)
    return change


def _stuck(model: Model) -> ApiError:
    return ApiError("model_stuck", f"The unit of {model.name} does not stop.", f"systemctl status {model.unit}")


def _exposition() -> Callable[[Parts, str], Awaitable[tuple[bytes, str]]]:
    """Imported in a thread, and only for those who ask: it brings Prometheus' library, and that some more."""
    from swapper.router.api.metrics import expose  # noqa: PLC0415

    return expose


def _news(new: Change | Progress) -> bytes:
    match new:
        case Change():
            return _event("state", cards.changed(new), new.number)
        case Progress():
            return _event("progress", cards.progressed(new))
        case _:
            assert_never(new)


def _event(kind: str, shape: "DataclassInstance", number: int | None = None) -> bytes:
    """A server-sent event; only changes of state are numbered, for whoever counts on having seen all of them."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(plain(shape))}\n\n".encode()


def _number(request: web.Request, name: str, *, least: int, most: int) -> int | None:
    """A number in the query; None where it is not given."""
    text = request.query.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise ApiError("invalid_request", f"`{name}` is no number from {least} to {most}.", param=name)
    return int(text)


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "0")
    if text not in {"", "0", "1", "false", "true"}:
        raise ApiError("invalid_request", f"`{name}` is neither 0 nor 1.", param=name)
    return text in {"1", "true"}


def _bounded(lines: Sequence[str]) -> str:
    """The lines, and of very long ones as many of the last as one answer may have."""
    kept: list[str] = []
    room = MOST_TEXT
    for line in reversed(lines):
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(f"{line}\n")
    return "".join(reversed(kept))


@web.middleware
async def _envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in OpenAI's envelope; every connection closed after its answer."""
    try:
        response = await handler(request)
    except ApiError as error:
        response = _answer(error)
    except web.HTTPNotFound:
        message = f"There is nothing at {request.path}."
        response = _answer(ApiError("not_found", message, "GET / says where things are."))
    except web.HTTPMethodNotAllowed as refused:
        allowed = ", ".join(sorted(refused.allowed_methods))
        response = _answer(ApiError("method_not_allowed", f"{request.path} takes {allowed}, not {request.method}."))
        response.headers["Allow"] = allowed
    except web.HTTPException as refused:
        response = _answer(ApiError("invalid_request", f"{refused.reason}."))
    except ConnectionError:
        raise  # the client has left: there is nobody to answer
    except Exception:  # noqa: BLE001 — a defect of ours, and still an answer in the envelope
        _LOG.exception("%s %s failed", request.method, request.path)
        response = _answer(ApiError("internal_error", "The router has a defect.", "journalctl -u swapper has more."))
    if not response.prepared:
        for name, value in _COMMON.items():
            response.headers.setdefault(name, value)
    response.force_close()
    return response


def _answer(error: ApiError) -> web.Response:
    return web.Response(body=error.body, status=error.status, headers=error.headers, content_type="application/json")
