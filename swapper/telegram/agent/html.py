"""What a web page says, as text: what is to be read, its headings, lists and links, without what only looks good.

HTML Standard, 4 and 15.3: which elements are never shown, and which begin a line.
"""

import re
from html.parser import HTMLParser

_HIDDEN = frozenset({
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas", "select", "button", "nav",
    "head", "form", "audio", "video",
})  # fmt: skip
_LINES = frozenset({
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer",
    "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "tr", "ul",
})  # fmt: skip
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}


class _Reader(HTMLParser):
    """Collects text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.parts: list[str] = []
        self._hidden: list[str] = []
        self._titled = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and not self.title and self._hidden in ([], ["head"]):
            self._titled = True
        elif self._hidden or tag in _HIDDEN:
            if tag in _HIDDEN:
                self._hidden.append(tag)
        elif tag in _HEADINGS:
            self.parts.append(f"\n\n{_HEADINGS[tag]} ")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in {"td", "th"}:
            self.parts.append(" | ")
        elif tag == "img":
            alt = dict(attrs).get("alt")
            self.parts.append(f"[picture: {alt}]" if alt else "")
        elif tag in _LINES:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._titled = False
        elif tag in self._hidden:
            # What is not closed in between is closed with it.
            while self._hidden.pop() != tag:
                pass
        elif not self._hidden and (tag in _LINES or tag in _HEADINGS):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._titled:
            self.title += data
        elif not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))


def readable(page: str) -> tuple[str, str]:
    """The title and the text of a page, however broken it is."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[ \t]+", " ", "".join(reader.parts)))
    return " ".join(reader.title.split()), re.sub(r"\n{3,}", "\n\n", text).strip()


def charset(content_type: str, head: bytes) -> str:
    """How a page is encoded: what the server says, a byte order mark, what the page says of itself, else UTF-8."""
    said = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", content_type, re.IGNORECASE)
    if said is None and head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if said is None:
        said = re.search(r"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]+)", head[:2048].decode("latin-1"), re.IGNORECASE)
    name = said[1] if said else "utf-8"
    try:
        "".encode(name)
    except LookupError:
        return "utf-8"
    return name
