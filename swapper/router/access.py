"""Who may do what: keys, and what browsers say about where a request comes from. Every request head is judged here.

Keys. Without any, whoever reaches the port may do everything, so only what came in on a loopback address or a unix
socket is answered, and not what a proxy there passes on for others (as far as it says so: locality.py). With keys, a
request shows one (`Authorization: Bearer`, `x-api-key`, or as the password of Basic, which is what a browser can ask a
person for), and the key's scope must cover the route's. keys.py has them.

Web pages. A browser on this machine or in this network reaches the port for every page that it shows, and some of its
requests need nobody's consent. None of them may do or learn anything:

  form posts, fetch with or without CORS, sendBeacon, EventSource with CORS, WebSockets
        carry Origin: browsers add it to everything but GET and HEAD, to whatever CORS or a WebSocket is about, and
        pages cannot change it. An Origin that is neither the port's own nor in `router.origins` is refused. `null`
        (sandboxed frames, files, a page that hides where it is) names nobody, and is refused always.
  images, scripts, styles, frames, links, prefetching
        are GET requests without Origin. Nothing is operated by GET, and their answers are JSON, text, or a page that
        no other page may frame: a browser does not give them to the page that caused them.
  a name that changes its address (DNS rebinding)
        makes the port look like a part of the attacker's site, GET requests without Origin included. But Host still
        has the attacker's name. So a request without a key must come by an address, by localhost, or by a name in
        `router.hosts`. With a key Host is free: a browser has no key for the attacker's name, as what it remembers
        (Basic) belongs to the name for which a person typed it.

The rules for browsers hold for requests with keys too: a browser that has one, of a person who looked at /metrics,
sends it with a form of any page.

CORS. An origin in `router.origins` may use the port from its pages: answers say so, and so does the preflight. No
credentials mode: what the browser remembers is not lent to other pages; they show a key of their own. (Fetch Standard,
"CORS protocol"; RFC 6454; RFC 6750; RFC 7617.)
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from swapper.config import KeySettings
from swapper.keys import ANYBODY, NOBODY, Fingerprints, Key, Known, Secret, presented
from swapper.locality import is_local, is_ours, is_own_page
from swapper.router.errors import ApiError
from swapper.router.gate import Gate
from swapper.router.routes import Scope

__all__ = [
    "ANYBODY",
    "NOBODY",
    "Access",
    "Gate",
    "Key",
    "Scope",
    "Secret",
    "is_local",
    "presented",
]

EXPOSED = b"X-Request-Id, Retry-After, Server-Timing"
"""Headers of answers that pages of allowed origins may read, beside those that all may."""

PREFLIGHT_AGE = 7200
"""Seconds that a browser may remember a preflight's answer; none remembers longer."""

_MOST_HOSTS = 64

MAKE_KEYS = (
    'echo "me admin $(systemd-id128 new)" | install -D -m 600 /dev/stdin /etc/credstore/swapper.keys',
    "systemctl restart swapper",
)
"""What to type, as root, where there are no keys yet."""


class Access:
    """Judges requests by the keys and settings that it was made with."""

    __slots__ = ("_any_origin", "_fingerprints", "_hosts", "_known", "_origins")

    def __init__(
        self,
        keys: Iterable[Known] | None = None,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        settings: Iterable[KeySettings] = (),
    ) -> None:
        """Know the rules.

        Args:
            keys: SHA-256 of each key, and what it is for; none of them lets nobody in. None where nobody made keys.
            hosts: Names by which the port may be called without a key, in lower case.
            origins: Web pages that may use it, in lower case, or `*` for all.
            settings: What the configuration says of keys.
        """
        said = {each.name: each for each in settings}
        usual = KeySettings("")
        known = (
            (digest, replace(key, concurrency=its.concurrency, priority=its.priority))
            for digest, key in keys or ()
            for its in (said.get(key.name, usual),)
        )
        self._fingerprints = None if keys is None else Fingerprints(known)
        self._hosts = frozenset(host.encode() for host in hosts)
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any_origin = b"*" in self._origins
        self._known: set[bytes] = set()  # values of Host that passed

    @property
    def keyed(self) -> bool:
        """Whether requests need keys."""
        return self._fingerprints is not None

    def judge(self, credential: Secret | None, host: bytes, origin: bytes, *, local: bool, scope: Scope) -> Key:
        """Whether a request may go on; called for every request head before anything else is done with it.

        Args:
            credential: The key that came with it, see `presented`.
            host: The Host field, empty without (HTTP/1.0).
            origin: The Origin field, empty without.
            local: It came in on a loopback address or a unix socket, see `is_local`, and is nobody else's.
            scope: What its route asks for.

        Returns:
            Who sends it.

        Raises:
            ApiError: `key_missing`, `key_wrong`, `key_scope`, `keys_required`, `host_refused` or `origin_refused`.
        """
        if self._fingerprints is None:
            if not local:
                raise _keys_required()
            if host not in self._known:
                self._check_host(host)
            if origin:
                self._check_origin(origin, host)
            return ANYBODY
        if origin:
            self._check_origin(origin, host)
        if scope is Scope.PUBLIC:
            return NOBODY
        key = self._fingerprints.find(credential) if credential is not None else None
        if key is None:
            if scope is not Scope.OPEN:
                raise _key_missing(scope) if credential is None else _key_wrong(scope)
            if host not in self._known:
                self._check_host(host)
            return NOBODY
        self.permit(key, scope)
        return key

    def owner(self, credential: Secret | None) -> Key:
        """Who it is that a request was let in for."""
        if self._fingerprints is None:
            return ANYBODY
        return NOBODY if credential is None else self._fingerprints.find(credential) or NOBODY

    def permit(self, key: Key, scope: Scope) -> None:
        """Whether somebody who was let in may have this.

        Raises:
            ApiError: `key_missing` or `key_scope`.
        """
        if key is NOBODY and scope in {Scope.INFERENCE, Scope.ADMIN}:
            raise _key_missing(scope)
        if scope is Scope.ADMIN and not key.admin:
            raise _key_scope(key)

    def cors(self, origin: bytes) -> bytes:
        """Header lines, each with its CRLF, that let a page of this origin read an answer; empty where it may not."""
        if not origin or not self._allowed(origin):
            return b""
        return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\nAccess-Control-Expose-Headers: %b\r\n" % (
            origin, EXPOSED)  # fmt: skip

    def preflight(self, origin: bytes) -> bytes | None:
        """The whole answer to an OPTIONS request by which a browser asks whether a page may send its request.

        Every method and header is allowed: an allowed page may do what its key may. (`*` does not mean Authorization,
        which has to be named.) None where it may not: the request is judged as any other.
        """
        lines = self.cors(origin)
        if not lines:
            return None
        return (
            b"HTTP/1.1 204 No Content\r\n%b"
            b"Access-Control-Allow-Methods: *\r\n"
            b"Access-Control-Allow-Headers: *, Authorization\r\n"
            b"Access-Control-Allow-Private-Network: true\r\n"
            b"Access-Control-Max-Age: %d\r\n\r\n" % (lines, PREFLIGHT_AGE)
        )

    def _check_host(self, host: bytes) -> None:
        """Whether a page under this name can only be one of the port's own."""
        if host and not is_ours(host, self._hosts):
            name = host[:200].decode(errors="replace")
            raise ApiError("host_refused", f"This port is not known as {name!r}, and such a request needs a key.",
                           "Use its address, or add the name to `router.hosts` in /etc/swapper/swapper.yaml, "
                           "then: systemctl reload swapper")  # fmt: skip
        if len(self._known) < _MOST_HOSTS:
            self._known.add(host)

    def _check_origin(self, origin: bytes, host: bytes) -> None:
        if not is_own_page(origin, host) and not self._allowed(origin):
            name = origin[:200].decode(errors="replace")
            raise ApiError("origin_refused", f"Web pages of {name!r} may not use this port.",
                           "To let them, add the origin to `router.origins` in /etc/swapper/swapper.yaml, "
                           "then: systemctl reload swapper")  # fmt: skip

    def _allowed(self, origin: bytes) -> bool:
        return bool(self._origins) and origin != b"null" and (self._any_origin or origin.lower() in self._origins)


def _keys_required() -> ApiError:
    how = " && ".join(MAKE_KEYS)
    return ApiError("keys_required", "Without API keys, this port answers its own machine only, and no proxy.",
                    f"As root: {how}")  # fmt: skip


def _key_missing(scope: Scope) -> ApiError:
    return ApiError("key_missing", "This port wants an API key.", "Send it as `Authorization: Bearer KEY`.",
                    challenge=_challenge(scope))  # fmt: skip


def _key_wrong(scope: Scope) -> ApiError:
    return ApiError("key_wrong", "This API key is not known here.",
                    "Keys are in /etc/credstore/swapper.keys; after a change: systemctl restart swapper",
                    challenge=_challenge(scope))  # fmt: skip


def _key_scope(key: Key) -> ApiError:
    return ApiError("key_scope", f"The key of {key.name!r} is for inference only.", "This needs a key of scope admin.")


def _challenge(scope: Scope) -> str:
    # Basic makes a browser ask a person for the key: only where people go.
    basic = 'Basic realm="swapper", charset="UTF-8", ' if scope is Scope.ADMIN else ""
    return basic + 'Bearer realm="swapper"'
