"""Pictures, sound and documents, as people send them."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.job import house
from tests.job.house import run, sentence, show
from tests.lab import media
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats
from tests.media.sight import EAR, EYE, write_models
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, BOB, GROUP

SEEING = f"{rig.MODELS}  eye: {EYE}\n  ear: {EAR}\n"

THINKS = "THINK"
"""A word in the question at which the tiny model thinks first: so one sees that it was shown it."""


@pytest.fixture(scope="module", autouse=True)
def _seeing() -> Iterator[None]:
    write_models()
    house.configure(SEEING)
    yield
    house.configure(rig.MODELS)


def choose(chats: Chats, model: str, chat: int = ADA) -> None:
    chats.text(chat, f"/model@swapper_test_bot {model}")
    chats.answered(chat, f"{model} answers from now on")


def pdf(text: str, pages: int = 1) -> bytes:
    """A document whose pages each say this."""
    content = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode()
    return pdf_of(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content), pages)


def pdf_of(page: bytes, pages: int = 1) -> bytes:
    """A document with this stream as each of its pages (ISO 32000-1, 7.5)."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b"3 0 R " * pages, pages),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources 6 0 R >>",
        page,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%b%b" % (len(objects) + 1, table, tail)


def test_a_picture_with_a_question(chats: Chats) -> None:
    choose(chats, "eye")
    chats.file(ADA, "photo", media.png(), caption="What is this?")
    assert chats.answered(ADA, "speaking").text == sentence("eye")


def test_an_album_is_one_question(telegram: BotApi, chats: Chats) -> None:
    choose(chats, "eye")
    with chats.at_once():
        for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
            chats.file(ADA, "photo", media.png(colour=colour), caption="Compare" if colour[0] else "", album="A")
    chats.answered(ADA, "speaking")
    chats.text(ADA, "/status")
    assert "Remembered: 2 messages" in chats.answered(ADA, "Remembered").text
    assert [method for method, _ in telegram.calls].count("getfile") == 3


def test_of_a_large_album_four_pictures_are_looked_at(telegram: BotApi, chats: Chats) -> None:
    choose(chats, "eye")
    with chats.at_once():
        for number in range(6):
            chats.file(ADA, "photo", media.png(colour=(number, 0, 0)), album="A")
    answer = chats.answered(ADA, "speaking")
    assert answer.text == f"⚠️ I look at the first 4 of these 6 only.\n\n{sentence('eye')}"
    assert [method for method, _ in telegram.calls].count("getfile") == 4


def test_a_picture_in_a_group_that_somebody_asks_about(chats: Chats) -> None:
    choose(chats, "eye", GROUP)
    picture = chats.file(GROUP, "photo", media.png(), sender=7)
    asking = chats.text(GROUP, "@swapper_test_bot what is this?", sender=8, reply_to=picture)
    answer = chats.answered(GROUP, "speaking")
    assert (answer.text, answer.reply_to) == (sentence("eye"), asking["message_id"])


def test_sound_is_heard(chats: Chats) -> None:
    choose(chats, "ear")
    chats.file(ADA, "audio", media.wav(), mime_type="audio/wav", file_name="voice.wav")
    assert chats.answered(ADA, "speaking").text == sentence("ear")


def test_a_model_that_does_not_see_is_told_what_another_one_sees(chats: Chats) -> None:
    def starts() -> int:
        return house.journal("llama@eye").count("Started")

    choose(chats, "alpha")
    before = starts()
    chats.file(ADA, "photo", media.png(), caption="What is this?")
    assert chats.answered(ADA, "speaking").text == sentence("alpha")
    assert starts() == before + 1


def test_what_no_model_can_do_is_told_in_plain_words(chats: Chats) -> None:
    house.configure(rig.MODELS)
    try:
        choose(chats, "alpha")
        chats.file(ADA, "photo", media.png(), caption="What is this?")
        assert chats.answered(ADA, "⚠️").text.startswith("⚠️ No model here can see pictures.")
    finally:
        house.configure(SEEING)


def test_a_text_is_read(chats: Chats) -> None:
    chats.file(ADA, "document", f"Please {THINKS}.".encode(), file_name="note.txt", mime_type="text/plain")
    answer = chats.answered(ADA, sentence("alpha"))
    assert answer.formatted("blockquote"), "the model saw what stands in it"


def test_a_pdf_is_read(chats: Chats) -> None:
    chats.file(ADA, "document", pdf(THINKS), file_name="a.pdf", mime_type="application/pdf", caption="Read this")
    answer = chats.answered(ADA, sentence("alpha"))
    assert answer.formatted("blockquote")


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_text_in_another_encoding_is_read(chats: Chats, encoding: str) -> None:
    chats.file(ADA, "document", f"„Grüße“, please {THINKS}.".encode(encoding), file_name="note.txt")
    answer = chats.answered(ADA, sentence("alpha"))
    assert answer.formatted("blockquote")
    assert "⚠️" not in answer.text


def test_a_long_text_is_cut_and_that_is_said(chats: Chats) -> None:
    chats.file(ADA, "document", b"word " * 100_000, file_name="book.txt")
    answer = chats.answered(ADA, "book.txt is long", count=1)
    assert answer.text.startswith("⚠️ book.txt is long: I read the first 60,000 characters, 12 % of it.")


def stream(content: bytes) -> bytes:
    """A compressed stream of a PDF."""
    packed = zlib.compress(content, 9)
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed)


def test_a_long_pdf_is_cut_and_that_is_said(chats: Chats) -> None:
    lines = " ".join(f"({number} {'word ' * 60}) Tj T*" for number in range(3000))
    book = pdf(f") Tj /F1 0.2 Tf 0.2 TL T* {lines} (", pages=2)
    chats.file(ADA, "document", book, file_name="book.pdf")
    assert chats.answered(ADA, "book.pdf is long").text.startswith(
        "⚠️ book.pdf is long: I read the first 60,000 characters."
    )


def test_a_pdf_that_wants_more_than_there_is_harms_nobody(chats: Chats) -> None:
    process = show(rig.SERVICE, "MainPID")
    # Each of these saves the state of the page: some ten GB, from 64 kB.
    bomb = pdf_of(stream(b"q " * (1 << 25)))
    chats.file(ADA, "document", bomb, file_name="bomb.pdf")
    chats.text(BOB, "Hello!")
    chats.answered(BOB, sentence("alpha"))
    told = chats.answered(ADA, "⚠️").text
    assert told.startswith(("⚠️ bomb.pdf takes too long", "⚠️ bomb.pdf is damaged, or too much"))
    assert show(rig.SERVICE, "MainPID") == process


def test_a_pdf_that_is_locked(chats: Chats) -> None:
    key = b"/Filter /Standard /V 1 /R 2 /P -4 /O <%b> /U <%b>" % (b"6b" * 32, b"75" * 32)
    locked = pdf(THINKS).replace(b"/Root 1 0 R", b"/Root 1 0 R /ID [<01> <01>] /Encrypt << %b >>" % key)
    chats.file(ADA, "document", locked, file_name="a.pdf")
    assert chats.answered(ADA, "⚠️").text == "⚠️ a.pdf is locked with a password. Send it without one."


def test_a_voice_message_with_a_caption(chats: Chats) -> None:
    chats.file(ADA, "voice", media.ogg(), caption=f"Please {THINKS}.", mime_type="audio/ogg")
    answer = chats.answered(ADA, sentence("alpha"))
    assert answer.formatted("blockquote"), "the caption is part of the question"
    chats.text(ADA, "/status")
    assert "Remembered: 3 messages" in chats.answered(ADA, "Remembered").text, "and so is what is said"


def test_the_sound_of_a_video_note_is_heard(chats: Chats, tmp_path: Path) -> None:
    note = tmp_path / "note.mp4"
    sources = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=10", "-f", "lavfi", "-i", "sine=frequency=440")
    run("ffmpeg", "-nostdin", "-v", "error", *sources, "-t", "1", "-c:a", "aac", str(note))
    starts = house.journal("llama@ear").count("Started")
    chats.file(ADA, "video_note", note.read_bytes(), length=64)
    assert chats.answered(ADA, sentence("alpha")).text == sentence("alpha")
    assert house.journal("llama@ear").count("Started") == starts + 1
    silent = tmp_path / "silent.mp4"
    run("ffmpeg", "-nostdin", "-v", "error", *sources[:4], "-t", "1", str(silent))
    chats.file(ADA, "video_note", silent.read_bytes(), length=64)
    assert chats.answered(ADA, "⚠️").text.startswith("⚠️ note.mp4 is no recording that can be read")


@pytest.mark.parametrize(
    ("name", "data", "more", "words"),
    [
        ("big.bin", b"x", {"size": 21 << 20}, "is larger than the 20 MB"),
        ("program", b"\x7fELF\0\xff", {}, "is no text"),
        ("broken.pdf", b"%PDF-1.4 nothing", {"mime_type": "application/pdf"}, "is damaged, or too much"),
        ("empty.pdf", pdf(""), {"mime_type": "application/pdf"}, "has no text in it"),
        ("broken.png", b"nothing", {"mime_type": "image/png"}, "is no picture that can be read"),
    ],
)
def test_files_that_cannot_be_used(chats: Chats, name: str, data: bytes, more: dict[str, Any], words: str) -> None:
    chats.file(ADA, "document", data, file_name=name, **more)
    assert chats.answered(ADA, "⚠️").text.startswith(f"⚠️ {name} {words}")
    assert len(chats.all(ADA)) == 1


def test_a_file_that_telegram_does_not_hand_out(telegram: BotApi) -> None:
    rig.start()
    chats = telegram.chats
    with chats.at_once():
        chats.file(ADA, "document", b"text", file_name="note.txt", caption="Hello!")
        del chats.files["F1"]
    answer = chats.answered(ADA, "speaking")
    assert "note.txt is not to be had from Telegram any more." in answer.text


def test_what_is_neither(chats: Chats) -> None:
    chats.say(ADA, {"sticker": {"file_id": "x", "file_unique_id": "x"}})
    assert chats.answered(ADA, "sticker").text == (
        "A sticker is nothing that I know. Send text, voice, photos or documents."
    )
