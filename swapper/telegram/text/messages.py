"""Blocks → messages of at most 4,096 UTF-16 units. Code is never cut: what is too long for a message becomes a file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swapper.telegram.text.spans import Block, Span, cut, fitting, shared, to_html, units

LIMIT = 4096
"""UTF-16 units of a message ("sendMessage" in the Bot API's manual: 1 to 4096 characters after entities parsing)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One message.

    Attributes:
        html: For `parse_mode=HTML`.
        plain: The same without formatting.
    """

    html: str
    plain: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A file."""

    name: str
    text: str


def compose(blocks: Iterable[Block], limit: int = LIMIT) -> tuple[Piece | Attached, ...]:
    """Messages and files, in their order. No message is empty; without anything to say there is none."""
    composer = _Composer(limit)
    for block in blocks:
        composer.add(block)
    return tuple(composer.finish())


class _Composer:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._spans: tuple[Span, ...] = ()
        self._length = 0
        self._done: list[Piece | Attached] = []
        self._files: list[Attached] = []

    def add(self, block: Block) -> None:
        length = units(block.text)
        if block.code and length > self._limit:
            count = sum(isinstance(piece, Attached) for piece in (*self._done, *self._files))
            name = f"code-{count + 1}.{block.suffix}"
            self._files.append(Attached(name, block.text))
            block = Block((Span(f"📎 {name}"),), block.gap)
            length = units(block.text)
        if self._spans and length + len(block.gap) > (room := self._limit - self._length) and (
            length <= self._limit or room < self._limit // 2
        ):
            self._flush()
        if self._spans:
            gap = Span(block.gap, shared(self._spans, block.spans))
            self._spans, self._length = (*self._spans, gap), self._length + len(block.gap)
        for spans in _lengths(block.spans, self._limit - self._length, self._limit):
            if self._length + units(_text(spans)) > self._limit:
                self._flush()
            self._spans, self._length = (*self._spans, *spans), self._length + units(_text(spans))

    def finish(self) -> Sequence[Piece | Attached]:
        self._flush()
        return self._done

    def _flush(self) -> None:
        plain = _text(self._spans)
        if plain.strip():
            self._done.append(Piece(to_html(self._spans), plain))
        self._done += self._files
        self._spans, self._length, self._files = (), 0, []


def _text(spans: Iterable[Span]) -> str:
    return "".join(span.text for span in spans)


def _lengths(spans: tuple[Span, ...], first: int, limit: int) -> Iterator[tuple[Span, ...]]:
    """Text that is too long, cut at the end of a line or a word where there is one in the second half."""
    room = first
    while units(text := _text(spans)) > room:
        most = fitting(text, room)
        room = limit
        line, word = text.rfind("\n", most // 2, most), text.rfind(" ", most // 2, most)
        head, spans = cut(spans, (line if line > 0 else word) + 1 or most)
        yield head
    yield spans
