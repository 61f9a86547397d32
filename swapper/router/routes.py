"""Which paths go to an engine, where the model's name stands in them, and who may ask: the one table.

Everything that is not here is answered by the router itself (`router.api`).
"""

import enum
import re
from dataclasses import dataclass


class Scope(enum.Enum):
    """Who may ask for something, where there are keys.

    What is PUBLIC is the same on every machine: whoever asks, by whatever name, learns nothing. What is OPEN is about
    this one.
    """

    PUBLIC = "public"
    OPEN = "open"
    INFERENCE = "inference"
    ADMIN = "admin"


class NameIn(enum.Enum):
    """Where a request names its model."""

    JSON = "json"
    MULTIPART = "multipart"
    QUERY = "query"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class Route:
    """A path that is forwarded to an engine.

    Attributes:
        path: As the client sends it, without query; what begins so, where the name is in the path.
        name_in: Where the model's name stands; a multipart route takes JSON too.
        needs: What a model must be capable of; empty where that is not known beforehand.
        light: Does not take one of the slots that the engine answers chats with.
        passive: Only looks: a model is never loaded for it, and does not count as used.
        tunnel: Becomes a WebSocket (RFC 6455).
        scope: Who may ask.
    """

    path: str
    name_in: NameIn
    needs: str = ""
    light: bool = False
    passive: bool = False
    tunnel: bool = False
    scope: Scope = Scope.INFERENCE


_POST = (
    Route("/v1/chat/completions", NameIn.JSON, "chat"),
    Route("/v1/completions", NameIn.JSON, "completions"),
    Route("/v1/embeddings", NameIn.JSON, "embeddings"),
    Route("/v1/audio/transcriptions", NameIn.MULTIPART, "transcription"),
    Route("/v1/audio/translations", NameIn.MULTIPART, "translation"),
    Route("/v1/audio/speech", NameIn.JSON, "speech"),
    Route("/v1/images/generations", NameIn.JSON, "images"),
    Route("/v1/images/edits", NameIn.MULTIPART, "images"),
    Route("/v1/responses", NameIn.JSON, "chat"),
    Route("/v1/messages", NameIn.JSON, "chat"),
    Route("/v1/messages/count_tokens", NameIn.JSON, light=True),
    Route("/v1/rerank", NameIn.JSON, "rerank"),
    Route("/v1/score", NameIn.JSON, "score"),
    Route("/infill", NameIn.JSON),
    Route("/completion", NameIn.JSON, "completions"),
    Route("/tokenize", NameIn.JSON, light=True),
    Route("/detokenize", NameIn.JSON, light=True),
    Route("/apply-template", NameIn.JSON, light=True),
)
_GET = (
    Route("/props", NameIn.QUERY, passive=True),
    Route("/slots", NameIn.QUERY, passive=True, scope=Scope.ADMIN),
    Route("/v1/realtime", NameIn.QUERY, "transcription", tunnel=True),
)
UPSTREAM = "/upstream/"
_UPSTREAM_POST = Route(UPSTREAM, NameIn.PATH)
_UPSTREAM_GET = Route(UPSTREAM, NameIn.PATH, passive=True)
_UPSTREAM_ADMIN = Route(UPSTREAM, NameIn.PATH, passive=True, scope=Scope.ADMIN)
_LOOKS = frozenset({b"GET", b"HEAD"})
_OF_OTHERS = (b"/slots", b"/metrics")
"""What an engine tells here is about everybody's requests."""

ROUTES = (*_POST, *_GET, _UPSTREAM_GET, _UPSTREAM_POST)
"""All of them, for those who list them; `find` has the methods."""

_BY_POST = {route.path.encode(): route for route in _POST}
_BY_GET = {route.path.encode(): route for route in _GET}
_UPSTREAM = UPSTREAM.encode()


def find(method: bytes, path: bytes) -> Route | None:
    """The route of a request (path without query), or None when the router answers it itself."""
    if method == b"POST":
        return _BY_POST.get(path) or (_UPSTREAM_POST if path.startswith(_UPSTREAM) else None)
    if method in _LOOKS:
        if path.startswith(_UPSTREAM):
            return _UPSTREAM_ADMIN if path.endswith(_OF_OTHERS) else _UPSTREAM_GET
        return _BY_GET.get(path) if method == b"GET" else None
    return None


_OPEN = frozenset({b"/", b"/health", b"/openapi.json"})
_PAGES = re.compile(rb"/ui/?|/ui/[a-z0-9-]+\.[a-z]+")
"""The dashboard's files, in their one spelling: what leads elsewhere by dots or escapes is not among them."""


def scope(method: bytes, path: bytes) -> Scope:
    """Who may ask for what the router answers itself: the least that it takes to be let in.

    Looking at the state of models takes any key, changing it one of an administrator. The application itself asks for
    more where an answer tells more (`api.endpoints`); it has the last word on what a path means.
    """
    if path in _OPEN:
        return Scope.OPEN
    looks = method in _LOOKS
    if looks and _PAGES.fullmatch(path):
        return Scope.PUBLIC
    if path.startswith(b"/v1/") or path == b"/running" or (looks and path.startswith(b"/api/")):
        return Scope.INFERENCE
    return Scope.ADMIN
