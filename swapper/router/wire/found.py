"""What a request's body says: the model that is asked, and media to fetch for it."""

from typing import NamedTuple

from swapper.router.errors import ApiError


class MediaRef(NamedTuple):
    """A media URL to fetch: where its JSON string stands in the body, quotes included, and what it says."""

    start: int
    end: int
    url: str


class Found(NamedTuple):
    """What a request says.

    Attributes:
        model: The model's name, as the client wrote it.
        media: Media that are named by URL.
        stream: Whether the client wants its answer as a stream of events.
    """

    model: str
    media: tuple[MediaRef, ...] = ()
    stream: bool = False


def model_missing(hint: str = "Set `model` to one of the names that GET /v1/models lists.") -> ApiError:
    """The error for a request that names no model."""
    return ApiError("model_missing", "The request names no model.", hint, param="model")


def model_twice() -> ApiError:
    """The error for a body that names two models."""
    return ApiError("duplicate_model", "The request names its model twice.", "Send `model` once.", param="model")


def model_invalid() -> ApiError:
    """The error for a model's name that is no name."""
    return ApiError("model_invalid", "`model` must be a string that names a model.",
                    "Set `model` to one of the names that GET /v1/models lists.", param="model")  # fmt: skip
