"""What people send along: fetched into the lane's folder, and made readable where that is needed.

A file keeps Telegram's own name for it, so that one that was fetched before an interruption is not fetched again.
"""

import asyncio
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from swapper.telegram import documents
from swapper.telegram.agent.base import Medium
from swapper.telegram.api import MOST_FILE, Api, Flooded, NotSent, Refused, Unsure
from swapper.telegram.documents import Unreadable
from swapper.telegram.incoming import Attachment

ATTEMPTS = 4

_BIG = "is larger than the 20 MB that bots are given"
_LOG = logging.getLogger(__name__)


type Usable = tuple[Medium, str]
"""A file, and what is to be said of it; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Fetches files."""

    api: Api

    async def medium(self, attachment: Attachment, folder: Path, room: int) -> Usable:
        """Fetch a file.

        Args:
            attachment: As Telegram told of it.
            folder: Where to.
            room: Most characters of a document.

        Raises:
            Unreadable: It is too large, not there any more, or of a kind that nobody can read.
        """
        if attachment.size > MOST_FILE:
            raise Unreadable(f"{attachment.name} {_BIG}.")
        path = folder / re.sub(r"[^A-Za-z0-9_-]", "_", attachment.unique)
        if not path.exists():
            await self._fetch(attachment, path)
        if attachment.kind == "document":
            text, note = await documents.read(path, attachment.name, attachment.mime, room)
            return Medium("document", "text/plain", attachment.name, text), note
        if attachment.kind == "image" and (mime := await asyncio.to_thread(_picture, path)) is not None:
            return Medium("image", mime, attachment.name, path), ""
        if attachment.kind == "image":
            raise Unreadable(f"{attachment.name} is no picture that can be read: JPEG, PNG, WebP or GIF can.")
        return Medium(attachment.kind, attachment.mime, attachment.name, path), ""

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


async def collect(
    collector: Collector, attachments: tuple[Attachment, ...], folder: Path, room: int
) -> tuple[tuple[Medium, ...], tuple[str, ...]]:
    """Fetch several files at once: what can be used, and what is to be said of these and of the others.

    Args:
        collector: Fetches them.
        attachments: As Telegram told of them.
        folder: Where to.
        room: Most characters of all documents together.
    """
    each = room // max(1, sum(attachment.kind == "document" for attachment in attachments))
    outcomes = await asyncio.gather(
        *(collector.medium(attachment, folder, each) for attachment in attachments), return_exceptions=True
    )
    media, notes = [], []
    for outcome in outcomes:
        if isinstance(outcome, Unreadable):
            notes.append(str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            media.append(outcome[0])
            notes.append(outcome[1])
    return tuple(media), tuple(filter(None, notes))
