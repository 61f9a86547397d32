"""What the dashboard at /ui asks for, beside what everybody may: its files, requests, the last hour, units, keys."""

import asyncio
import time
from functools import cached_property

from aiohttp import web

from swapper.core.model import Failure
from swapper.host import definition
from swapper.router.api import looks, settings
from swapper.router.api.answers import answered, whose
from swapper.router.api.pages import INDEX, Pages
from swapper.router.api.parts import Parts
from swapper.router.api.views import Cancelled, Settings, UnitText, Whoever
from swapper.router.errors import ApiError

_CANCELLED = Failure("request_cancelled", "An administrator ended this request.", "Ask why before you send it again.")


class Dashboard:
    """The handlers, on their parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @cached_property
    def _pages(self) -> Pages:
        return Pages()

    async def ui(self, request: web.Request) -> web.StreamResponse:
        """The page for people."""
        return self._page(request, INDEX)

    async def slash(self, _: web.Request) -> web.StreamResponse:
        """Not a folder: what the page asks for is named relatively, so that it works below a prefix too."""
        return web.Response(status=308, headers={"Location": "../ui"})

    async def file(self, request: web.Request) -> web.StreamResponse:
        """One of its files."""
        return self._page(request, request.match_info["file"])

    def _page(self, request: web.Request, name: str) -> web.StreamResponse:
        file = self._pages.find(name)
        if file is None:
            raise web.HTTPNotFound
        return file.answer(request)

    async def key(self, request: web.Request) -> web.StreamResponse:
        """Who asks."""
        key = whose(self._parts, request)
        return answered(Whoever(self._parts.keyed(), key.name, key.admin))

    async def requests(self, request: web.Request) -> web.StreamResponse:
        """Requests under way, and the last ones."""
        parts = self._parts
        return answered(looks.requests(parts.live(), parts.history, whose(parts, request)))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """End a request."""
        name = request.match_info["id"]
        count = self._parts.cancel(name, _CANCELLED)
        if not count:
            raise ApiError("request_not_found", f"No request {name!r} is under way.", "It may be over: /api/requests")
        return answered(Cancelled(name, count))

    async def timeline(self, _: web.Request) -> web.StreamResponse:
        """The last hour."""
        parts = self._parts
        return answered(looks.timeline(parts.catalog, parts.history, parts.live(), time.time()))

    async def usage(self, request: web.Request) -> web.StreamResponse:
        """What keys had."""
        parts = self._parts
        return answered(
            looks.usage(parts.catalog, parts.stats, parts.live(), whose(parts, request), parts.key_names())
        )

    async def unit(self, request: web.Request) -> web.StreamResponse:
        """The files of a model's unit."""
        unit = self._parts.directory.find(request.match_info["model"]).unit
        found = await self._parts.unit_files(unit)
        files = await asyncio.to_thread(definition.read, found.paths)
        return answered(UnitText(unit, looks.files(files), found.stale))

    async def settings(self, request: web.Request) -> web.StreamResponse:
        """A model's settings, and where they come from."""
        model = self._parts.directory.find(request.match_info["model"])
        return answered(Settings(model.name, settings.settings(self._parts.catalog, model)))
