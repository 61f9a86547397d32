"""Which addresses of the outside may be fetched from.

A URL in a request is a stranger's wish, and who fetches it sits where strangers do not: next to engines, to the
router's operation endpoints and to the rest of a private network. So an address must be one of the public internet, in
whatever notation it hides, unless it is allowed by name. IANA's special-purpose registries are behind
`ipaddress.is_global`; what is embedded in an IPv6 address (mapped, 6to4, NAT64, Teredo) is judged by itself.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """IPv4 addresses that a packet to this one may end up at."""
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, and to one machine there."""
    if isinstance(address, IPv6Address):
        inner = tuple(_embedded(address))
        if inner:
            return all(map(is_public, inner))
        if address in _NAT64_LOCAL or address.scope_id is not None or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of what is allowed: a host name or a network, and a port if only that one is meant."""

    host: str | None
    network: Network | None
    port: int | None

    def names(self, host: str, address: Address, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return self.host == host
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.version == self.network.version and address in self.network


class Allowed:
    """What may be fetched although it is private.

    Entries are host names, addresses and networks (`10.1.2.0/24`), each with `:port` if only that port is meant; IPv6
    with a port stands in brackets.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Read the entries.

        Raises:
            ValueError: One of them is neither.
        """
        self._entries = tuple(map(_parse, entries))

    def permits(self, host: str, address: Address, port: int) -> bool:
        """Whether this address, which a host name stands for, may be connected to."""
        return is_public(address) or any(entry.names(host, address, port) for entry in self._entries)


def _parse(text: str) -> _Entry:
    host, port = text.strip().lower(), None
    if host.startswith("["):
        host, closed, rest = host[1:].partition("]")
        if not closed:
            raise ValueError(f"{text!r} lacks a closing bracket")
        port = int(rest.removeprefix(":")) if rest else None
    elif host.count(":") == 1:
        host, _, digits = host.partition(":")
        port = int(digits)
    try:
        return _Entry(None, ipaddress.ip_network(host), port)
    except ValueError:
        if "/" in host or ":" in host or not host:
            raise ValueError(f"{text!r} is neither a host name, nor an address, nor a network") from None
        return _Entry(host.rstrip("."), None, port)
