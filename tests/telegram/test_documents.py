"""Texts in whatever they are written in."""

import asyncio
import codecs
from pathlib import Path

import pytest

from swapper.telegram.documents import MOST, Unreadable, decoded, read, room

WORDS = "Grüße, 日本語, 😀\nund mehr"


@pytest.mark.parametrize(
    "data",
    [
        WORDS.encode(),
        codecs.BOM_UTF8 + WORDS.encode(),
        WORDS.encode("utf-16"),
        codecs.BOM_UTF16_BE + WORDS.encode("utf-16-be"),
        WORDS.encode("utf-32"),
    ],
    ids=["UTF-8", "UTF-8 with a mark", "UTF-16", "UTF-16, big end first", "UTF-32"],
)
def test_unicode(data: bytes) -> None:
    assert decoded(data) == WORDS


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_texts_of_old(encoding: str) -> None:
    words = "Größe: 3 µm, «naïve»" + (" … 5 €" if encoding == "cp1252" else "")
    assert decoded(words.encode(encoding)) == words


@pytest.mark.parametrize(
    "data", [b"\x7fELF\0\xff", b"\x1f\x8b\x08\xff\xfe", bytes(range(256)), b"\x89PNG\r\n\x1a\n\xff"]
)
def test_what_is_no_text(data: bytes) -> None:
    assert decoded(data) is None


def test_a_mark_alone_and_half_a_character_do_no_harm() -> None:
    assert decoded(codecs.BOM_UTF16_LE + b"a\0b") == "a\ufffd"
    assert decoded("ä".encode()[:1], whole=False) == ""
    assert decoded(codecs.BOM_UTF8) == ""


def test_room_is_a_part_of_the_context() -> None:
    assert room(None) == MOST
    assert room(4096) == 5120
    assert room(1_000_000) == MOST


def kept(path: Path, most: int = 100) -> tuple[str, str]:
    """What is kept of a file, and what is said of it."""
    text, note = asyncio.run(read(path, "note.txt", "text/plain", most))
    return text.read_text(), note


def test_a_long_text_is_cut_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "u1"
    path.write_bytes(("ä" * 100).encode())
    assert kept(path) == ("ä" * 100, "")
    path.write_bytes(("ä" * 1000).encode())
    assert kept(path) == ("ä" * 100, "note.txt is long: I read the first 100 characters, 10 % of it.")
    path.write_bytes(("ä" * 1000).encode("utf-16"))
    assert kept(path)[1] == "note.txt is long: I read the first 100 characters, 10 % of it."
    path.write_bytes(("ä" * 1000).encode("latin-1"))
    assert kept(path)[0] == "ä" * 100


@pytest.mark.parametrize("data", [b"", b" \n", codecs.BOM_UTF16_LE])
def test_an_empty_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "u1"
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=r"note\.txt is empty"):
        kept(path)
