"""Which media types engines can be given, and how a file tells its own."""

import re

_TYPE = re.compile(r"(?:image|audio|video)/[a-z0-9][a-z0-9.+-]{0,60}|application/ogg")
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)


def is_media(kind: str) -> bool:
    """Whether this, in lower case and without parameters, is an image, audio or video."""
    return _TYPE.fullmatch(kind) is not None


def says_nothing(kind: str) -> bool:
    """Whether a server says this of files that it does not know."""
    return kind in _UNSAID


def sniff(data: bytes) -> str:
    """The media type that the first bytes of a file tell; empty when they tell none."""
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return "audio/mp4" if data[8:11] == b"M4A" else "video/mp4"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")
