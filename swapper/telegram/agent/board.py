"""What is being done at the moment, by everything that works for one answer at once."""

from collections.abc import Callable

from swapper.telegram.agent.base import Progress
from swapper.telegram.agent.tools.base import Say


class Board:
    """Tells progress: one line with all that is at work."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        """Nothing is done yet."""
        self._tell = tell
        self._lines: dict[object, str] = {}
        self._told = ""

    def line(self, key: object) -> Say:
        """A line of one's own, after those of whoever came before, however early each has something to say."""
        self._lines.setdefault(key, "")

        def say(text: str) -> None:
            self._lines[key] = text
            self._show()

        return say

    def wipe(self, key: object) -> None:
        """That is done."""
        self._lines.pop(key, None)
        self._show()

    def _show(self) -> None:
        text = "; ".join(filter(None, self._lines.values()))
        if text and text != self._told:
            self._told = text
            self._tell(Progress(text))
