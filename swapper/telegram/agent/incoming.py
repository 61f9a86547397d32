"""What is sent to port 4000 for the agent, read within limits."""

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any

from aiohttp import web

from swapper.telegram.agent.base import Medium

MOST_BODY = 48 * 1024 * 1024
"""Bytes of a request: four large photos as data URLs."""

_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)(?:;[^,;]*)*;base64,", re.IGNORECASE)
_ENDINGS = {"image/jpeg": "jpg", "audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/mp4": "m4a"}


class BadRequestError(Exception):
    """A request that cannot be understood. The text says why.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def body(request: web.Request) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BadRequestError: It is none, or too large.
    """
    data = bytearray()
    async for block in request.content.iter_any():
        data += block
        if len(data) > MOST_BODY:
            raise BadRequestError(f"The request is larger than {MOST_BODY} bytes.", 413)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The request is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadRequestError("The request is no JSON object.")
    return found


def medium(text: object, kind: str, mime: str, folder: Path, name: str) -> Medium:
    """Put a file where tools find it.

    Args:
        text: A data URL, or base64.
        kind: "audio" or "image".
        mime: Its media type, where the text does not say it.
        folder: Where to.
        name: What it is called, without an ending.

    Raises:
        BadRequestError: It is neither, or of another kind.
        OSError: It cannot be kept.
    """
    if not isinstance(text, str):
        raise BadRequestError(f"{name} has to be a data URL or base64.")
    match = _DATA_URL.match(text)
    if match is None and re.match(r"[a-z][a-z0-9+.-]*:", text[:40], re.IGNORECASE):
        raise BadRequestError(f"{name} has to be a data URL with base64 in it; addresses are not fetched here.")
    if match is not None:
        mime = match[1].lower()
    if not mime.startswith(f"{kind}/") and (kind, mime) != ("audio", "video/mp4"):
        raise BadRequestError(f"{name} is {mime[:60]}, and has to be {kind}.")
    try:
        content = base64.b64decode(text[match.end() :] if match else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(f"{name} is no base64: {error}") from error
    name = f"{name}.{_ENDINGS.get(mime) or mime.partition('/')[2][:8]}"
    path = folder / name
    path.write_bytes(content)
    return Medium(kind, mime, name, path)
