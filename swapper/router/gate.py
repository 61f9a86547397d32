"""How many requests of one key may be under way."""

from collections.abc import Callable, Mapping

from swapper.keys import Key
from swapper.router.errors import ApiError


class Gate:
    """Counts the requests of keys that have a limit.

    How long a key's requests take is measured as a running mean. Which of them ends does not matter for that: times
    from the oldest start to each end add up to the same.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with nobody.

        Args:
            now: A clock, in seconds.
        """
        self._now = now
        self._starts: dict[str, list[float]] = {}
        self._means: dict[str, float] = {}

    def enter(self, key: Key) -> ApiError | None:
        """A request begins, unless its key has as many as it may: then `key_busy`, and there is nothing to leave."""
        if key.concurrency is None:
            return None
        starts = self._starts.setdefault(key.name, [])
        if len(starts) < key.concurrency:
            starts.append(self._now())
            return None
        mean = self._means.get(key.name)
        return ApiError(
            "key_busy",
            f"{len(starts)} requests of {key.name!r} are under way, which is this key's limit.",
            "Wait for one to end, or raise `concurrency` of this key in /etc/swapper/swapper.yaml.",
            # One of n ends after a mean time divided by n, where nothing else is known of them.
            retry_after=mean / len(starts) if mean is not None else None,
        )

    def leave(self, key: Key) -> None:
        """A request that entered has ended; the same `Key` as then."""
        if key.concurrency is None:
            return
        starts = self._starts[key.name]
        took = self._now() - starts.pop(0)
        mean = self._means.get(key.name)
        self._means[key.name] = took if mean is None else mean + (took - mean) / 8
        if not starts:
            del self._starts[key.name]

    @property
    def inside(self) -> Mapping[str, int]:
        """How many requests of each key are under way; only of those that have a limit."""
        return {name: len(starts) for name, starts in self._starts.items()}
