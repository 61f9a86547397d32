"""Fetches media that a request names by URL, so that engines need no network.

Rules of this file, beside those of `outside.door`, through which all requests go:
  * Type, size and time are limited; a compressed answer, which could unfold without limit, is refused.
  * What comes is turned into base64 as it comes, and goes where large bodies go.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence

from aiohttp import ClientError, ClientResponse

from swapper.config import Media
from swapper.outside.addresses import Allowed
from swapper.outside.door import Door, Lookup, NotPublicError, RedirectError, RefusedError, lookup, short
from swapper.router.errors import ApiError
from swapper.router.media.types import is_media, says_nothing, sniff
from swapper.router.wire.body import BLOCK, Segment, Spool, Store

MOST_MEDIA = 64
"""Most different URLs in one request."""

_AT_ONCE = 4  # per request
_BACKLOG = 1024 * 1024
_HINT = "Send the medium as a data URL instead."


class Medium:
    """A medium that has been fetched."""

    __slots__ = ("_prefix", "_store")

    def __init__(self, kind: str, store: Store) -> None:
        self._prefix = f'"data:{kind};base64,'.encode()
        self._store = store

    @property
    def size(self) -> int:
        """Bytes of its base64."""
        return self._store.size

    def segments(self) -> Sequence[Segment]:
        """The JSON string that takes the place of its URL, quotes included."""
        return (self._prefix, *self._store.segments(0, self._store.size), b'"')

    def close(self) -> None:
        """Forget it."""
        self._store.close()


class MediaFetcher:
    """Fetches media; one for the router, made anew when its settings change."""

    def __init__(self, settings: Media, spool: Spool, total: int, look_up: Lookup = lookup) -> None:
        """Make one; call within the loop.

        Args:
            settings: Limits of one medium.
            spool: Keeps large media.
            total: Most bytes of a request's body with all its media put in.
            look_up: From a host name to its addresses.
        """
        self._settings = settings
        self._spool = spool
        self._total = total
        headers = {"User-Agent": "swapper", "Accept": "image/*, audio/*, video/*", "Accept-Encoding": "identity"}
        self._door = Door(Allowed(settings.allow), headers, look_up)

    async def close(self) -> None:
        """Close what is open."""
        await self._door.close()

    async def fetch(self, urls: Sequence[str], room: int) -> Mapping[str, Medium]:
        """Fetch media, some at a time.

        Args:
            urls: Different ones.
            room: Bytes of the body that they are for, which count towards the total.

        Raises:
            ApiError: 400 `media_refused`, `media_too_large`, `media_type` or `media_unreachable`; 500 or 507 when
                they cannot be kept.
        """
        if len(urls) > MOST_MEDIA:
            raise ApiError("media_refused", f"The request names more than {MOST_MEDIA} media.", "Send fewer.")
        budget = _Budget(self._total - room)
        slots = asyncio.Semaphore(_AT_ONCE)
        fetched: dict[str, Medium] = {}

        async def one(url: str) -> None:
            async with slots:
                fetched[url] = await self._one(url, budget)

        try:
            async with asyncio.TaskGroup() as group:
                for url in urls:
                    group.create_task(one(url), name=f"fetch {url[:80]}")
        except BaseException as exc:
            for medium in fetched.values():
                medium.close()
            if isinstance(exc, BaseExceptionGroup):
                raise _first(exc) from exc
            raise
        return fetched

    async def _one(self, url: str, budget: "_Budget") -> Medium:
        sink = _Sink(self._spool, budget)
        try:
            async with asyncio.timeout(self._settings.timeout), self._door.get(url) as answer:
                kind = await self._take(url, answer, sink)
        except BaseException as exc:
            sink.store.close()
            error = _told(exc, url, self._settings.timeout)
            if error is not None:
                raise error from exc
            raise
        return Medium(kind, sink.store)

    async def _take(self, url: str, answer: ClientResponse, sink: "_Sink") -> str:
        """Take the answer's body; returns its media type."""
        limit = self._settings.max_bytes
        if answer.status != 200:
            raise ApiError("media_unreachable", f"{short(url)} answers {answer.status}.", _HINT)
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ApiError("media_type", f"{short(url)} comes in an encoding that was not asked for.", _HINT)
        if (answer.content_length or 0) > limit:
            raise _too_large(url, limit)
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not (says_nothing(kind) or is_media(kind)):
            raise _wrong_type(url, kind)
        taken = 0
        async for block in answer.content.iter_chunked(BLOCK):
            if says_nothing(kind):
                kind = sniff(block)
                if not kind:
                    raise _wrong_type(url, kind)
            taken += len(block)
            if taken > limit:
                raise _too_large(url, limit)
            await sink.write(block)
        if taken == 0:
            raise ApiError("media_type", f"{short(url)} is empty.", _HINT)
        await sink.finish()
        return kind


class _Sink:
    """Turns what comes into base64, and keeps it."""

    def __init__(self, spool: Spool, budget: "_Budget") -> None:
        self._ready = asyncio.Event()
        self._budget = budget
        self._rest = b""
        self.store = Store(spool, self._ready.set)

    async def write(self, data: bytes) -> None:
        """Take more; waits for the disk if it is behind."""
        data = self._rest + data
        whole = len(data) // 3 * 3
        self._rest = data[whole:]
        self._budget.spend(whole // 3 * 4)
        self.store.write(base64.b64encode(data[:whole]))
        await self._until(lambda: self.store.backlog <= _BACKLOG)

    async def finish(self) -> None:
        """That was all."""
        self.store.write(base64.b64encode(self._rest))
        await self._until(lambda: self.store.settled)

    async def _until(self, ready: Callable[[], bool]) -> None:
        while self.store.error is None and not ready():
            self._ready.clear()
            await self._ready.wait()
        if self.store.error is not None:
            raise self.store.error


class _Budget:
    """Bytes that the media of one request may have together."""

    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ApiError("media_too_large", "The media of this request are too large together.",
                           "Send fewer or smaller ones, or raise `router.max_body`.")  # fmt: skip


def _too_large(url: str, limit: int) -> ApiError:
    return ApiError("media_too_large", f"{short(url)} is larger than {limit} bytes.",
                    "Send a smaller one, or raise `media.max_bytes`.")  # fmt: skip


def _wrong_type(url: str, kind: str) -> ApiError:
    return ApiError("media_type", f"{short(url)} is {kind or 'of no known type'}, not an image, audio or video.",
                    "Name a file of one of these types.")  # fmt: skip


def _told(exc: BaseException, url: str, seconds: float) -> ApiError | None:
    """What a client is told of it; None for what is no matter of the URL's."""
    match exc:
        case NotPublicError():
            return ApiError("media_refused", f"The media URL's host {exc.where} is not on the public internet.",
                            "Send the medium as a data URL, or name the host in `media.allow`.")  # fmt: skip
        case RefusedError():
            return ApiError("media_refused", str(exc), _HINT)
        case RedirectError():
            return ApiError("media_unreachable", str(exc), _HINT)
        case TimeoutError():
            return ApiError("media_unreachable", f"{short(url)} did not come within {seconds:g} s.", _HINT)
        case ClientError() | OSError():
            return ApiError("media_unreachable", f"{short(url)} cannot be fetched: {exc}.", _HINT)
    return None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell, of several that came up at once."""
    errors = [error for error in group.exceptions if isinstance(error, ApiError)]
    return errors[0] if errors else group.exceptions[0]
