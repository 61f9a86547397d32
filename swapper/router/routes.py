"""Which paths go to an engine, and where the model's name stands in them: the one table.

Everything that is not here is answered by the router itself (`router.api`).
"""

import enum
from dataclasses import dataclass


class Scope(enum.Enum):
    """Who may ask for something, where there are keys."""

    OPEN = "open"
    INFERENCE = "inference"
    ADMIN = "admin"


class NameIn(enum.Enum):
    """Where a request names its model."""

    JSON = "json"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True)
class Route:
    """A path that is forwarded to an engine.

    Attributes:
        path: As the client sends it, without query.
        name_in: Where the model's name stands; a multipart route takes JSON too.
    """

    path: str
    name_in: NameIn


_ROUTES = (
    Route("/v1/chat/completions", NameIn.JSON),
    Route("/v1/completions", NameIn.JSON),
    Route("/v1/embeddings", NameIn.JSON),
    Route("/v1/audio/transcriptions", NameIn.MULTIPART),
    Route("/v1/audio/translations", NameIn.MULTIPART),
    Route("/v1/audio/speech", NameIn.JSON),
    Route("/v1/images/generations", NameIn.JSON),
    Route("/v1/images/edits", NameIn.MULTIPART),
    Route("/v1/responses", NameIn.JSON),
    Route("/v1/messages", NameIn.JSON),
    Route("/v1/messages/count_tokens", NameIn.JSON),
    Route("/v1/rerank", NameIn.JSON),
    Route("/v1/score", NameIn.JSON),
    Route("/infill", NameIn.JSON),
    Route("/completion", NameIn.JSON),
    Route("/tokenize", NameIn.JSON),
    Route("/detokenize", NameIn.JSON),
    Route("/apply-template", NameIn.JSON),
)

_BY_PATH = {route.path.encode(): route for route in _ROUTES}


def find(path: bytes) -> Route | None:
    """The route of a request path (without query), or None when the router answers it itself."""
    return _BY_PATH.get(path)
