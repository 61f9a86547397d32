"""Names of models in names of units."""

import re

from hypothesis import given
from hypothesis import strategies as st

from swapper.core.model import instance_name, unit_name


def model_of(instance: str) -> str:
    """The way back: what makes it one-to-one."""
    return re.sub(rb"@(..)", lambda match: bytes.fromhex(match[1].decode()), instance.encode()).decode()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_name_fits_into_a_units_name_and_comes_back(model: str) -> None:
    instance = instance_name(model)
    assert re.fullmatch(r"[A-Za-z0-9:_@-][A-Za-z0-9:_.@-]*", instance)
    assert model_of(instance) == model


def test_names_as_people_write_them() -> None:
    assert unit_name("llama", "glm-47-flash") == "llama@glm-47-flash.service"
    assert unit_name("vllm", "Qwen/Qwen3-VL") == "vllm@Qwen@2fQwen3-VL.service"
    assert unit_name("llama", "llama3:8b") == "llama@llama3:8b.service"
