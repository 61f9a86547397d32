"""Fetches media that a request names by URL, so that engines need no network.

Rules of this file:
  * A host is resolved once. All of its addresses are checked, and the connection goes to those very addresses: a DNS
    answer that changes afterwards changes nothing.
  * Redirects are followed by hand, and each hop is checked like the first.
  * Nothing of the router goes along: no cookies, no credentials, no proxy from the environment.
  * Type, size and time are limited; a compressed answer, which could unfold without limit, is refused.
  * What comes is turned into base64 as it comes, and goes where large bodies go.
"""

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from swapper.config import Media
from swapper.router.errors import ApiError
from swapper.router.media.addresses import Allowed
from swapper.router.media.types import is_media, says_nothing, sniff
from swapper.router.wire.body import BLOCK, Segment, Spool, Store

MOST_MEDIA = 64
"""Most different URLs in one request."""

_AT_ONCE = 4  # per request
_REDIRECTS = 5
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_BACKLOG = 1024 * 1024
_HINT = "Send the medium as a data URL instead."

type Lookup = Callable[[str], Awaitable[Sequence[str]]]


async def lookup(host: str) -> Sequence[str]:
    """Addresses of a host, as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


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


class _Resolver(AbstractResolver):
    """Gives addresses that have been checked, and no others."""

    def __init__(self, allowed: Allowed, look_up: Lookup) -> None:
        self._allowed = allowed
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results = []
        for text in await self._look_up(host):
            address = ipaddress.ip_address(text)
            check(self._allowed, host, address, port)
            its_family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            if family in {socket.AF_UNSPEC, its_family}:
                results.append(ResolveResult(hostname=host, host=str(address), port=port, family=its_family, proto=0,
                                             flags=socket.AI_NUMERICHOST))  # fmt: skip
        return results

    async def close(self) -> None:
        pass


def check(allowed: Allowed, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    """Refuse an address that must not be fetched from.

    Raises:
        ApiError: 400 `media_refused`.
    """
    if not allowed.permits(host.lower().rstrip("."), address, port):
        where = f"{host} ({address})" if host != str(address) else host
        raise ApiError("media_refused", f"The media URL's host {where} is not on the public internet.",
                       "Send the medium as a data URL, or name the host in `media.allow`.")  # fmt: skip


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
        self._allowed = Allowed(settings.allow)
        # No connection is kept, so each one has been checked for the request that it is made for.
        connector = TCPConnector(
            resolver=_Resolver(self._allowed, look_up), use_dns_cache=False, force_close=True, limit=16
        )
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=ClientTimeout(total=None),
            headers={"User-Agent": "swapper", "Accept": "image/*, audio/*, video/*", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._session.close()

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
            async with asyncio.timeout(self._settings.timeout):
                kind = await self._follow(url, sink)
        except BaseException as exc:
            sink.store.close()
            if isinstance(exc, TimeoutError):
                raise ApiError("media_unreachable", f"{_short(url)} did not come within {self._settings.timeout:g} s.",
                               _HINT) from exc  # fmt: skip
            if isinstance(exc, (ClientError, OSError)):
                raise ApiError("media_unreachable", f"{_short(url)} cannot be fetched: {exc}.", _HINT) from exc
            raise
        return Medium(kind, sink.store)

    async def _follow(self, text: str, sink: "_Sink") -> str:
        """Fetch, following redirects; returns the media type."""
        url = self._checked(text)
        for _ in range(_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status not in _REDIRECT_STATUSES:
                    return await self._take(text, answer, sink)
                location = answer.headers.get("Location", "")
            try:
                url = self._checked(str(url.join(URL(location))))
            except ValueError as exc:
                raise ApiError("media_unreachable", f"{_short(text)} redirects to no URL.", _HINT) from exc
        raise ApiError("media_unreachable", f"{_short(text)} redirects more than {_REDIRECTS} times.", _HINT)

    def _checked(self, text: str) -> URL:
        """A URL that may be asked for, as far as can be said before its host is resolved."""
        try:
            url = URL(text)
            host, port = url.raw_host, url.port
        except ValueError as exc:
            raise ApiError("media_refused", f"{_short(text)} is not a URL: {exc}.", _HINT) from exc
        if url.scheme not in {"http", "https"} or not host or not port:
            raise ApiError("media_refused", f"{_short(text)} is not an http or https URL.", _HINT)
        if url.user is not None or url.password is not None:
            raise ApiError("media_refused", "A media URL must not hold a user name or a password.", _HINT)
        # aiohttp takes whatever looks like an address past the resolver, and the system reads `127.1` as one.
        if ":" in host or host.replace(".", "").isdigit():
            try:
                check(self._allowed, host, ipaddress.ip_address(host), port)
            except ValueError as exc:
                raise ApiError("media_refused", f"{host} is neither a name nor an address.", _HINT) from exc
        return url

    async def _take(self, url: str, answer: ClientResponse, sink: "_Sink") -> str:
        """Take the answer's body; returns its media type."""
        limit = self._settings.max_bytes
        if answer.status != 200:
            raise ApiError("media_unreachable", f"{_short(url)} answers {answer.status}.", _HINT)
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ApiError("media_type", f"{_short(url)} comes in an encoding that was not asked for.", _HINT)
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
            raise ApiError("media_type", f"{_short(url)} is empty.", _HINT)
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
    return ApiError("media_too_large", f"{_short(url)} is larger than {limit} bytes.",
                    "Send a smaller one, or raise `media.max_bytes`.")  # fmt: skip


def _wrong_type(url: str, kind: str) -> ApiError:
    return ApiError("media_type", f"{_short(url)} is {kind or 'of no known type'}, not an image, audio or video.",
                    "Name a file of one of these types.")  # fmt: skip


def _short(url: str) -> str:
    """A URL for a message, without what may be secret or endless in it."""
    text = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = text.partition("://")
    text = scheme + separator + rest.rpartition("@")[2]
    return text if len(text) <= 120 else text[:117] + "..."


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell, of several that came up at once."""
    errors = [error for error in group.exceptions if isinstance(error, ApiError)]
    return errors[0] if errors else group.exceptions[0]
