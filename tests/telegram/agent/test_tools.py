"""Which tools there are, and what they take of a model's words: without any model."""

from collections.abc import AsyncGenerator

from swapper.client import Comment, Delta, Heard
from swapper.telegram.agent.tools import TOOLS
from swapper.telegram.agent.tools.base import MOST_TEXT, gather


def test_there_are_these_tools_and_no_other() -> None:
    assert {tool.name: list(tool.parameters["properties"]) for tool in TOOLS} == {  # type: ignore[call-overload]
        "transcribe_audio": ["id"], "describe_image": ["id", "question"], "read_text_in_image": ["id"],
        "speak": ["text"], "fetch_page": ["url"], "models_status": [],
    }  # fmt: skip
    assert all(tool.parameters["additionalProperties"] is False for tool in TOOLS)


async def saying(*heard: Heard) -> AsyncGenerator[Heard]:
    """What a model says, part by part."""
    for one in heard:
        yield one


async def test_what_a_model_thought_while_it_looked_is_no_part_of_what_it_saw() -> None:
    lines: list[str] = []
    stream = saying(Comment("it loads"), Delta("<thi"), Delta("nk>Hm.</think>\n\nA "), Delta("cat.", thought="Hm"))
    assert await gather(stream, "looking", lines.append) == "A cat."
    assert lines == ["looking: it loads"]


async def test_what_comes_to_no_end_is_cut_off() -> None:
    async def endless() -> AsyncGenerator[Heard]:
        while True:
            yield Delta("x" * 1000)

    lines: list[str] = []
    assert len(await gather(endless(), "looking", lines.append)) == MOST_TEXT + 1000
