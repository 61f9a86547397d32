"""What people send along: fetched into the lane's folder, and made readable where that is needed.

A file keeps Telegram's own name for it, so that one that was fetched before an interruption is not fetched again.
"""

import asyncio
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from swapper.telegram.agent.base import Medium
from swapper.telegram.api import MOST_FILE, Api, Flooded, NotSent, Refused, Unsure
from swapper.telegram.incoming import Attachment

MOST_TEXT = 2 << 20
"""Bytes of a text."""

PDF_SECONDS = 60.0
"""For reading a PDF."""

ATTEMPTS = 4

_TEXTS = re.compile(r"text/.*|application/(json|xml|yaml|x-yaml|toml|javascript|x-sh|x-python|sql)")
_BIG = "is larger than the 20 MB that bots are given"
_PDF = "application/pdf"
_LOG = logging.getLogger(__name__)


class Unreadable(Exception):  # noqa: N818 - of a file rather than of the program
    """A file cannot be used; the text says why, for the chat."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Fetches files."""

    api: Api

    async def medium(self, attachment: Attachment, folder: Path) -> Medium:
        """Fetch a file.

        Args:
            attachment: As Telegram told of it.
            folder: Where to.

        Raises:
            Unreadable: It is too large, not there any more, or of a kind that nobody can read.
        """
        if attachment.size > MOST_FILE:
            raise Unreadable(f"{attachment.name} {_BIG}.")
        path = folder / re.sub(r"[^A-Za-z0-9_-]", "_", attachment.unique)
        if not path.exists():
            await self._fetch(attachment, path)
        if attachment.kind == "document":
            return await _document(attachment, path)
        if attachment.kind == "image" and (mime := await asyncio.to_thread(_picture, path)) is not None:
            return Medium("image", mime, attachment.name, path)
        if attachment.kind == "image":
            raise Unreadable(f"{attachment.name} is no picture that can be read: JPEG, PNG, WebP or GIF can.")
        return Medium(attachment.kind, attachment.mime, attachment.name, path)

    async def _fetch(self, attachment: Attachment, path: Path) -> None:
        part = path.with_suffix(".part")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self.api.fetch(attachment.file, part)
            except Refused as refused:
                _LOG.warning("a file cannot be fetched: %s", refused)
                why = _BIG if "too big" in str(refused) else "is not to be had from Telegram any more"
                raise Unreadable(f"{attachment.name} {why}.") from refused
            except (NotSent, Unsure, Flooded) as trouble:
                _LOG.warning("a file was not fetched, attempt %d: %s", attempt, trouble)
                if attempt == ATTEMPTS:
                    raise Unreadable(f"{attachment.name} could not be fetched. Send it again.") from trouble
                await asyncio.sleep(2.0**attempt)
            else:
                part.rename(path)
                return


def _picture(path: Path) -> str | None:
    """What kind of picture it is, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "image/gif" if head.startswith((b"GIF87a", b"GIF89a")) else None


async def _document(attachment: Attachment, path: Path) -> Medium:
    """A document as text."""
    data = await asyncio.to_thread(path.read_bytes)
    if attachment.mime == _PDF or data.startswith(b"%PDF-"):
        text = path.with_suffix(".txt")
        if not text.exists():
            await _pdf(attachment, path, text)
        return Medium("document", "text/plain", attachment.name, text)
    if len(data) > MOST_TEXT:
        raise Unreadable(f"{attachment.name} is too long: texts of up to 2 MB can be read.")
    try:
        data.decode()
    except UnicodeDecodeError:
        known = _TEXTS.fullmatch(attachment.mime)
        why = "is not written in UTF-8" if known else "is no text"
        raise Unreadable(f"{attachment.name} {why}: texts, PDF files, pictures and sound can be read.") from None
    if b"\0" in data:
        raise Unreadable(f"{attachment.name} is no text: texts, PDF files, pictures and sound can be read.")
    return Medium("document", attachment.mime or "text/plain", attachment.name, path)


async def _pdf(attachment: Attachment, path: Path, text: Path) -> None:
    """The text of a PDF, by pdftotext(1)."""
    program = shutil.which("pdftotext")
    if program is None:
        raise Unreadable(f"{attachment.name} is a PDF, and this server has no program that reads it (poppler-utils).")
    words = (program, "-layout", "-enc", "UTF-8", str(path), str(part := text.with_suffix(".part")))
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(PDF_SECONDS):
            _, complaint = await process.communicate()
    except TimeoutError:
        raise Unreadable(f"{attachment.name} takes too long to read.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not part.exists():
        _LOG.warning("pdftotext ended with %s: %s", process.returncode, complaint.decode(errors="replace").strip())
        raise Unreadable(f"{attachment.name} is damaged or locked: nothing could be read from it.")
    if not part.read_text(errors="replace").strip():
        part.unlink()
        raise Unreadable(f"{attachment.name} has no text in it, only pictures. Send its pages as photos.")
    part.rename(text)


async def collect(
    collector: Collector, attachments: tuple[Attachment, ...], folder: Path
) -> tuple[tuple[Medium, ...], tuple[str, ...]]:
    """Fetch several files at once: what can be used, and what is to be said of the others."""
    outcomes = await asyncio.gather(
        *(collector.medium(attachment, folder) for attachment in attachments), return_exceptions=True
    )
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Unreadable):
            raise outcome
    media = tuple(outcome for outcome in outcomes if isinstance(outcome, Medium))
    return media, tuple(str(outcome) for outcome in outcomes if isinstance(outcome, Unreadable))


