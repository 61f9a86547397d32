"""What the data path needs of the rest of the router, and what it tells: contracts only."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from swapper.config import Filters
from swapper.core.model import Failure
from swapper.router.access import Access
from swapper.router.errors import ApiError
from swapper.router.gate import Gate
from swapper.router.routes import Route
from swapper.router.runtime import Client, Ticket
from swapper.router.wire.body import Segment, Spool
from swapper.router.wire.pool import Pool


class Leases(Protocol):
    """Who grants leases."""

    def request(self, model: str, client: Client, *, light: bool = False, priority: int = 0) -> Ticket:
        """Ask for one; sets `client.ticket`, and may call the client before it returns."""

    def peek(self, model: str) -> str | Failure:
        """The socket of a model that is loaded, without a lease."""


class FetchedMedia(Protocol):
    """A medium that has been fetched."""

    def segments(self) -> Sequence[Segment]:
        """The JSON string that takes the place of its URL, quotes included; to be closed by a `Body`."""

    def close(self) -> None:
        """Forget it."""


class MediaSource(Protocol):
    """Who fetches media."""

    async def fetch(self, urls: Sequence[str], room: int) -> Mapping[str, FetchedMedia]:
        """Fetch these, in `room` bytes at most all together. Raises ApiError, and then keeps nothing."""


class Record(NamedTuple):
    """What became of a request. Times are seconds. One is made per request: a dataclass takes 3 µs more.

    Attributes:
        id: The request's id.
        model: The configured name; as the client wrote it where there is no such model; empty where none was read.
        method: Such as `POST`.
        path: Without the query.
        status: As sent; 499 when the client left before anything was.
        queued: From the whole body to the lease; None without a lease.
        first: From the whole body to the first byte of the engine's answer; None without one.
        total: From the whole body to the end.
        received: Bytes of body that came.
        sent: Bytes sent, head included.
        reason: Why it did not end well: an error code, `client_gone`; empty when it did.
        route: The path as a template, such as `/v1/chat/completions`; empty where no route was found.
        key: The name of the client's key; empty where there are no keys.
        loading: Of the wait for the lease, the time in which the model was starting; None without a lease.
        tokens_in: Tokens of the prompt, as the engine reported them; None where it did not.
        tokens_out: Tokens of the answer, as the engine reported them; None where it did not.
    """

    id: str
    model: str
    method: str
    path: str
    status: int
    queued: float | None
    first: float | None
    total: float
    received: int
    sent: int
    reason: str
    route: str = ""
    key: str = ""
    loading: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None


class Live(NamedTuple):
    """A request that is under way. Times are seconds since its body was there.

    Attributes:
        id: The request's id.
        model: The configured name.
        method: Such as `POST`.
        path: Without the query.
        key: The name of the client's key; empty where there are no keys.
        phase: Where it stands, in a word of `wire.exchange`.
        age: Until now.
        queued: Until the lease; None without one.
        first: Until the first byte of the engine's answer; None without one.
        sent: Bytes sent, head included.
    """

    id: str
    model: str
    method: str
    path: str
    key: str
    phase: str
    age: float
    queued: float | None
    first: float | None
    sent: int


class Target(NamedTuple):
    """Whom a request is for.

    Attributes:
        name: The model's configured name.
        filters: What is changed in a JSON body on its way there.
        loading_message: Chats that wait are told why as the model's reasoning.
        path: Path and query for the engine; None for the client's own.
    """

    name: str
    filters: Filters | None = None
    loading_message: bool = False
    path: bytes | None = None


class Directory(Protocol):
    """Who knows the models by name."""

    def resolve(self, name: str, route: Route) -> Target:
        """The model of this name or alias, if it can do what the route is for; raises ApiError."""

    def locate(self, method: bytes, target: bytes) -> Target:
        """The model in a path such as `/upstream/devstral/v1/chat/completions`; raises ApiError."""


@dataclass(frozen=True, slots=True)
class Comments:
    """When streams that wait are told why, in seconds: after the first time, and then each time."""

    first: float = 3.0
    again: float = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """What requests need.

    Attributes:
        leases: Grants leases.
        pool: Connections to engines.
        spool: Keeps large bodies.
        media: Fetches media.
        directory: Knows the models by name.
        access: Decides who may ask.
        gate: Counts the requests of keys that have a limit.
        situation: What a request for this model waits for, one sentence.
        comments: When streams that wait are told so.
        explain: Makes the error for the client of a failure; it may take its time to find out more.
        done: Told of each request when it is over.
    """

    leases: Leases
    pool: Pool
    spool: Spool
    media: MediaSource
    directory: Directory
    access: Access
    gate: Gate
    situation: Callable[[str, Ticket | None], str]
    explain: Callable[[Failure, str], Awaitable[ApiError]]
    done: Callable[[Record], None]
    comments: Comments = Comments()


class Line(Protocol):
    """The client's connection, as a request sees it."""

    transport: asyncio.Transport
    paused: bool

    @property
    def closing(self) -> bool:
        """Whether it will not be kept after this answer, whatever the client wants."""

    def answered(self, *, keep: bool) -> None:
        """The answer has been written whole; the connection is kept, or closed once all is flushed."""

    def cut(self, *, reset: bool) -> None:
        """The answer ends here, and not well."""

    def reply(self, error: ApiError, request_id: bytes, *, keep: bool, extra: bytes) -> int:
        """Write an error as an answer, with further header lines; returns its length."""

    def hold(self, *, on: bool) -> None:
        """Read no more from the client for now, or read again."""

    def spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run a task that somebody looks after."""
