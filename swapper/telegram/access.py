"""Who is answered. Closed to everybody who was not let in, by the configuration or by a code."""

from collections.abc import Callable, Container
from dataclasses import dataclass

from swapper.telegram.places import Lane
from swapper.telegram.settings import Settings

AGAIN = 3600.0
"""Seconds in which a stranger is told their number once: a bot that answers everything can be made to send a lot."""

MOST = 1024
"""Strangers that are remembered for that."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who was let in: users have numbers above zero, groups below.

    Attributes:
        settings: Names some.
        paired: Those who came by a code.
        now: A chat's number of today: groups get others.
    """

    settings: Settings
    paired: Container[int]
    now: Callable[[int], int] = lambda chat: chat

    def open_to(self, sender: int, lane: Lane) -> bool:
        """Whether this person is answered here: users anywhere, others in groups that were let in."""
        named = self.settings.users | {self.now(group) for group in self.settings.groups}
        numbers = (sender,) if lane.private else (sender, self.now(lane.chat))
        return any(number in named or number in self.paired for number in numbers)


class Strangers:
    """Who has been told their number lately."""

    def __init__(self) -> None:
        self._told: dict[int, float] = {}

    def tell(self, sender: int, now: float) -> bool:
        """Whether to tell this one, now."""
        if now - self._told.get(sender, float("-inf")) < AGAIN:
            return False
        self._told.pop(sender, None)
        self._told[sender] = now
        if len(self._told) > MOST:
            self._told.pop(next(iter(self._told)))
        return True
