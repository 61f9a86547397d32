"""The one door to the outside, for what somebody else names by URL.

Rules of this file:
  * A host is resolved once. All of its addresses are checked, and the connection goes to those very addresses: a DNS
    answer that changes afterwards changes nothing.
  * Redirects are followed by hand, and each hop is checked like the first.
  * Nothing of ours goes along: no cookies, no credentials, no proxy from the environment.
  * No connection is kept, so each one has been checked for the request that it is made for.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from swapper.outside.addresses import Address, Allowed

REDIRECTS = 5
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

type Lookup = Callable[[str], Awaitable[Sequence[str]]]


class RefusedError(Exception):
    """A URL that is not asked for. The text says why, as a sentence."""


class NotPublicError(RefusedError):
    """Its host is not on the public internet.

    Attributes:
        where: The host, and the address that it stands for.
    """

    def __init__(self, where: str) -> None:
        super().__init__(f"The URL's host {where} is not on the public internet.")
        self.where = where


class RedirectError(Exception):
    """It leads on to nothing. The text says why, as a sentence."""


async def lookup(host: str) -> Sequence[str]:
    """Addresses of a host, as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Door:
    """Asks for URLs; one for all that are fetched for the same purpose."""

    def __init__(self, allowed: Allowed, headers: Mapping[str, str], look_up: Lookup = lookup) -> None:
        """Make one; call within the loop.

        Args:
            allowed: What may be fetched from although it is private.
            headers: What goes with each request. Answers are not decompressed.
            look_up: From a host name to its addresses.
        """
        self._allowed = allowed
        connector = TCPConnector(resolver=_Resolver(allowed, look_up), use_dns_cache=False, force_close=True, limit=16)
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=ClientTimeout(total=None),
            headers=headers,
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._session.close()

    @contextlib.asynccontextmanager
    async def get(self, text: str) -> AsyncIterator[ClientResponse]:
        """What a URL leads to: an answer that is no redirect. How long that may take is the caller's to say.

        Raises:
            RefusedError: This URL, or one that it leads to, is not asked for.
            RedirectError: It leads to no URL, or to too many.
            aiohttp.ClientError, OSError: It cannot be reached.
        """
        url = self._checked(text)
        for _ in range(REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status not in _REDIRECT_STATUSES:
                    yield answer
                    return
                location = answer.headers.get("Location", "")
            try:
                url = self._checked(str(url.join(URL(location))))
            except ValueError as exc:
                raise RedirectError(f"{short(text)} redirects to no URL.") from exc
        raise RedirectError(f"{short(text)} redirects more than {REDIRECTS} times.")

    def _checked(self, text: str) -> URL:
        """A URL that may be asked for, as far as can be said before its host is resolved."""
        try:
            url = URL(text)
            host, port = url.raw_host, url.port
        except ValueError as exc:
            raise RefusedError(f"{short(text)} is not a URL: {exc}.") from exc
        if url.scheme not in {"http", "https"} or not host or not port:
            raise RefusedError(f"{short(text)} is not an http or https URL.")
        if url.user is not None or url.password is not None:
            raise RefusedError("A URL must not hold a user name or a password.")
        # aiohttp takes whatever looks like an address past the resolver, and the system reads `127.1` as one.
        if ":" in host or host.replace(".", "").isdigit():
            try:
                _check(self._allowed, host, ipaddress.ip_address(host), port)
            except ValueError as exc:
                raise RefusedError(f"{host} is neither a name nor an address.") from exc
        return url


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
            _check(self._allowed, host, address, port)
            its_family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            if family in {socket.AF_UNSPEC, its_family}:
                results.append(ResolveResult(hostname=host, host=str(address), port=port, family=its_family, proto=0,
                                             flags=socket.AI_NUMERICHOST))  # fmt: skip
        return results

    async def close(self) -> None:
        pass


def _check(allowed: Allowed, host: str, address: Address, port: int) -> None:
    if not allowed.permits(host.lower().rstrip("."), address, port):
        raise NotPublicError(f"{host} ({address})" if host != str(address) else host)


def short(url: str) -> str:
    """A URL for a message, without what may be secret or endless in it."""
    text = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = text.partition("://")
    text = scheme + separator + rest.rpartition("@")[2]
    return text if len(text) <= 120 else text[:117] + "..."
