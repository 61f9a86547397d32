"""Documents as text, whatever they are written in, and no more of it than a model can keep in mind.

A PDF is read by pdftotext(1), in a process of its own that may take so much memory and time and no more: what somebody
made must not take the bot down, and a small file can hold a lot.
"""

import asyncio
import codecs
import contextlib
import logging
import re
import shutil
from pathlib import Path

MOST = 60_000
"""Characters of a document that a model is shown."""

OF_CONTEXT = 1.25
"""Characters for each token of the context: half of it at 2.5 characters a token; the rest is the conversation's."""

PDF_SECONDS = 60
"""Of computing, and by the clock."""

PDF_MEMORY = 1 << 30
"""Bytes of address space: a page of a large scan takes some hundred MB."""

_PDF = "application/pdf"
_BYTES = 4
"""Of a character at most, in each encoding of Unicode."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNWRITTEN = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Control characters that no text has: others end lines and pages, and colour terminals."""

_LOG = logging.getLogger(__name__)


class Unreadable(Exception):  # noqa: N818 - of a file rather than of the program
    """A file cannot be used; the text says why, for the chat."""


def room(context: int | None) -> int:
    """Most characters of a document for a model of this context; None where nobody knows it."""
    return MOST if context is None else min(MOST, int(context * OF_CONTEXT))


async def read(path: Path, name: str, mime: str, most: int) -> tuple[Path, str]:
    """A document as a file of text in UTF-8 beside it, and what is to be said of it; empty: nothing.

    Args:
        path: The document.
        name: As the sender called it.
        mime: As the sender said; is not trusted.
        most: Characters that are kept.

    Raises:
        Unreadable: It is no text.
    """
    with path.open("rb") as file:
        pdf = mime == _PDF or b"%PDF-" in file.read(1024)
    text, note = await _pdf(path, name, most) if pdf else await asyncio.to_thread(_text, path, name, most)
    if not text.strip():
        why = "has no text in it, only pictures. Send its pages as photos" if pdf else "is empty"
        raise Unreadable(f"{name} {why}.")
    target = path.with_suffix(".txt")
    await asyncio.to_thread(target.write_text, text[:most], "utf-8")
    return target, note


def _text(path: Path, name: str, most: int) -> tuple[str, str]:
    size, enough = path.stat().st_size, _BYTES * most + _BYTES
    with path.open("rb") as file:
        data = file.read(enough)
    text = decoded(data, whole=len(data) == size)
    if text is None:
        raise Unreadable(f"{name} is no text: texts, PDF files, pictures and sound can be read.")
    if len(text) <= most:
        return text, ""
    share = 100 * most * len(data) // (len(text) * size)
    return text, f"{_long(name, most)}, {max(1, share)} % of it."


def decoded(data: bytes, *, whole: bool = True) -> str | None:
    """What bytes say, by their mark, else in UTF-8, else in Windows-1252 (of which Latin-1 is a part); None: no text.

    Args:
        data: The bytes.
        whole: Whether these are all; else the last character may be cut.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace").decode(data, whole)
    if b"\0" in data:
        return None
    with contextlib.suppress(UnicodeDecodeError):
        return codecs.getincrementaldecoder("utf-8")().decode(data, whole)
    text = data.decode("cp1252", errors="replace")
    return None if _UNWRITTEN.search(text) else text


def _long(name: str, most: int) -> str:
    return f"{name} is long: I read the first {most:,} characters"


async def _pdf(path: Path, name: str, most: int) -> tuple[str, str]:
    program, limiter = shutil.which("pdftotext"), shutil.which("prlimit")
    if program is None or limiter is None:
        raise Unreadable(f"{name} is a PDF, and this server has no program that reads it (poppler-utils).")
    limits = (f"--as={PDF_MEMORY}", f"--cpu={PDF_SECONDS}", "--core=0")
    process = await asyncio.create_subprocess_exec(
        *(limiter, *limits, program, "-layout", "-enc", "UTF-8", str(path), "-"),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - asked for above
    assert process.stderr is not None  # noqa: S101
    complaining = asyncio.create_task(_drained(process.stderr))
    try:
        async with asyncio.timeout(PDF_SECONDS):
            said = await _beginning(process.stdout, _BYTES * most + _BYTES)
            if len(said) <= _BYTES * most:
                await process.wait()
    except TimeoutError:
        raise Unreadable(f"{name} takes too long to read.") from None
    finally:
        if process.returncode is None:
            process.kill()
        status = await process.wait()
        complaint = await complaining
    text = said.decode(errors="replace")
    if len(text) > most:
        return text, f"{_long(name, most)}."
    if status:
        return _broken(name, text, status, complaint)
    return text, ""


def _broken(name: str, text: str, status: int, complaint: str) -> tuple[str, str]:
    """A PDF at which the program failed: with what it said before, if it said anything."""
    _LOG.warning("pdftotext ended with %s: %s", status, complaint)
    if "password" in complaint.lower():
        raise Unreadable(f"{name} is locked with a password. Send it without one.")
    if not text.strip():
        raise Unreadable(f"{name} is damaged, or too much for this server: nothing could be read from it.")
    return text, f"{name} is damaged, or too much for this server: I read its beginning only."


async def _beginning(stream: asyncio.StreamReader, most: int) -> bytes:
    """What comes out of a program, so much of it."""
    found = bytearray()
    while len(found) < most and (block := await stream.read(1 << 16)):
        found += block
    return bytes(found)


async def _drained(stream: asyncio.StreamReader) -> str:
    """What a program complains of, to its end, of which the beginning is kept: it must not wait for who reads it."""
    kept = b""
    while block := await stream.read(1 << 16):
        kept = kept or block[:2000]
    return kept.decode(errors="replace").strip()
