"""What the router answers by itself: information for clients, operations for administrators. An aiohttp application.

Every answer closes its connection, so that the next request comes to the front again, which may forward it.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from swapper import __version__
from swapper.config import Model
from swapper.core.events import UnloadAsked
from swapper.router.api import page
from swapper.router.api.catalog import Json, change_fields
from swapper.router.api.loading import Loading
from swapper.router.api.parts import Parts
from swapper.router.errors import ApiError
from swapper.router.feed import Change

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOG = logging.getLogger(__name__)

KEEPALIVE = 15.0
"""Seconds between comments in a stream of events in which nothing happens."""


class Api:
    """The handlers, on their parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def application(self) -> web.Application:
        """The application, ready to be run."""
        app = web.Application(middlewares=[_envelope])
        app.add_routes(
            [
                web.get("/", self.index),
                web.get("/ui", self.ui),
                web.get("/health", self.health),
                web.get("/metrics", self.metrics),
                web.get("/running", self.running),
                web.get("/v1/models", self.models),
                web.get("/v1/models/{model:.+}", self.model),
                web.get("/api/models", self.details),
                web.get("/api/events", self.events),
                web.get("/api/models/{model:.+}/log", self.log),
                web.post("/api/models/{model:.+}/load", self.load),
                web.post("/api/models/{model:.+}/unload", self.unload),
                web.get("/api/models/{model:.+}", self.detail),
            ]
        )
        return app

    async def index(self, _: web.Request) -> web.StreamResponse:
        """Where things are."""
        places = {"models": "/v1/models", "status": "/ui", "events": "/api/events"}
        return web.json_response({"swapper": __version__, **places})

    async def health(self, _: web.Request) -> web.StreamResponse:
        """Whether the router does its work; with what is wrong in the configuration, if anything."""
        mistakes: list[Json] = [str(mistake) for mistake in self._parts.directory.mistakes]
        return web.json_response({"status": "degraded" if mistakes else "ok", "configuration": mistakes})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """What Prometheus wants to know, engines' own metrics included."""
        expose = await asyncio.to_thread(_exposition)
        text, content_type = await expose(self._parts, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def running(self, _: web.Request) -> web.StreamResponse:
        """Residents."""
        return web.json_response({"running": self._parts.catalog.running()})

    async def models(self, _: web.Request) -> web.StreamResponse:
        """All models, with aliases and state."""
        await self._parts.orders.refresh()
        return web.json_response({"object": "list", "data": self._parts.catalog.models()})

    async def model(self, request: web.Request) -> web.StreamResponse:
        """One model."""
        await self._parts.orders.refresh()
        return web.json_response(self._parts.catalog.listed(self._named(request)))

    async def details(self, _: web.Request) -> web.StreamResponse:
        """All models, GPUs and recent changes, for operators."""
        await self._parts.orders.refresh()
        parts = self._parts
        return web.json_response(
            {
                "models": [parts.catalog.detailed(model) for model in parts.catalog.places.config.models],
                "gpus": parts.catalog.gpus(),
                "queue": list(parts.runtime.scheduler.claims),
                "changes": [change_fields(change) for change in parts.feed.changes],
            }
        )

    async def detail(self, request: web.Request) -> web.StreamResponse:
        """One model, for operators."""
        await self._parts.orders.refresh()
        return web.json_response(self._parts.catalog.detailed(self._named(request)))

    async def load(self, request: web.Request) -> web.StreamResponse:
        """Have a model loaded; answers when it is ready, or why it is not."""
        model = self._named(request)
        loading = Loading()
        self._parts.orders.reconsider(model.name)
        ticket = self._parts.runtime.request(model.name, loading)
        try:
            failure = await loading.loaded
        finally:
            ticket.release()
        if failure is not None:
            raise await self._parts.explain(failure, model.name)
        return web.json_response(self._parts.catalog.detailed(model))

    async def unload(self, request: web.Request) -> web.StreamResponse:
        """Have a model stopped once its requests have ended; answers when it is."""
        model = self._named(request)
        with self._parts.feed.subscribe() as changes:
            self._parts.runtime.dispatch(UnloadAsked(model.name))
            if self._resident(model):
                async for change in changes:
                    if change.model == model.name and not change.new.resident:
                        break
        return web.json_response(self._parts.catalog.detailed(model))

    async def log(self, request: web.Request) -> web.StreamResponse:
        """The journal of a model's unit as text, going on for as long as the client listens with `follow=1`."""
        model = self._named(request)
        try:
            lines = min(10_000, max(0, int(request.query.get("lines", "100"))))
        except ValueError:
            raise ApiError("invalid_request", "`lines` is not a number.", param="lines") from None
        if request.query.get("follow", "0") in {"", "0", "false"}:
            recent = await self._parts.recent(model.unit, lines)
            return web.Response(text="".join(f"{line}\n" for line in recent))
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        response.force_close()
        await response.prepare(request)
        async for line in self._parts.follow(model.unit, lines):
            await response.write(line.encode(errors="replace") + b"\n")
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Changes of models' states as server-sent events, the present state first."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        response.force_close()
        with self._parts.feed.subscribe() as changes:
            await response.prepare(request)
            states = {record.name: record.state for record in self._parts.runtime.scheduler.records()}
            await response.write(_event("models", 0, {"states": dict(states)}))
            pending = asyncio.ensure_future(anext(changes, None))
            try:
                while True:
                    await asyncio.wait({pending}, timeout=KEEPALIVE)
                    if not pending.done():
                        await response.write(b": nothing new\n\n")
                        continue
                    change: Change | None = pending.result()
                    if change is None:
                        return response
                    await response.write(_event("state", change.number, change_fields(change)))
                    pending = asyncio.ensure_future(anext(changes, None))
            finally:
                pending.cancel()

    async def ui(self, _: web.Request) -> web.StreamResponse:
        """A page for people: models and states."""
        await self._parts.orders.refresh()
        return web.Response(text=page.render(self._parts.catalog), content_type="text/html", headers=page.HEADERS)

    def _named(self, request: web.Request) -> Model:
        return self._parts.directory.find(request.match_info["model"])

    def _resident(self, model: Model) -> bool:
        record = self._parts.runtime.scheduler.record(model.name)
        return record is not None and record.state.resident


def _exposition() -> Callable[[Parts, str], Awaitable[tuple[bytes, str]]]:
    """Imported in a thread, and only for those who ask: it brings Prometheus' library, and that some more."""
    from swapper.router.api.metrics import expose  # noqa: PLC0415

    return expose


def _event(kind: str, number: int, fields: dict[str, Json]) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(fields)}\n\n".encode()


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
    response.force_close()
    return response


def _answer(error: ApiError) -> web.Response:
    return web.Response(body=error.body, status=error.status, headers=error.headers, content_type="application/json")
