"""Reasoning that an engine leaves in the answer: what stands between <think> and </think> at its beginning. Pure.

llama-server and vLLM (with `--reasoning-parser`) take it out themselves where they know the model's format.
"""

import enum

_OPEN, _CLOSE = "<think>", "</think>"


class _Where(enum.Enum):
    BEFORE = 0
    INSIDE = 1
    AFTER = 2


class Thoughts:
    """Sorts the parts of one answer."""

    def __init__(self) -> None:
        """Begin."""
        self._where = _Where.BEFORE
        self._held = ""
        self._blank = False  # whether all that was said since is blank

    def sort(self, text: str) -> tuple[str, str]:
        """More of the answer: what of it is thought, and what is said. The end of it may be held back."""
        if self._where is _Where.AFTER:
            said = text.lstrip() if self._blank else text
            self._blank = self._blank and not said
            return "", said
        self._held += text
        if self._where is _Where.BEFORE:
            begun = self._held.lstrip()
            if not begun.startswith(_OPEN):
                return ("", "") if _OPEN.startswith(begun) else self._out()
            self._where, self._held = _Where.INSIDE, begun.removeprefix(_OPEN)
        thought, closed, rest = self._held.partition(_CLOSE)
        if closed:
            self._where, self._held, self._blank = _Where.AFTER, "", True
            return thought, self.sort(rest)[1]
        kept = _overlap(thought)
        self._held = thought[len(thought) - kept :]
        return thought[: len(thought) - kept], ""

    def end(self) -> tuple[str, str]:
        """What was held back, when no more comes."""
        return (self._held, "") if self._where is _Where.INSIDE else self._out()

    def _out(self) -> tuple[str, str]:
        text, self._held, self._where = self._held, "", _Where.AFTER
        return "", text


def _overlap(text: str) -> int:
    """How many of the last characters may be the beginning of the end."""
    return next((count for count in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:count])), 0)
