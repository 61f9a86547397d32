"""What Telegram sends, and what it means."""

from typing import Any

import pytest

from swapper.telegram.incoming import Me, Message, Moving, Press, together, understand
from swapper.telegram.places import Lane
from tests.lab.bot_chats import BOT, Chats

ME = Me(int(str(BOT["id"])), str(BOT["username"]))
GROUP = -100


@pytest.fixture
def chats() -> Chats:
    return Chats()


def last(chats: Chats) -> Message | Press | Moving | None:
    return understand(chats.updates[-1], ME)


def message(chats: Chats) -> Message:
    found = last(chats)
    assert isinstance(found, Message)
    return found


def test_a_text_in_a_private_chat(chats: Chats) -> None:
    chats.text(42, "Hello! 😀")
    assert message(chats) == Message(Lane(42), 42, "Ada", 11, "Hello! 😀")


@pytest.mark.parametrize(
    ("text", "command", "rest"),
    [
        ("/new", "new", ""),
        ("/System be kind", "system", "be kind"),
        ("/model@swapper_test_bot alpha", "model", "alpha"),
        ("/model@another_bot alpha", "", "/model@another_bot alpha"),
        ("what does /new do", "", "what does /new do"),
    ],
)
def test_commands(chats: Chats, text: str, command: str, rest: str) -> None:
    chats.text(42, text)
    found = message(chats)
    assert (found.command, found.text) == (command, rest)


def test_in_a_group_only_who_speaks_to_the_bot_is_heard(chats: Chats) -> None:
    spoken = {}
    texts = ("Hello!", "@swapper_test_bot Hello!", "hey @Swapper_Test_Bot 😀", "@another_bot Hello!", "/new")
    for text in (*texts, "/new@swapper_test_bot"):
        chats.text(GROUP, text, sender=5)
        spoken[text] = message(chats).addressed
    assert list(spoken.values()) == [False, True, True, False, False, True]


def test_a_mention_is_no_part_of_what_is_said(chats: Chats) -> None:
    chats.text(GROUP, "😀 hey @swapper_test_bot what is this?", sender=5)
    assert message(chats).text == "😀 hey  what is this?"


def test_a_reply_to_the_bot_is_meant_for_it(chats: Chats) -> None:
    own = {"message_id": 3, "from": BOT, "text": "…", "chat": {"id": GROUP}}
    chats.text(GROUP, "and then?", sender=5, reply_to=own)
    assert message(chats).addressed


def test_a_reply_to_somebody_else_is_not(chats: Chats) -> None:
    other = {"message_id": 3, "from": {"id": 6}, "text": "…", "chat": {"id": GROUP}}
    chats.text(GROUP, "and then?", sender=5, reply_to=other)
    assert not message(chats).addressed


def test_a_topic_that_the_bot_opened_is_no_reply_to_it(chats: Chats) -> None:
    opening = {"message_id": 3, "from": BOT, "chat": {"id": GROUP}, "forum_topic_created": {"name": "Topic"}}
    chats.text(GROUP, "Hello!", sender=5, topic=3, reply_to=opening)
    assert not message(chats).addressed


def test_topics_are_lanes_and_threads_of_replies_are_not(chats: Chats) -> None:
    chats.text(GROUP, "@swapper_test_bot Hello!", sender=5, topic=3)
    assert message(chats).lane == Lane(GROUP, 3)
    chats.say(GROUP, {"text": "Hello!", "message_thread_id": 9}, sender=5)
    assert message(chats).lane == Lane(GROUP)


def test_a_picture_that_somebody_asks_about(chats: Chats) -> None:
    picture = chats.file(GROUP, "photo", b"", sender=6)
    chats.text(GROUP, "@swapper_test_bot what is this?", sender=5, reply_to=picture)
    found = message(chats)
    assert [attachment.kind for attachment in found.attachments] == ["image"]
    assert found.sender == 5


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("voice", {"mime_type": "audio/ogg"}, ("audio", "audio/ogg", "voice.ogg")),
        ("audio", {"mime_type": "audio/flac", "file_name": "song.flac"}, ("audio", "audio/flac", "song.flac")),
        ("video_note", {}, ("audio", "video/mp4", "note.mp4")),
        ("photo", {}, ("image", "image/jpeg", "photo.jpg")),
        ("document", {"mime_type": "application/pdf", "file_name": "a.pdf"}, ("document", "application/pdf", "a.pdf")),
        ("document", {"mime_type": "image/png", "file_name": "a.png"}, ("image", "image/png", "a.png")),
    ],
)
def test_files(chats: Chats, kind: str, more: dict[str, Any], expected: tuple[str, str, str]) -> None:
    chats.file(42, kind, b"12345", caption="Look", **more)
    found = message(chats)
    (attachment,) = found.attachments
    assert (attachment.kind, attachment.mime, attachment.name) == expected
    assert (attachment.file, attachment.size, found.text) == ("F1", 5, "Look")


def test_what_nothing_can_be_done_with_is_named(chats: Chats) -> None:
    chats.say(42, {"sticker": {"file_id": "x"}})
    assert message(chats).strange == "sticker"


def test_what_is_no_message_of_anybody_means_nothing(chats: Chats) -> None:
    chats.say(42, {"pinned_message": {}})
    assert last(chats) is None
    chats.push({"edited_message": {}})
    assert last(chats) is None


def test_an_album_is_one_message(chats: Chats) -> None:
    parts = []
    for caption in ("", "@swapper_test_bot compare", ""):
        chats.file(GROUP, "photo", b"", caption=caption, album="A", sender=5)
        parts.append(message(chats))
    assert [part.addressed for part in parts] == [False, True, False]
    whole = together(parts)
    assert (whole.text, len(whole.attachments), whole.addressed) == ("compare", 3, True)


def test_a_button(chats: Chats) -> None:
    chats.push({
        "callback_query": {
            "id": "Q", "from": {"id": 5}, "data": "model:1", "message": {"message_id": 3, "chat": {"id": 42}},
        }
    })  # fmt: skip
    assert last(chats) == Press(Lane(42), 5, "Q", "model:1", 3)


