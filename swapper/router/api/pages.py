"""The dashboard's files (`swapper/ui`), from memory: read once, each with its ETag, and packed for whoever unpacks.

What a page may do is said by `POLICY` (W3C, "Content Security Policy Level 3"): its own scripts and styles, its own
port, and media that it made itself; nothing from elsewhere, nothing inline, no frame, no form, no other base. And no
text that came from outside becomes markup: `require-trusted-types-for` has the browser refuse that.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parents[2] / "ui"
INDEX = "index.html"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Mapping[str, str] = {
    # Asked for again each time, and answered by 304: an upgrade must not leave a page with half of the old scripts.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the dashboard.

    Attributes:
        content: As it is.
        packed: By gzip (RFC 1952).
        kind: Its media type.
        tag: Changes when the content does.
    """

    content: bytes
    packed: bytes
    kind: str
    tag: str

    def answer(self, request: web.Request) -> web.StreamResponse:
        """What whoever asks for it gets."""
        packs = "gzip" in request.headers.get("Accept-Encoding", "")
        tag = f"{self.tag}-gzip" if packs else self.tag
        response = web.Response(status=200, headers=HEADERS)
        response.etag = tag
        if any(each.value in {tag, "*"} for each in request.if_none_match or ()):
            response.set_status(304)
            return response
        response.content_type, response.charset = self.kind, "utf-8"
        if packs:
            response.headers["Content-Encoding"] = "gzip"
        response.body = self.packed if packs else self.content
        return response


class Pages:
    """All of them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read them.

        Args:
            folder: Where they are.
        """
        self._files = dict(_read(folder))

    def find(self, name: str) -> File | None:
        """The file of this name."""
        return self._files.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that there are."""
        return tuple(self._files)


def _read(folder: Path) -> Iterator[tuple[str, File]]:
    for path in sorted(folder.iterdir()):
        if kind := _TYPES.get(path.suffix):
            content = path.read_bytes()
            packed = gzip.compress(content, mtime=0)
            yield path.name, File(content, packed, kind, hashlib.sha256(content).hexdigest()[:16])
