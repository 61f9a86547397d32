"""Reasoning in the text of an answer, wherever it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapper.telegram.agent.base import Text, Thinking
from swapper.telegram.agent.thoughts import Thoughts


def sort(parts: list[str]) -> tuple[str, str]:
    """What was thought, and what is said."""
    thoughts, events = Thoughts(), list[Text | Thinking]()
    for part in parts:
        events += thoughts.feed(part)
    events += thoughts.end()
    return tuple("".join(event.text for event in events if isinstance(event, kind)) for kind in (Thinking, Text))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("Hello!", "", "Hello!"),
        ("<think>Hmm.</think>\n\nHello!", "Hmm.", "\n\nHello!"),
        ("\n<think>a < b </thin</think>Hello!", "a < b </thin", "Hello!"),
        ("<think>without an end", "without an end", ""),
        ("<th", "", "<th"),
        ("Use <think> and </think>.", "", "Use <think> and </think>."),
        ("<think></think>Hello!", "", "Hello!"),
        ("", "", ""),
    ],
)
def test_however_it_is_cut(text: str, thought: str, said: str) -> None:
    assert sort([text]) == (thought, said)
    assert sort(list(text)) == (thought, said)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "think", "</", ">", "a ", "b"]), max_size=12))
def test_nothing_is_lost_and_cuts_do_not_matter(parts: list[str]) -> None:
    text = "".join(parts)
    if not text.startswith("<think>"):
        assert sort(parts) == ("", text)
    assert sort(parts) == sort([text])
