"""Markdown → blocks. CommonMark by markdown-it, with tables and strike-through, and without HTML.

Telegram knows no headings, lists and tables: they become bold lines, bullets and aligned columns. Code and quotations
must not contain other formatting ("Formatting options" in the Bot API's manual).
"""

import functools
import html
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from swapper.telegram.text.spans import Block, Span, Tag, fitting

MOST_THOUGHT = 1500
"""UTF-16 units of a model's reasoning that are shown: the last ones."""

_BOLD, _CODE = Tag("b"), Tag("code")
_INLINE = {"strong": _BOLD, "em": Tag("i"), "s": Tag("s")}
_LINK = re.compile(r"(?:https?|tg)://[^\s<>\"]+|mailto:[^\s<>\"]+", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")
_SUFFIXES = {
    "bash": "sh", "c++": "cpp", "csharp": "cs", "javascript": "js", "markdown": "md", "python": "py", "ruby": "rb",
    "rust": "rs", "shell": "sh", "typescript": "ts", "": "txt", "text": "txt", "plaintext": "txt",
}  # fmt: skip
_BULLETS = "•◦▪"
_INDENT = "    "


def render(markdown: str) -> tuple[Block, ...]:
    """The blocks of a text. Never fails: what is no Markdown is text."""
    return tuple(_Rendering().blocks(_parser().parse(markdown)))


def thought(text: str) -> tuple[Block, ...]:
    """A model's reasoning: folded, and opened by whoever wants to read it."""
    text = re.sub(r"\n{3,}", "\n\n", text.strip())
    if not text:
        return ()
    backwards = fitting(text[::-1], MOST_THOUGHT)
    shown = text if backwards >= len(text) else f"…{text[len(text) - backwards :]}"
    return (Block((Span(shown, (Tag("blockquote", " expandable"),)),)),)


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


class _Rendering:
    """Goes through the tokens of one text."""

    def __init__(self) -> None:
        self._lists: list[Iterator[str]] = []
        self._quotes: list[Tag] = []
        self._serials = itertools.count(1)
        self._marker = ""
        self._heading = False
        self._tight = False
        self._fresh = False

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Block]:
        index = 0
        while index < len(tokens):
            token = tokens[index]
            if token.type == "table_open":
                end = next(i for i in range(index, len(tokens)) if tokens[i].type == "table_close")
                yield self._code(_table(tokens[index:end]), "")
                index = end
            elif token.type in {"fence", "code_block"}:
                yield self._code(token.content.rstrip("\n"), token.info.split(" ")[0] if token.info else "")
            elif token.type == "inline":
                yield from self._paragraph(token)
            elif token.type == "hr":
                yield Block((Span("———", self._outer),))
            else:
                self._structure(token)
            index += 1

    @property
    def _outer(self) -> tuple[Tag, ...]:
        """Quotations do not nest."""
        return tuple(self._quotes[:1])

    def _structure(self, token: Token) -> None:
        match token.type:
            case "heading_open" | "heading_close":
                self._heading = token.nesting > 0
            case "paragraph_open":
                self._tight = token.hidden
            case "blockquote_open":
                self._quotes.append(Tag("blockquote", serial=next(self._serials)))
            case "blockquote_close":
                self._quotes.pop()
            case "bullet_list_open":
                self._fresh = not self._lists
                self._lists.append(itertools.repeat(_BULLETS[len(self._lists) % len(_BULLETS)]))
            case "ordered_list_open":
                self._fresh = not self._lists
                self._lists.append(f"{number}." for number in itertools.count(int(token.attrGet("start") or 1)))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
                self._tight = False
            case "list_item_open":
                self._marker = next(self._lists[-1])

    def _paragraph(self, token: Token) -> Iterator[Block]:
        outer = (*self._outer, _BOLD) if self._heading else self._outer
        spans = tuple(_merged(_inline(token.children or (), outer)))
        gap = "\n\n"
        if self._lists:
            indent = _INDENT * (len(self._lists) - 1)
            first = f"{indent}{self._marker} " if self._marker else f"{indent}{' ' * 3}"
            gap = "\n" if self._tight and not self._fresh else "\n\n"
            spans = (Span(first, self._outer), *spans)
            self._marker, self._fresh = "", False
        if "".join(span.text for span in spans).strip():
            yield Block(spans, gap)

    def _code(self, text: str, language: str) -> Block:
        known = language if _LANGUAGE.fullmatch(language) else ""
        inner = Tag("code", f' class="language-{html.escape(known)}"')
        outer = Tag("pre", serial=next(self._serials))
        tags = (outer, inner) if known else (outer,)
        suffix = _SUFFIXES.get(known.lower(), re.sub(r"[^a-z0-9]", "", known.lower()) or "txt")
        return Block((Span(text or " ", tags),), code=True, suffix=suffix)


def _inline(tokens: Sequence[Token], outer: tuple[Tag, ...]) -> Iterator[Span]:
    stack: list[Tag | None] = []
    quotes = tuple(tag for tag in outer if tag.name == "blockquote")
    for token in tokens:
        tags = (*outer, *(tag for tag in stack if tag is not None))
        if token.type in {"softbreak", "hardbreak"}:
            yield Span("\n", tags)
        elif token.type == "code_inline":
            yield Span(token.content, (*quotes, _CODE))
        elif token.type == "image":
            yield Span(token.content or "image", (*tags, *_link(str(token.attrGet("src") or ""))))
        elif token.nesting > 0:
            opened = _link(str(token.attrGet("href") or "")) if token.type == "link_open" else ()
            tag = opened[0] if opened else _INLINE.get(token.type.removesuffix("_open"))
            stack.append(None if tag in tags else tag)
        elif token.nesting < 0:
            stack.pop()
        elif token.content:
            yield Span(token.content, tags)


def _link(target: str) -> tuple[Tag, ...]:
    """Telegram ignores links that it does not know; then their text is all that is there anyway."""
    return (Tag("a", f' href="{html.escape(target)}"'),) if _LINK.fullmatch(target) else ()


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Neighbours with the same tags as one."""
    for tags, group in itertools.groupby(spans, key=lambda span: span.tags):
        yield Span("".join(span.text for span in group), tags)


def _table(tokens: Sequence[Token]) -> str:
    """Columns, aligned by characters, with a line below the head."""
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append("".join(span.text for span in _inline(token.children or (), ())))
    widths = [max(map(len, column)) for column in itertools.zip_longest(*rows, fillvalue="")]
    lines = [" │ ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([lines[0], "─┼─".join("─" * width for width in widths), *lines[1:]])
