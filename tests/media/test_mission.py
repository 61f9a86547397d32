"""The mission's own calls, word for word: a voice and a picture by https, and a text. With the stand-in for vLLM."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import configure, sentence, state
from tests.media.mission import HEAR, SEE, WRITE, example_com, say
from tests.media.web import PUBLIC
from tests.vllm.rig import ASR, MISSION, SAID, SEEN, VL, standin

CONFIG = MISSION.replace("devstral:", "glm-47-flash:").replace("devstral.gguf", "glm-47-flash.gguf")


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    house.write_gguf("glm-47-flash")
    with standin():
        house.reset()
        configure(CONFIG)
        yield
        house.reset()


def answer(call: str) -> str:
    """What the model said."""
    content: str = json.loads(say(call))["choices"][0]["message"]["content"]
    return content


def error(call: str) -> dict[str, str]:
    """What went wrong."""
    found: dict[str, str] = json.loads(say(call))["error"]
    return found


def test_the_three_calls(tmp_path: Path) -> None:
    with example_com(PUBLIC, tmp_path) as web:
        assert answer(HEAR) == f"language English<asr_text>{SAID}"
        assert answer(SEE) == SEEN
        assert answer(WRITE) == sentence("glm-47-flash")
    assert web.asked == ["/audio.wav", "/image.png"]
    assert (state(ASR), state(VL), state("glm-47-flash")) == ("stopped", "stopped", "ready")


@pytest.mark.parametrize(("named", "trusted"), [("example.com", False), ("other.example.com", True)])
def test_a_host_that_is_not_who_it_says_is_not_asked(tmp_path: Path, named: str, trusted: bool) -> None:
    with example_com(PUBLIC, tmp_path, named=named, trusted=trusted) as web:
        told = error(SEE)
        assert told["code"] == "media_unreachable"
        assert "certificate" in told["message"]
        assert web.asked == []


def test_a_private_host_is_asked_only_where_it_is_allowed(tmp_path: Path) -> None:
    with example_com("10.20.30.40", tmp_path) as web:
        assert error(SEE)["code"] == "media_refused"
        assert web.connections == []
        configure("media: {allow: [example.com]}\n" + CONFIG)
        assert answer(SEE) == SEEN
        configure(CONFIG)
