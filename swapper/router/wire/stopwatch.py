"""When what happened to a request: for its record, and for the client."""

from collections.abc import Callable


class Stopwatch:
    """Runs from when a request's body is there. Times are seconds.

    Attributes:
        loading: Of the wait for the lease, the time in which the model was starting.
    """

    __slots__ = ("_admitted", "_began", "_first", "_now", "loading")

    def __init__(self, now: Callable[[], float]) -> None:
        self.loading = 0.0
        self._now = now
        self._began = now()
        self._admitted: float | None = None
        self._first: float | None = None

    def admitted(self, loading: float) -> None:
        """The lease is there."""
        self._admitted = self._now()
        self.loading = loading

    def answered(self) -> None:
        """The first byte of the engine's answer is there."""
        self._first = self._now()

    @property
    def queued(self) -> float | None:
        """Until the lease; None without one."""
        return None if self._admitted is None else self._admitted - self._began

    @property
    def first(self) -> float | None:
        """Until the first byte; None without one."""
        return None if self._first is None else self._first - self._began

    @property
    def total(self) -> float:
        """Until now."""
        return self._now() - self._began

    def line(self) -> bytes:
        """`Server-Timing` as a header's line (W3C, "Server Timing"), in milliseconds, up to now."""
        first = self._now() if self._first is None else self._first
        admitted = first if self._admitted is None else self._admitted
        queued = admitted - self._began - self.loading
        return b"Server-Timing: queue;dur=%.1f, load;dur=%.1f, engine;dur=%.1f\r\n" % (
            queued * 1000, self.loading * 1000, (first - admitted) * 1000)  # fmt: skip
