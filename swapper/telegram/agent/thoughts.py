"""Reasoning that an engine leaves in the text: `<think>…</think>` at an answer's beginning, however it is cut up."""

from collections.abc import Iterator

from swapper.telegram.agent.base import Text, Thinking

_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Sorts one answer's text, as it comes, into what was thought and what is said."""

    def __init__(self) -> None:
        self._held = ""
        self._inside: bool | None = None  # None: nothing but what may be the tag has come

    def feed(self, text: str) -> Iterator[Text | Thinking]:
        """More of it."""
        self._held += text
        if self._inside is None:
            begun = self._held.lstrip()
            if _OPEN.startswith(begun[: len(_OPEN)]) and len(begun) < len(_OPEN):
                return
            self._inside = begun.startswith(_OPEN)
            self._held = begun.removeprefix(_OPEN) if self._inside else self._held
        if self._inside:
            thought, closed, said = self._held.partition(_CLOSE)
            held = 0 if closed else _overlap(thought)
            self._held = thought[len(thought) - held :] if held else ""
            if thought := thought.removesuffix(self._held):
                yield Thinking(thought)
            if not closed:
                return
            self._inside, self._held = False, said
        if self._held:
            yield Text(self._held)
            self._held = ""

    def end(self) -> Iterator[Text | Thinking]:
        """There is no more: what was held back, since it might have been a tag, is none."""
        if self._held:
            yield Thinking(self._held) if self._inside else Text(self._held)
            self._held = ""


def _overlap(text: str) -> int:
    """How many characters at the end of a text may be the beginning of the closing tag."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)
