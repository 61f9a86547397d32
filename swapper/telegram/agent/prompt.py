"""A conversation as the messages of a chat completion.

What stood in a message before stands there again, byte for byte, so that an engine finds its beginning in its cache.
Neighbours of one role are one message: many templates insist on turns. (OpenAI's API reference, "Create chat
completion": `image_url` with a data URL.)
"""

import base64
from collections.abc import Callable, Mapping, Sequence

from swapper.telegram.agent.base import Turn
from swapper.telegram.agent.marks import RULE, data
from swapper.telegram.agent.shelf import Item, Shelf

MOST_PICTURES = 4
"""Pictures that a model is shown at once, the last ones of the conversation: an album, and the usual `images: 4`."""

MOST_DOCUMENT = 60_000
"""Characters of documents that a model is shown, the last one first."""

BYTES_A_TOKEN = 2.5
"""Of UTF-8, rather too few: what does not fit is an error of the engine's."""

PART_FOR_ANSWER = 0.3
"""Of the context, which is left to tools and the answer."""

_TOOLS = (
    "Media of this conversation have ids, such as i1 in [image i1: photo.jpg]; tools take the ids. Use a tool only "
    "where it is needed for the answer, call tools that do not depend on each other at once, and then answer."
)

type Part = dict[str, object]
type Message = dict[str, object]
type Read = Callable[[Item], bytes | None]


def system(prompt: str, *, tools: bool) -> str:
    """The first message."""
    return "\n\n".join(filter(None, [prompt, RULE, _TOOLS if tools else ""]))


def shown(shelf: Shelf, *, sees: bool) -> frozenset[str]:
    """Ids of the pictures that go along."""
    return frozenset(shelf.ids("image")[-MOST_PICTURES:] if sees else ())


def compose(
    turns: Sequence[Turn], shelf: Shelf, first: int, rules: str, pictures: frozenset[str], read: Read
) -> list[Message]:
    """The messages. Reads files: for a thread.

    Args:
        turns: The conversation, with what is noted of its media.
        shelf: Has the media of `turns`.
        first: The number of the turn to begin with.
        rules: The system's message.
        pictures: Ids of the pictures that go along.
        read: Gives a file's content; None where it is gone.
    """
    texts = _documents(shelf, read)
    found: list[Message] = [{"role": "system", "content": rules}]
    for number, turn in enumerate(turns[first:], first):
        items = shelf.of(number)
        text = "\n".join(filter(None, [turn.text, *(texts.get(item.id, item.label) for item in items)])) or "…"
        pieces = [part for item in items if item.id in pictures and (part := _picture(item, read)) is not None]
        _append(found, turn.role, [_text(text), *pieces])
    return [_flat(message) for message in found]


def beginning(turns: Sequence[Turn], context: int | None) -> int:
    """The number of the first turn for which there is room: one of the user's, and at the latest the last one.

    Args:
        turns: The conversation.
        context: Tokens that the model keeps in mind; None where nobody knows.
    """
    if context is None:
        return 0
    room = context * (1 - PART_FOR_ANSWER) * BYTES_A_TOKEN
    first = len(turns)
    while first > 0 and (room := room - len(turns[first - 1].text.encode()) - 20) >= 0:
        first -= 1
    first = min(first, len(turns) - 1)
    while first < len(turns) - 1 and turns[first].role != "user":
        first += 1
    return first


def _documents(shelf: Shelf, read: Read) -> Mapping[str, str]:
    """Texts of the last documents."""
    room, texts = MOST_DOCUMENT, dict[str, str]()
    for name in reversed(shelf.ids("document")):
        item = shelf.find(name, "document")
        content = read(item) if room > 0 else None
        if content is not None:
            text = content.decode(errors="replace")
            texts[name] = f"{item.label}\n{data(text, item.medium.name, room)}"
            room -= len(text)
    return texts


def _picture(item: Item, read: Read) -> Part | None:
    content = read(item)
    if content is None:
        return None
    return {"type": "image_url", "image_url": {"url": data_url(item.medium.mime, content)}}


def data_url(mime: str, content: bytes) -> str:
    """A file as a URL (RFC 2397)."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _append(found: list[Message], role: str, parts: list[Part]) -> None:
    before = found[-1]["content"]
    if found[-1]["role"] == role and isinstance(before, list):
        before += parts
    else:
        found.append({"role": role, "content": parts})


def _flat(message: Message) -> Message:
    """Texts alone as one text: not every engine takes parts where there are no pictures."""
    parts = message["content"]
    if not isinstance(parts, list) or any(part["type"] != "text" for part in parts):
        return message
    return {**message, "content": "\n\n".join(part["text"] for part in parts)}
