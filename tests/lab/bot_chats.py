"""Stands in for the people behind Telegram's servers: what they say becomes updates, what the bot says is kept."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

BOT = {"id": 7000, "is_bot": True, "first_name": "Swapper", "username": "swapper_test_bot"}
PATIENCE = 180.0
"""Seconds after which what is waited for has not come. A PDF has a minute, and of a long answer a group gets a message
in four."""

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the bot, as a person sees it.

    Attributes:
        number: The message's.
        chat: Where.
        topic: Likewise; 0 without.
        text: Without formatting; of a file, its caption.
        entities: Kind and text of what is formatted.
        reply_to: The message that it answers; 0: none.
        buttons: What stands on each, and its data.
        kind: "text", "document" or "voice".
        data: Of a file.
        name: Of a file.
        edits: How often it was changed.
    """

    number: int
    chat: int
    topic: int = 0
    text: str = ""
    entities: tuple[tuple[str, str], ...] = ()
    reply_to: int = 0
    buttons: tuple[tuple[str, str], ...] = ()
    kind: str = "text"
    data: bytes = b""
    name: str = ""
    edits: int = 0

    def formatted(self, kind: str) -> list[str]:
        """The texts of all entities of a kind."""
        return [text for entity, text in self.entities if entity == kind]


@dataclass
class Chats:
    """All chats. May be used from any thread; `changed` is told of every change."""

    said: dict[int, Said] = field(default_factory=dict)
    drafts: list[tuple[int, str]] = field(default_factory=list)
    """Chat and text of each, in their order."""
    shown: list[tuple[int, str]] = field(default_factory=list)
    """Every text that any message of the bot ever had: number and text."""
    actions: list[tuple[int, str]] = field(default_factory=list)
    presses: dict[str, str] = field(default_factory=dict)
    """What was said to who pressed a button, by query."""
    updates: list[Json] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Of files that are told to be larger than they are."""
    blocked: set[int] = field(default_factory=set)
    moved: dict[int, int] = field(default_factory=dict)
    """Groups that have become others."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    _updates: Iterator[int] = field(default_factory=lambda: itertools.count(501))
    _messages: Iterator[int] = field(default_factory=lambda: itertools.count(11))
    _files: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _queries: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # ---- the bot's side ----------------------------------------------------------------------------------------------

    def number(self) -> int:
        """A number for a message."""
        return next(self._messages)

    def put(self, said: Said) -> Said:
        """The bot says something, or changes it."""
        with self.changed:
            self.said[said.number] = said
            self.shown.append((said.number, said.text))
            self.changed.notify_all()
        return said

    # ---- people ------------------------------------------------------------------------------------------------------

    def text(self, chat: int, text: str, *, sender: int = 0, topic: int = 0, reply_to: Json | None = None) -> Json:
        """Somebody says something; the message as Telegram tells of it."""
        content = {"text": text, **_entities("entities", text)}
        return self.say(chat, content, sender=sender, topic=topic, reply_to=reply_to)

    def file(self, chat: int, kind: str, data: bytes, *, caption: str = "", sender: int = 0, **more: Any) -> Json:  # noqa: ANN401
        """Somebody sends a file.

        Args:
            chat: Where.
            kind: "voice", "audio", "video_note", "photo" or "document".
            data: Its bytes.
            caption: What is said with it.
            sender: Who; the chat's own person if not said.
            more: Its fields in the message; `size` is what it is told to have, `album` its group, `reply_to` a message.
        """
        file = f"F{next(self._files)}"
        self.files[file] = data
        size, album, reply_to = more.pop("size", len(data)), more.pop("album", ""), more.pop("reply_to", None)
        self.sizes[file] = size
        about = {"file_id": file, "file_unique_id": f"u{file}", "file_size": size, "duration": 2, **more}
        if kind == "photo":
            small = {**about, "width": 90, "height": 60, "file_id": "missing", "file_unique_id": "missing"}
            content: Json = {"photo": [small, {**about, "width": 900, "height": 600}]}
        else:
            content = {kind: about}
        grouped = {"media_group_id": album} if album else {}
        captioned = {"caption": caption, **_entities("caption_entities", caption)} if caption else {}
        return self.say(chat, {**content, **grouped, **captioned}, sender=sender, reply_to=reply_to)

    def say(
        self, chat: int, content: Json, *, sender: int = 0, topic: int = 0, reply_to: Json | None = None
    ) -> Json:
        """Somebody says anything; `content` as "Message" in the manual has it."""
        person = {"id": sender or abs(chat), "is_bot": False, "first_name": "Ada"}
        where = {"id": chat, "type": "private", "first_name": "Ada"} if chat > 0 else _group(chat, forum=bool(topic))
        thread = {"message_thread_id": topic, "is_topic_message": True} if topic else {}
        reply = {"reply_to_message": reply_to} if reply_to else {}
        about = {"message_id": self.number(), "date": int(time.time()), "from": person, "chat": where}
        message = {**about, **thread, **reply, **content}
        self.push({"message": message})
        return message

    def press(self, said: Said, label: str, *, sender: int = 0) -> str:
        """Somebody presses a button; the query's number."""
        data = next(data for text, data in said.buttons if label in text)
        where = {"id": said.chat, "type": "private"}
        message = {"message_id": said.number, "date": 1, "chat": where, "text": said.text}
        query = f"Q{said.number}-{next(self._queries)}"
        person = {"id": sender or said.chat, "is_bot": False, "first_name": "Ada"}
        about = {"id": query, "from": person, "message": message, "chat_instance": "1", "data": data}
        self.push({"callback_query": about})
        return query

    def move(self, old: int, new: int, *, told: bool = True) -> None:
        """A group becomes a supergroup, which both chats are told ("migrate_to_chat_id" in "Message")."""
        with self.changed:
            self.moved[old] = new
        if told:
            self.say(old, {"migrate_to_chat_id": new})
            self.say(new, {"migrate_from_chat_id": old})

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What is said within is told to the bot in one go, however long it takes to say it."""
        with self.changed:
            yield

    def push(self, update: Json) -> Json:
        """An update; stays until the bot confirms it."""
        with self.changed:
            update = {"update_id": next(self._updates), **update}
            self.updates.append(update)
            self.changed.notify_all()
        return update

    # ---- who looks ---------------------------------------------------------------------------------------------------

    def all(self, chat: int, topic: int = 0) -> list[Said]:
        """What the bot has said in a chat, by the messages' numbers."""
        with self.changed:
            here = [said for said in self.said.values() if said.chat == chat and said.topic == topic]
        return sorted(here, key=lambda said: said.number)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition on what is here is true."""
        with self.changed:
            came = self.changed.wait_for(condition, PATIENCE)
            assert came, f"it never came to be: {what}; there is {self.said}; it was shown {self.drafts}"

    def answered(self, chat: int, text: str, count: int = 1) -> Said:
        """Wait for messages of the bot that contain this text, so many of them; the last."""
        def found() -> list[Said]:
            with self.changed:
                return [said for said in self.said.values() if said.chat == chat and text in said.text]

        self.wait(lambda: len(found()) >= count, f"{text!r} in {chat}")
        return max(found(), key=lambda said: said.number)

    def delete(self, said: Said) -> None:
        """Somebody deletes a message of the bot's."""
        with self.changed:
            del self.said[said.number]

    def as_reply(self, said: Said) -> Json:
        """A message of the bot's, for who replies to it."""
        return {
            "message_id": said.number, "date": 1, "chat": {"id": said.chat, "type": "supergroup"}, "from": BOT,
            "text": said.text,
        }  # fmt: skip


type Pairs = tuple[tuple[str, str], ...]


def changed_text(said: Said, text: str, entities: Pairs, buttons: Pairs) -> Said:
    """A message after it was changed."""
    return replace(said, text=text, entities=entities, buttons=buttons, edits=said.edits + 1)


def _group(chat: int, *, forum: bool) -> Json:
    return {"id": chat, "type": "supergroup", "title": "Group", **({"is_forum": True} if forum else {})}


def _entities(key: str, text: str) -> Json:
    """Commands and mentions as the servers find them."""
    found, offset = [], 0
    for word in text.split(" "):
        length = len(word.encode("utf-16-le")) // 2
        if word.startswith("/") and offset == 0:
            found.append({"type": "bot_command", "offset": 0, "length": length})
        elif word.startswith("@") and len(word) > 1:
            found.append({"type": "mention", "offset": offset, "length": length})
        offset += length + 1
    return {key: found} if found else {}
