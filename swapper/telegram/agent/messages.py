"""Turns as the messages of a chat completion: text and files as content parts.

"Create chat completion" in OpenAI's API reference: `text`, `image_url` with a data URL, `input_audio` with base64. Of
what was sent earlier only text is repeated: the model has answered it, and pictures would fill its context again.
"""

import base64
from collections.abc import Sequence

from swapper.telegram.agent.base import Medium, Request, Turn

MOST_TEXT = 60_000
"""Characters of a document that a model is shown; the rest is left out, and it is told so."""

_FORMATS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/flac": "flac"}

type Part = dict[str, object]


def messages(request: Request) -> list[dict[str, object]]:
    """What the model is sent. Reads files: for a thread.

    Raises:
        OSError: A file of the last turn is not there any more.
    """
    *earlier, last = request.turns
    system: list[dict[str, object]] = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, *map(_earlier, earlier), {"role": last.role, "content": _content(last)}]


def _earlier(turn: Turn) -> dict[str, object]:
    names = "".join(f"\n[{medium.kind}: {medium.name}]" for medium in turn.media)
    return {"role": turn.role, "content": f"{turn.text}{names}".strip() or "…"}


def _content(turn: Turn) -> str | list[Part]:
    documents = [_document(medium) for medium in turn.media if medium.kind == "document"]
    text = "\n\n".join(filter(None, [turn.text, *documents]))
    parts = [_part(medium) for medium in turn.media if medium.kind != "document"]
    return [*_texts([text]), *parts] if parts else text


def _texts(texts: Sequence[str]) -> list[Part]:
    return [{"type": "text", "text": text} for text in texts if text]


def _part(medium: Medium) -> Part:
    data = base64.b64encode(medium.path.read_bytes()).decode()
    if medium.kind == "image":
        return {"type": "image_url", "image_url": {"url": f"data:{medium.mime};base64,{data}"}}
    return {"type": "input_audio", "input_audio": {"data": data, "format": _FORMATS.get(medium.mime, "ogg")}}


def _document(medium: Medium) -> str:
    text = medium.path.read_text(errors="replace")
    rest = f"\n[{len(text) - MOST_TEXT} more characters are left out]" if len(text) > MOST_TEXT else ""
    return f"The document {medium.name}:\n<document>\n{text[:MOST_TEXT]}\n</document>{rest}"
