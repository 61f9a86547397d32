"""Pages as text, and answers as they are spoken."""

import pytest

from swapper.telegram.agent.html import charset, readable
from swapper.telegram.agent.speech import seconds, spoken
from swapper.telegram.agent.thinking import Thoughts
from tests.lab import media


def test_a_page_is_what_is_to_be_read_of_it() -> None:
    page = """<!doctype html><html><head><title> News &amp;
      more </title><style>p{}</style><script>if (a < b) alert("</p>")</script></head><body>
      <nav><ul><li>Home</li></ul></nav><h1>Snow</h1><p>It   snows<br>in <b>Oslo</b> &eacute;.</p>
      <ul><li>one<li>two</ul><table><tr><td>a</td><td>b</td></tr></table><img src=x alt="a cat"><img src=y>
      <noscript>no</noscript><template><p>hidden</p></template><form><input><button>Go</button></form></body></html>"""
    title, text = readable(page)
    assert title == "News & more"
    assert text == "# Snow\n\nIt snows\nin Oslo é.\n\n- one\n- two\n\n| a | b\n\n[picture: a cat]"


@pytest.mark.parametrize(
    "page", ["<p>a", "</p></script>a", "<svg><p>b</svg>a", "<nav><ul></nav>a", "<svg><title>b</title></svg>a"]
)
def test_a_broken_page_is_read_as_far_as_it_goes(page: str) -> None:
    assert readable(page)[1] == "a"


@pytest.mark.parametrize(("kind", "head", "name"), [
    ("text/html; charset=ISO-8859-1", b"<meta charset=utf-8>", "ISO-8859-1"),
    ("text/html", b"<html><META http-equiv=x content='text/html; charset=koi8-r'>", "koi8-r"),
    ("text/html", b"\xef\xbb\xbf<p>", "utf-8-sig"), ("text/html; charset=no-such", b"", "utf-8"), ("", b"", "utf-8"),
])  # fmt: skip
def test_how_a_page_is_encoded(kind: str, head: bytes, name: str) -> None:
    assert charset(kind, head) == name


@pytest.mark.parametrize(("markdown", "words"), [
    ("**Hello**, _you_ and `me`!", "Hello, you and me!"),
    ("# Title\n\n- one\n* two\n> said", "Title\none\ntwo\nsaid"),
    ("See [the manual](https://x.example/a?b) or https://y.example/long/path.", "See the manual or y.example"),
    ("Before\n```python\nprint('x')\n```\nafter", "Before\nafter"),
    ("Before\n```\nnever closed", "Before"),
    ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
    ("| a | b |\n|---|---|\n| 1 | 2 |", "a b\n1 2"),
    ("![a cat](cat.png)", "a cat"),
    ("***both*** and ~~gone~~", "both and gone"),
])  # fmt: skip
def test_an_answer_is_read_out_without_its_signs(markdown: str, words: str) -> None:
    assert spoken(markdown) == words


def test_a_long_answer_ends_with_a_sentence() -> None:
    assert spoken("One is 1.5 long. Two. Three is too long", 24) == "One is 1.5 long. Two."
    assert spoken("x" * 30, 10) == "x" * 10


@pytest.mark.parametrize(("answer", "thought", "text"), [
    ("<think>Hm.</think>\n\nYes.\n", "Hm.", "Yes.\n"), (" \n<think>a</b></think>c", "a</b>", "c"),
    ("<thin air>", "", "<thin air>"),
    ("Yes. <think>no</think>", "", "Yes. <think>no</think>"), ("<think>never closed</thi", "never closed</thi", ""),
    ("<th", "", "<th"), ("", "", ""), ("<think></think>", "", ""),
])  # fmt: skip
def test_thoughts_are_told_apart_however_they_are_cut(answer: str, thought: str, text: str) -> None:
    for size in (1, 2, 3, 5, 100):
        thoughts = Thoughts()
        parts = [thoughts.sort(answer[start : start + size]) for start in range(0, len(answer), size)]
        parts.append(thoughts.end())
        assert ("".join(part for part, _ in parts), "".join(part for _, part in parts)) == (thought, text)


def test_how_long_a_recording_is() -> None:
    length = seconds(media.ogg())
    assert length is not None
    assert 0.9 < length < 1.1


@pytest.mark.parametrize("data", [b"", b"OggS", media.wav(), b"OggS" + bytes(40), media.ogg()[:30]])
def test_what_is_no_opus_has_no_length(data: bytes) -> None:
    assert seconds(data) is None
