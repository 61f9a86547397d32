"""Markdown becomes messages that Telegram takes, whatever the Markdown is."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from swapper.telegram.text import LIMIT, Attached, Piece, compose, render, thought, units
from tests.lab.bot_html import parse


def html(markdown: str) -> str:
    """The one message that a text becomes."""
    (piece,) = compose(render(markdown))
    assert isinstance(piece, Piece)
    return piece.html


def pieces(markdown: str, limit: int = LIMIT) -> list[Piece]:
    return [piece for piece in compose(render(markdown), limit) if isinstance(piece, Piece)]


def test_formatting() -> None:
    assert html("**bold _both_** ~~gone~~") == "<b>bold <i>both</i></b> <s>gone</s>"


def test_what_html_means_by_itself_is_text() -> None:
    assert html("a < b & <b>c</b>") == "a &lt; b &amp; &lt;b&gt;c&lt;/b&gt;"


def test_code_has_no_other_formatting() -> None:
    assert html("**bold `code <x>`**") == "<b>bold </b><code>code &lt;x&gt;</code>"


def test_a_code_block_says_its_language() -> None:
    assert html("```python\nx < y\n```") == '<pre><code class="language-python">x &lt; y</code></pre>'


def test_a_code_block_that_is_not_closed_yet() -> None:
    assert html("```\nx = 1") == "<pre>x = 1</pre>"


def test_neighbouring_code_blocks_stay_two() -> None:
    assert html("```\na\n```\n```\nb\n```") == "<pre>a</pre>\n\n<pre>b</pre>"


def test_headings_are_bold() -> None:
    assert html("# A *title*\n\ntext") == "<b>A <i>title</i></b>\n\ntext"


def test_lists() -> None:
    assert html("- one\n- two\n    1. first\n    2. second\n- three") == (
        "• one\n• two\n    1. first\n    2. second\n• three"
    )


def test_two_lists_and_paragraphs_are_apart() -> None:
    assert html("a\n\n- b\n- c\n\n1. d\n2. e\n\nf") == "a\n\n• b\n• c\n\n1. d\n2. e\n\nf"


def test_quotations_do_not_nest_and_do_not_melt_together() -> None:
    assert html("> a\n>\n> > b\n\n> c") == "<blockquote>a\n\nb</blockquote>\n\n<blockquote>c</blockquote>"


def test_links_that_telegram_knows() -> None:
    assert html("[here](https://x.y/?a=1&b=2)") == '<a href="https://x.y/?a=1&amp;b=2">here</a>'


def test_other_links_are_text() -> None:
    assert html("[here](ftp://x.y) [there](file)") == "here there"


def test_a_table_is_aligned() -> None:
    assert html("| a | bb |\n|---|---|\n| **1** | 2 |") == "<pre>a │ bb\n──┼───\n1 │ 2</pre>"


def test_reasoning_is_folded_and_only_its_end_is_shown() -> None:
    (piece,) = compose(thought("a" * 3000 + "end"))
    assert isinstance(piece, Piece)
    assert piece.html.startswith("<blockquote expandable>…a")
    assert piece.plain.endswith("end")
    assert units(piece.plain) <= 1501


def test_nothing_is_no_message() -> None:
    assert compose(render(" \n\n")) == ()


def test_a_long_text_is_cut_between_paragraphs() -> None:
    found = pieces("\n\n".join(f"paragraph {number} " + "x" * 900 for number in range(8)))
    assert [piece.plain.split()[1] for piece in found] == ["0", "4"]
    assert all(units(piece.plain) <= LIMIT for piece in found)


def test_a_paragraph_that_is_too_long_is_cut_between_words() -> None:
    words = [f"word{number}" for number in range(2000)]
    found = pieces(" ".join(words))
    assert " ".join(piece.plain.strip() for piece in found).split() == words


def test_formatting_goes_on_in_the_next_message() -> None:
    found = pieces("**" + "word " * 30 + "end**", limit=100)
    assert len(found) == 2
    assert all(parse(piece.html).entities == (("bold", piece.plain),) for piece in found)


def test_a_code_block_is_never_cut() -> None:
    code = "\n".join(f"line {number}" for number in range(200))
    found = pieces(f"{'x ' * 1500}\n\n```\n{code}\n```\n\nend")
    assert [f"<pre>{code}</pre>" in piece.html for piece in found] == [False, True]


def test_code_that_is_too_long_is_a_file() -> None:
    code = "x = 1\n" * 1000
    found = compose(render(f"See:\n\n```python\n{code}```\n\nDone."))
    text = "See:\n\n📎 code-1.py\n\nDone."
    assert found == (Piece(text, text), Attached("code-1.py", code[:-1]))


def test_length_counts_as_telegram_counts() -> None:
    assert units("a😀") == 3
    assert all(units(piece.plain) <= LIMIT for piece in pieces("😀" * 5000))
    assert sum(piece.plain.count("😀") for piece in pieces("😀" * 5000)) == 5000


MARKDOWN = st.lists(
    st.sampled_from([
        "**", "*", "_", "`", "```", "```py\n", "~~", "[", "](", "](https://a.b)", ")", "> ", "- ", "1. ", "# ",
        "| a | b |\n", "|---|---|\n", "\n", "\n\n", "    ", "<b>", "&amp;", "&", "<", "😀", "word ", "\\", "![x](y)",
        "---\n", "\t", "\r\n",
    ]),
    max_size=60,
).map("".join)  # fmt: skip


@given(MARKDOWN, st.integers(40, 200))
def test_whatever_it_is_telegram_takes_it(markdown: str, limit: int) -> None:
    for piece in compose((*thought(markdown), *render(markdown)), limit):
        if isinstance(piece, Piece):
            assert parse(piece.html).text == piece.plain
            assert 0 < units(piece.plain) <= limit
            assert piece.plain.strip()


WORD = st.sampled_from(
    ["word", "naïve", "שלום", "مرحبا", "日本語", "😀", "👩‍👩‍👧", "a<b", "&amp;", "x&y", "</pre>",
     "<script>", "C#", "50%", "“so”"]
)  # fmt: skip
WORDS = st.lists(WORD, min_size=1, max_size=12).map(" ".join)
URL = st.sampled_from(
    ["https://x.y/?a=1&b=%22", "tg://user?id=1", "javascript:alert(1)", "http://ä.de/<x>", "mailto:a@b.c", "",
     "#here", "//x"]
)  # fmt: skip
INLINE = st.recursive(
    st.one_of(WORDS, WORDS.map("~~{}~~".format)),
    lambda inner: st.one_of(
        inner.map("**{}**".format), inner.map("_{}_".format), inner.map("***{}***".format),
        st.tuples(inner, URL).map(lambda pair: f"[{pair[0]}](<{pair[1]}>)"),
        st.tuples(inner, inner).map(" ".join),
    ),
    max_leaves=6,
)  # fmt: skip
CODE = st.lists(WORDS, max_size=30).map("\n".join)
LANGUAGE = st.sampled_from(["", "python", "c++", 'x"y', "a b", "<b>", "ё"])


def table(rows: list[str]) -> str:
    return "\n".join(["| a | b |", "|---|---|", *(f"| {row} | 1 |" for row in rows)])


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


def listed(text: str) -> str:
    return "- " + text.replace("\n", "\n  ")


BLOCKS = st.lists(
    st.recursive(
        st.one_of(
            INLINE,
            INLINE.map("## {}".format),
            st.tuples(LANGUAGE, CODE).map(lambda pair: f"~~~~{pair[0]}\n{pair[1]}\n~~~~"),
            st.lists(WORDS, max_size=5).map(table),
            st.integers(10, 400).map(lambda count: " ".join(["long"] * count)),
        ),
        lambda inner: st.one_of(inner.map(quoted), inner.map(listed)),
        max_leaves=4,
    ),
    max_size=6,
).map("\n\n".join)


def bare(text: str) -> str:
    """The letters and digits of a text, in their order: what formatting is made of is none."""
    return "".join(character for character in text if character.isalpha() or character.isdigit())


@settings(max_examples=200, deadline=None)
@given(BLOCKS, st.sampled_from([60, 200, 1000, LIMIT]))
def test_what_models_write_comes_whole_in_messages_that_telegram_takes(markdown: str, limit: int) -> None:
    found = compose(render(markdown), limit)
    for piece in found:
        if isinstance(piece, Piece):
            assert parse(piece.html).text == piece.plain
            assert 0 < units(piece.plain) <= limit
    plain = "".join(piece.plain for piece in found if isinstance(piece, Piece))
    files = [piece for piece in found if isinstance(piece, Attached)]
    assert all(units(file.text) > limit and f"📎 {file.name}" in plain for file in files), "only what is too long"
    whole = plain
    for file in files:
        whole = whole.replace(f"📎 {file.name}", file.text, 1)
    assert bare(whole) == bare("".join(block.text for block in render(markdown))), "nothing is lost on the way"
    for word in set(re.findall(r"word|naïve|שלום|日本語|long|script|C#|50%", markdown)):
        assert word in whole, "what the model said is there"


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_characters(text: str) -> None:
    for piece in compose(render(text)):
        if isinstance(piece, Piece):
            assert parse(piece.html).text == piece.plain
