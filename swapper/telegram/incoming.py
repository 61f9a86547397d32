"""An update as Telegram sends it → what it means here. Pure; "Update" and "Message" in the Bot API's manual.

In a group the bot is spoken to by a mention or a reply, and by nothing else: not by a command without its name, which
may be meant for another bot.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from swapper.telegram.places import Lane

ALLOWED_UPDATES = ("message", "callback_query")
"""All that is asked of Telegram."""

type Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Me:
    """The bot."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that can be fetched.

    Attributes:
        kind: "audio", "image" or "document", as the agent has it.
        file: `file_id`.
        unique: `file_unique_id`: the same whenever the same file is sent.
        mime: As the sender said; empty if not.
        name: Likewise.
        size: Bytes; 0 if not told.
    """

    kind: str
    file: str
    unique: str
    mime: str = ""
    name: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """Something that was said.

    Attributes:
        lane: Where.
        sender: Whose number; the chat's where there is no person, as with anonymous administrators.
        name: How the sender is called.
        number: The message's, for replies.
        text: Without the command and the mention.
        command: Such as `new`, without the slash; empty if it is none.
        attachments: Files.
        strange: A kind of content that nothing can be done with, such as `sticker`.
        album: `media_group_id`, or empty.
        addressed: Whether the bot is spoken to.
    """

    lane: Lane
    sender: int
    name: str
    number: int
    text: str = ""
    command: str = ""
    attachments: tuple[Attachment, ...] = ()
    strange: str = ""
    album: str = ""
    addressed: bool = True


@dataclass(frozen=True, slots=True)
class Press:
    """A button was pressed.

    Attributes:
        lane: Where.
        sender: Whose number.
        query: What Telegram wants an answer to.
        data: What the button was made with.
        message: Which message it is part of.
    """

    lane: Lane
    sender: int
    query: str
    data: str
    message: int


@dataclass(frozen=True, slots=True)
class Moving:
    """A group has become another chat.

    Attributes:
        old: Its number until now.
        new: Its number from now on.
    """

    old: int
    new: int


_SOUNDS = (
    ("voice", "audio/ogg", "voice.ogg"),
    ("audio", "audio/mpeg", "audio.mp3"),
    ("video_note", "video/mp4", "note.mp4"),
)
_STRANGE = ("video", "animation", "sticker", "location", "contact", "poll", "dice", "venue", "story", "paid_media")


def understand(update: Json, me: Me) -> Message | Press | Moving | None:
    """What an update means; None where it means nothing here."""
    if isinstance(message := update.get("message"), Mapping):
        return _moving(message) or _message(message, me)
    query = update.get("callback_query")
    if isinstance(query, Mapping) and "message" in query and "data" in query:
        below = query["message"]
        return Press(lane(below), query["from"]["id"], query["id"], query["data"], below["message_id"])
    return None


def together(messages: Sequence[Message]) -> Message:
    """An album as one message: its captions, and all that is in it; spoken to where one of them speaks to the bot."""
    first = next((message for message in messages if message.addressed), messages[0])
    return replace(
        first,
        text="\n".join(filter(None, (message.text for message in messages))),
        attachments=tuple(attachment for message in messages for attachment in message.attachments),
        strange=next((message.strange for message in messages if message.strange), ""),
        addressed=any(message.addressed for message in messages),
    )


def lane(message: Json) -> Lane:
    """Where a message stands. A thread of replies in a group without topics has a number as well, and is no topic."""
    topic = message.get("message_thread_id", 0) if message.get("is_topic_message") else 0
    return Lane(message["chat"]["id"], topic)


def _moving(message: Json) -> Moving | None:
    """What both chats tell when a group becomes a supergroup."""
    chat = message["chat"]["id"]
    old, new = message.get("migrate_from_chat_id", chat), message.get("migrate_to_chat_id", chat)
    return None if old == new else Moving(int(old), int(new))


def _message(message: Json, me: Me) -> Message | None:
    where, sender = lane(message), message.get("from") or message["chat"]
    attachments = tuple(_attachments(message))
    strange = next((kind for kind in _STRANGE if kind in message), "")
    text = message.get("text") or message.get("caption") or ""
    entities = message.get("entities") or message.get("caption_entities") or ()
    if not (text or attachments or strange):
        return None  # somebody joined, a message was pinned, and the like
    text, command, mentioned = _spoken(text, entities, me, private=where.private)
    reply = _reply(message)
    answered = reply.get("from", {}).get("id") == me.id
    addressed = where.private or mentioned or answered
    if addressed and not attachments and not answered and not command:
        attachments = tuple(_attachments(reply))  # "@bot what is this?" below somebody's picture
    return Message(
        lane=where,
        sender=sender["id"],
        name=sender.get("first_name") or sender.get("title") or "",
        number=message["message_id"],
        text=text,
        command=command,
        attachments=attachments,
        strange="" if attachments else strange,
        album=message.get("media_group_id", ""),
        addressed=addressed,
    )


def _reply(message: Json) -> Json:
    """What a message replies to. In a topic each one formally replies to the service message that opened it."""
    reply = message.get("reply_to_message") or {}
    return {} if "forum_topic_created" in reply else reply


def _spoken(text: str, entities: Iterable[Json], me: Me, *, private: bool) -> tuple[str, str, bool]:
    """Text without command and mentions, the command, and whether the bot was named. Offsets are UTF-16 units."""
    units, command, mentioned = text.encode("utf-16-le"), "", False
    for entity in sorted(entities, key=lambda entity: -entity["offset"]):
        span = slice(2 * entity["offset"], 2 * (entity["offset"] + entity["length"]))
        word = units[span].decode("utf-16-le", errors="replace")
        if entity["type"] == "bot_command" and entity["offset"] == 0:
            name, _, whom = word[1:].partition("@")
            named = whom.lower() == me.username.lower()
            if named or (private and not whom):
                command, mentioned, units = name.lower(), mentioned or named, units[: span.start] + units[span.stop :]
        elif _names(entity, word, me):
            mentioned, units = True, units[: span.start] + units[span.stop :]
    return units.decode("utf-16-le", errors="replace").strip(), command, mentioned


def _names(entity: Json, word: str, me: Me) -> bool:
    if entity["type"] == "mention":
        return word.lower() == f"@{me.username.lower()}"
    return bool(entity["type"] == "text_mention" and entity["user"]["id"] == me.id)


def _attachments(message: Json) -> Iterable[Attachment]:
    for key, mime, name in _SOUNDS:
        if key in message:
            yield _attachment(message[key], "audio", mime, name)
    if photos := message.get("photo"):
        largest = max(photos, key=lambda photo: photo["width"] * photo["height"])
        yield _attachment(largest, "image", "image/jpeg", "photo.jpg")
    if "document" in message and "animation" not in message:
        mime = message["document"].get("mime_type", "")
        kind = mime.partition("/")[0]
        yield _attachment(message["document"], kind if kind in {"audio", "image"} else "document", mime)


def _attachment(file: Json, kind: str, mime: str, name: str = "") -> Attachment:
    return Attachment(
        kind=kind,
        file=file["file_id"],
        unique=file["file_unique_id"],
        mime=file.get("mime_type", mime),
        name=file.get("file_name", name) or "file",
        size=file.get("file_size", 0),
    )
