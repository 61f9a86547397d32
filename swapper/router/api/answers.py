"""How the router answers by itself: shapes as JSON, and to whom."""

import dataclasses
from typing import TYPE_CHECKING

from aiohttp import web

from swapper.keys import Key
from swapper.router.api.parts import Parts
from swapper.router.api.shapes import Json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def plain(shape: "DataclassInstance") -> dict[str, Json]:
    """A shape as it is sent."""
    return dataclasses.asdict(shape)


def answered(shape: "DataclassInstance") -> web.Response:
    """An answer of this shape."""
    return web.json_response(plain(shape))


def whose(parts: Parts, request: web.Request) -> Key:
    """Who asks: the front has let the request in, and aiohttp was not told for whom."""
    shown = (request.headers.get(name, "").encode(errors="surrogateescape") for name in ("Authorization", "x-api-key"))
    return parts.owner(*shown)
