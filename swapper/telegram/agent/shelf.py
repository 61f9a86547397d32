"""What was sent in a conversation, by short ids: a model never sees a path, and can only name what is there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swapper.telegram.agent.base import Medium, Turn

_LETTERS = {"audio": "a", "image": "i", "document": "d"}


@dataclass(frozen=True, slots=True)
class Item:
    """A medium with its id.

    Attributes:
        id: Such as `i2`, the second picture.
        medium: The file.
        turn: The number of its turn.
    """

    id: str
    medium: Medium
    turn: int

    @property
    def label(self) -> str:
        """As a model reads it where the medium was sent."""
        return f"[{self.medium.kind} {self.id}: {plain(self.medium.name)}]"


class Shelf:
    """All media of a conversation, in their order."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        """Number them."""
        counts: dict[str, int] = {}
        self._items: list[Item] = []
        for number, turn in enumerate(turns):
            for medium in turn.media:
                letter = _LETTERS.get(medium.kind, "m")
                counts[letter] = counts.get(letter, 0) + 1
                self._items.append(Item(f"{letter}{counts[letter]}", medium, number))

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def of(self, turn: int, kind: str = "") -> tuple[Item, ...]:
        """What came with a turn, all or of one kind."""
        return tuple(item for item in self._items if item.turn == turn and kind in {"", item.medium.kind})

    def ids(self, kind: str) -> tuple[str, ...]:
        """The ids of one kind."""
        return tuple(item.id for item in self._items if item.medium.kind == kind)

    def find(self, name: str, kind: str) -> Item:
        """The medium of this id.

        Raises:
            LookupError: There is none of this kind; says which there are.
        """
        for item in self._items:
            if item.id == name.strip().strip("[]") and item.medium.kind == kind:
                return item
        there = ", ".join(self.ids(kind)) or "none"
        raise LookupError(f"There is no {kind} {name[:20]!r}; there are: {there}.")


def plain(name: str) -> str:
    """A file's name as part of a line: without what could look like the end of it."""
    kept = "".join(" " if character in '[]<>"\n\r\t' else character for character in name if character.isprintable())
    return kept.strip()[:80] or "unnamed"
