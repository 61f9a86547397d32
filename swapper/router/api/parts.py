"""What the router's own answers are made of: contracts, known without the library that makes the answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from swapper.config import ConfigError, Model
from swapper.core.model import Failure
from swapper.host.definition import Definition
from swapper.keys import ANYBODY, Key
from swapper.router.api.catalog import Catalog
from swapper.router.errors import ApiError
from swapper.router.feed import Feed
from swapper.router.history import History, Live
from swapper.router.orders import UnitOrders
from swapper.router.routes import Scope
from swapper.router.runtime import Runtime
from swapper.router.stats import Stats

type Follow = Callable[[str, int], AsyncIterator[str]]
"""A unit's journal: its last lines, then new ones as they come."""

type Recent = Callable[[str, int], Awaitable[Sequence[str]]]
"""A unit's last lines."""


class Directory(Protocol):
    """Who knows the models by name."""

    def find(self, name: str) -> Model:
        """The model of this name or alias; raises ApiError."""

    @property
    def mistakes(self) -> Sequence[ConfigError]:
        """Why the last configuration read was refused; empty when it was not."""


def _nobody() -> bool:
    return False


async def _not_seen() -> None:
    return


def _nothing(_: bytes) -> bytes:
    return b""


def _anybody(_: bytes, __: bytes) -> Key:
    return ANYBODY


def _all(_: Key, __: Scope) -> None:
    return


def _none() -> tuple[()]:
    return ()


def _no_request(_: str, __: Failure) -> int:
    return 0


async def _no_files(_: str) -> Definition:
    return Definition((), stale=False)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application works with.

    `connections` says how many clients are connected, `keyed` whether requests need keys, `cors` what header lines let
    pages of an origin read an answer, `look` has `catalog.measured` be fresh. `owner` says for whom a request with
    these fields (`Authorization`, `x-api-key`) was let in, `permit` raises ApiError where a key does not open a scope.
    `live` are the requests under way, `cancel` ends those of an id, `history` remembers those that are over.
    `unit_files` are those that define a unit, `key_names` the keys that there are.
    """

    directory: Directory
    catalog: Catalog
    runtime: Runtime
    orders: UnitOrders
    feed: Feed
    stats: Stats
    connections: Callable[[], int]
    follow: Follow
    recent: Recent
    explain: Callable[[Failure, str], Awaitable[ApiError]]
    keyed: Callable[[], bool] = _nobody
    cors: Callable[[bytes], bytes] = _nothing
    look: Callable[[], Awaitable[None]] = _not_seen
    owner: Callable[[bytes, bytes], Key] = _anybody
    permit: Callable[[Key, Scope], None] = _all
    live: Callable[[], Sequence[Live]] = _none
    cancel: Callable[[str, Failure], int] = _no_request
    history: History = field(default_factory=History)
    unit_files: Callable[[str], Awaitable[Definition]] = _no_files
    key_names: Callable[[], Iterable[str]] = _none
