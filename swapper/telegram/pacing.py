"""How fast messages may be sent: pure arithmetic on times that the caller gives.

Telegram names limits (core.telegram.org/bots/faq, "My bot is hitting limits"): about one message a second to a chat, 20
a minute to a group, 30 a second in all. Changing a message counts as sending one. Whoever exceeds them is told for how
long to be silent (`retry_after`), and is silent for so long.
"""

BURST = 3.0
"""Messages that may come at once after a pause."""

PRIVATE = 1.1
"""Seconds for each message in a person's chat, on average."""

GROUP = 4.0
"""Likewise in a group: with `BURST` 18 a minute at most."""

EVERYWHERE = 1 / 25
"""Likewise in all chats together."""

DRAFT = 0.7
"""Seconds between two drafts of one answer. They are no messages, and their limit is not documented."""

_INSTANT = 1e-6
"""Seconds that are none: sums of times are not exact."""

RESERVE = 1.0
"""What previews leave for messages that have to be sent."""


class Bucket:
    """A bucket that fills with time; each message takes one drop."""

    __slots__ = ("_at", "_barred", "_burst", "_interval", "_level")

    def __init__(self, interval: float, burst: float = BURST) -> None:
        """Begin full.

        Args:
            interval: Seconds that one drop takes.
            burst: Drops that it holds.
        """
        self._interval = interval
        self._burst = burst
        self._level = burst
        self._at = 0.0
        self._barred = 0.0

    def wait(self, now: float, reserve: float = 0.0) -> float:
        """Seconds until a message may be sent that leaves `reserve` drops; 0.0: now."""
        missing = (1.0 + reserve - self._filled(now)) * self._interval
        pause = max(self._barred - now, missing)
        return pause if pause > _INSTANT else 0.0

    def take(self, now: float) -> None:
        """A message is sent."""
        self._level, self._at = self._filled(now) - 1.0, now

    def bar(self, now: float, seconds: float) -> None:
        """Telegram wants silence; afterwards the bucket is empty but for one drop."""
        self._barred = max(self._barred, now + seconds)
        self._level, self._at = 1.0 - seconds / self._interval, now

    def full(self, now: float) -> bool:
        """Whether it could as well be a new one."""
        return now >= self._barred and self._filled(now) >= self._burst

    def _filled(self, now: float) -> float:
        return min(self._burst, self._level + (now - self._at) / self._interval)


def bucket(*, private: bool) -> Bucket:
    """For one chat."""
    return Bucket(PRIVATE if private else GROUP)
