"""Formatted text as a row of spans, each with all of its tags: so it can be cut anywhere, and still nests properly.

What Telegram takes as HTML is listed in "HTML style" and "Formatting options" of the Bot API's manual. Lengths count
after parsing, in UTF-16 units ("MessageEntity").
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Tag(NamedTuple):
    """One tag.

    Attributes:
        name: Such as `blockquote`.
        attributes: As they stand behind the name, with a space in front; empty for none.
        serial: Tells two neighbours of the same kind apart, such as two quotations.
    """

    name: str
    attributes: str = ""
    serial: int = 0


class Span(NamedTuple):
    """A text, and its tags from the outermost to the innermost."""

    text: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a heading, a list's item, a piece of code.

    Attributes:
        spans: What it says.
        gap: What separates it from the one before.
        code: Whether it must not be cut: then it becomes a file where it is too long.
        suffix: Of that file's name.
    """

    spans: tuple[Span, ...]
    gap: str = "\n\n"
    code: bool = False
    suffix: str = "txt"

    @property
    def text(self) -> str:
        """Without formatting."""
        return "".join(span.text for span in self.spans)


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def fitting(text: str, most: int) -> int:
    """How many characters of a text have no more than so many UTF-16 units."""
    if len(text) <= most // 2:
        return len(text)
    taken = 0
    for index, character in enumerate(text):
        taken += 2 if character > "\uffff" else 1
        if taken > most:
            return index
    return len(text)


def to_html(spans: Iterable[Span]) -> str:
    """The spans as HTML, every tag closed where it has to be."""
    out: list[str] = []
    opened: tuple[Tag, ...] = ()
    for text, tags in (*spans, Span("")):
        common = next((i for i, (one, other) in enumerate(zip(opened, tags, strict=False)) if one != other), None)
        common = min(len(opened), len(tags)) if common is None else common
        out += [f"</{tag.name}>" for tag in reversed(opened[common:])]
        out += [f"<{tag.name}{tag.attributes}>" for tag in tags[common:]]
        out.append(html.escape(text, quote=False))
        opened = tags
    return "".join(out)


def shared(before: Sequence[Span], after: Sequence[Span]) -> tuple[Tag, ...]:
    """The tags that go on from one row of spans to the next: those of what separates them."""
    if not before or not after:
        return ()
    pairs = zip(before[-1].tags, after[0].tags, strict=False)
    found = []
    for one, other in pairs:
        if one != other:
            break
        found.append(one)
    return tuple(found)


def cut(spans: Sequence[Span], characters: int) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The first so many characters, and the rest."""
    head: list[Span] = []
    for index, span in enumerate(spans):
        if len(span.text) >= characters:
            head.append(Span(span.text[:characters], span.tags))
            rest = Span(span.text[characters:], span.tags)
            return tuple(head), ((rest, *spans[index + 1 :]) if rest.text else tuple(spans[index + 1 :]))
        head.append(span)
        characters -= len(span.text)
    return tuple(head), ()
