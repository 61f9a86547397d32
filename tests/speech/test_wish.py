"""What is asked, field by field, and the command lines that come of it."""

import json

import pytest

from swapper.speech.formats import FORMATS
from swapper.speech.refusal import STATUSES, Refusal
from swapper.speech.sound import encoder, speaker
from swapper.speech.voices import OPENAI, Voices
from swapper.speech.wish import MOST_CHARACTERS, Wish, read_wish

VOICES = Voices(frozenset({"de", "en-us"}), frozenset(OPENAI.values()), "en-us")


def wish(**fields: object) -> Wish:
    return read_wish(json.dumps({"input": "Hello!", **fields}).encode(), VOICES)


def refusal(body: bytes) -> Refusal:
    with pytest.raises(Refusal) as refused:
        read_wish(body, VOICES)
    return refused.value


def test_nothing_but_a_text() -> None:
    assert wish() == Wish(b"Hello!", "en-us+f4", FORMATS["mp3"], 1.0)


def test_everything() -> None:
    ignored = {"model": "any", "instructions": "Cheerful!", "stream_format": "audio"}
    asked = wish(voice="de", response_format="opus", speed=2, **ignored)
    assert asked == Wish(b"Hello!", "de", FORMATS["opus"], 2.0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": None}, "input"),
        ({"input": ["Hello!"]}, "input"),
        ({"input": "x" * (MOST_CHARACTERS + 1)}, "input"),
        ({"voice": {"id": "voice_1"}}, "voice"),
        ({"voice": "nobody"}, "voice"),
        ({"response_format": "ogg"}, "response_format"),
        ({"response_format": ["opus"]}, "response_format"),
        ({"speed": 0.24}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"speed": True}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"stream_format": []}, "stream_format"),
    ],
)
def test_a_field_that_is_wrong(fields: dict[str, object], param: str) -> None:
    refused = refusal(json.dumps({"input": "Hello!", **fields}).encode())
    assert (refused.status, refused.param) == (400, param)
    assert json.loads(refused.body)["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'"x"', b"[" * 100_000, b"\xff"])
def test_what_is_no_object(body: bytes) -> None:
    assert refusal(body).code == "invalid_json"


def test_the_longest_text_is_taken_whole() -> None:
    text = "\U0001f600" * MOST_CHARACTERS
    assert wish(input=text).text == text.encode()
    assert len(wish(input=text).text) <= 64 * 1024, "more than a pipe takes at once"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a\x01b", "a b"),  # Ctrl-A begins a command
        ("a\x00b", "a b"),
        ("a\nb\tc", "a\nb\tc"),
        ("[[h@loU]]", "[ [h@loU]]"),
        ("[[[[", "[ [ [ ["),
        ("<speak>a</speak>", "<speak>a</speak>"),
        ("--help; $(id)", "--help; $(id)"),
        ("\ud800", "?"),
    ],
)
def test_a_text_is_read_and_never_obeyed(text: str, read: str) -> None:
    assert wish(input=text).text.decode() == read


@pytest.mark.parametrize(
    ("speed", "rate", "stretch"),
    [(1, "175", None), (2, "350", None), (4, "700", None), (0.5, "88", None), (0.4, "80", "0.875"),
     (0.25, "80", "0.547")],
)
def test_speed(speed: float, rate: str, stretch: str | None) -> None:
    asked = wish(speed=speed)
    command = speaker("espeak-ng", asked)
    assert command == ("espeak-ng", "-v", "en-us+f4", "-s", rate, "-b", "1", "--stdin", "--stdout")
    filters = [word for word in encoder(asked) if word.startswith("atempo=")]
    assert filters == ([] if stretch is None else [f"atempo={stretch}"])


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_one_channel_from_pipe_to_pipe(name: str) -> None:
    command = encoder(wish(response_format=name))
    assert command[0] == "ffmpeg"
    assert command[-1] == "pipe:1"
    assert command[command.index("-i") + 1] == "pipe:0"
    assert command[command.index("-ac") + 1] == "1"


def test_what_has_its_length_at_its_beginning_is_written_to_a_file() -> None:
    assert [name for name, form in FORMATS.items() if form.whole] == ["flac"]
    assert encoder(wish(response_format="flac"), 7)[-3:] == ("-fd", "7", "fd:")


def test_opus_is_what_messengers_take() -> None:
    words = FORMATS["opus"].encoder
    assert [words[words.index(option) + 1] for option in ("-ar", "-c:a", "-f")] == ["48000", "libopus", "ogg"]


def test_every_code_has_a_status_of_an_error() -> None:
    assert all(400 <= status < 600 for status in STATUSES.values())
