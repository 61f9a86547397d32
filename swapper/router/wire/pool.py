"""Connections to engines that are kept for the next request.

An engine may hold a thread for each of them, so few are kept, and not for long. llama-server closes one after 5 s, and
says `Connection: close` with its 100th answer; vLLM's server closes one after 5 s.
"""

import asyncio

from swapper.router.wire.upstream import Upstream

IDLE_LIMIT = 8
"""Most connections that are kept per socket while they are not in use."""

IDLE_SECONDS = 2.0
"""Longest time that a connection is kept while it is not in use: below the 5 s after which both engines close it."""


class Pool:
    """Kept connections, by socket."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Upstream]] = {}
        self._open: set[Upstream] = set()

    def __repr__(self) -> str:
        idle = {path: len(connections) for path, connections in self._idle.items() if connections}
        return f"<Pool open={len(self._open)} idle={idle}>"

    @property
    def open(self) -> int:
        """Connections that are open, in use or kept."""
        return len(self._open)

    def take(self, path: str) -> Upstream | None:
        """A kept connection to this socket, the one used last."""
        idle = self._idle.get(path)
        return idle.pop() if idle else None

    async def connect(self, path: str) -> Upstream:
        """A fresh connection.

        Raises:
            OSError: There is none to be had.
        """
        _, upstream = await asyncio.get_running_loop().create_unix_connection(lambda: Upstream(self, path), path)
        return upstream

    def made(self, upstream: Upstream) -> None:
        """A connection is there."""
        self._open.add(upstream)

    def put(self, upstream: Upstream) -> None:
        """Keep a connection for the next request."""
        idle = self._idle.setdefault(upstream.path, [])
        if len(idle) >= IDLE_LIMIT:
            upstream.abort()
            return
        upstream.idle_since = asyncio.get_running_loop().time()
        upstream.resume()
        idle.append(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection is gone."""
        self._open.discard(upstream)
        idle = self._idle.get(upstream.path, ())
        if upstream in idle:
            self._idle[upstream.path].remove(upstream)

    def sweep(self, now: float) -> None:
        """Close connections that have been kept for too long; `now` on the loop's clock."""
        for idle in self._idle.values():
            while idle and now - idle[0].idle_since > IDLE_SECONDS:
                idle.pop(0).abort()

    def forget(self, path: str) -> None:
        """The model behind this socket stops: close what is kept."""
        for upstream in self._idle.pop(path, []):
            upstream.abort()

    def close(self) -> None:
        """Close everything at once."""
        self._idle.clear()
        for upstream in tuple(self._open):
            upstream.abort()
