"""Stands in for the part of Telegram's servers that parses HTML: takes what the Bot API's manual lists, nothing else.

"HTML style" and "Formatting options" (core.telegram.org/bots/api). Where the servers merely ignore something, such as
bold within code, this refuses it: who sends it has made a mistake.
"""

import html
import re
from dataclasses import dataclass

_TOKEN = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>|&([^;&<>\s]*);|([<>&])|([^<>&]+)")
_TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
    "a": "text_link", "code": "code", "pre": "pre", "blockquote": "blockquote",
}  # fmt: skip
_ATTRIBUTES = {
    "a": re.compile(r' href="[^"]+"'),
    "code": re.compile(r'( class="language-[^"\s]+")?'),
    "blockquote": re.compile(r"( expandable)?"),
}
_NONE = re.compile(r"")


class BadHtml(Exception):  # noqa: N818 - as Telegram calls it
    """The text cannot be parsed; says why, as the servers do."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says, and how.

    Attributes:
        text: Without tags.
        entities: Kind and text of each, in the order of their ends.
    """

    text: str
    entities: tuple[tuple[str, str], ...]


def parse(source: str) -> Parsed:
    """Parse a text.

    Raises:
        BadHtml: It is not well formed, or says what Telegram does not know.
    """
    text, entities, opened = "", [], list[tuple[str, int]]()
    for match in _TOKEN.finditer(source):
        closing, tag, attributes, entity, stray, plain = match.groups()
        if stray:
            raise BadHtml(f"can't parse entities: unescaped {stray!r} at byte offset {match.start()}")
        if plain:
            text += plain
        elif tag and closing:
            if not opened or opened[-1][0] != tag:
                raise BadHtml(f"can't parse entities: unexpected end tag </{tag}>")
            name, start = opened.pop()
            entities.append((_TAGS[name], text[start:]))
        elif tag:
            _check(tag, attributes, [name for name, _ in opened])
            opened.append((tag, len(text)))
        else:
            if entity not in {"lt", "gt", "amp", "quot"} and not re.fullmatch(r"#\d+|#x[0-9a-fA-F]+", entity):
                raise BadHtml(f"can't parse entities: unknown &{entity};")
            text += html.unescape(f"&{entity};")
    if opened:
        raise BadHtml(f"can't parse entities: can't find end tag for <{opened[-1][0]}>")
    return Parsed(text, tuple(entities))


def _check(tag: str, attributes: str, around: list[str]) -> None:
    if tag not in _TAGS:
        raise BadHtml(f"can't parse entities: unsupported start tag {tag!r}")
    if not _ATTRIBUTES.get(tag, _NONE).fullmatch(attributes):
        raise BadHtml(f"can't parse entities: attributes {attributes!r} of <{tag}>")
    if "code" in around or ("pre" in around and (tag != "code" or around[-1] != "pre")):
        raise BadHtml(f"can't parse entities: <{tag}> within code")
    if tag == "blockquote" and "blockquote" in around:
        raise BadHtml("can't parse entities: nested blockquotes")
