"""When an album is complete. Telegram sends its parts as messages of their own and never says which one is the last."""

from collections.abc import Iterable

QUIET = 1.0
"""Seconds without a further part after which there is none. Parts come within some hundred milliseconds."""

PATIENCE = 8.0
"""Seconds after which no part is waited for, whatever still comes."""

MOST = 4
"""Pictures in one question."""


def wait(arrived: Iterable[float], now: float) -> float:
    """Seconds to wait for further parts; 0.0: it is complete.

    Args:
        arrived: When its parts came.
        now: On the same clock. One that was set back does not hold anything up for longer than `QUIET`.
    """
    times = sorted(arrived)
    if now - times[0] >= PATIENCE or now < times[0]:
        return 0.0
    return max(0.0, times[-1] + QUIET - now)
