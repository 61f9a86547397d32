"""What is to be pulled, as people write it and as the name of a unit."""

import re

import pytest

from swapper.pull import PullError
from swapper.pull.source import Source, of_instance, parse


def test_a_source_is_a_repository_and_what_of_it() -> None:
    assert parse("hf:org/repo") == Source("org", "repo")
    assert parse("hf:unsloth/Qwen3-VL-4B-GGUF:UD-Q4_K_XL") == Source("unsloth", "Qwen3-VL-4B-GGUF", "UD-Q4_K_XL")
    assert parse("hf:org/repo:sub dir/a+b.gguf").what == "sub dir/a+b.gguf"


@pytest.mark.parametrize(
    "text",
    [
        "", "org/repo", "hf:", "hf:org", "hf:org/", "hf:/repo", "hf:org/repo/x", "hf:../repo", "hf:org/..",
        "hf:org/re po", "hf:org/repo:/etc/passwd", "hf:org/repo:../../x", "hf:org/repo:a\nb", "hf:org/repo:--x", "https://org/repo",
        "hf:-org/repo", "hf:org/repo.", "hf:org/" + "r" * 97, "hf:org/repo:" + "-" * 300,
    ],
)  # fmt: skip
def test_what_is_no_source_is_told_with_an_example(text: str) -> None:
    with pytest.raises(PullError) as told:
        parse(text)
    assert told.value.code == "no_such_source"
    assert told.value.hint


@pytest.mark.parametrize("text", ["hf:org/repo", "hf:org/my-repo:Q4_K_M", "hf:org/repo:sub/ä b@41.gguf"])
def test_a_source_fits_into_a_units_name_and_comes_back(text: str) -> None:
    source = parse(text)
    assert re.fullmatch(r"swapper-pull@[A-Za-z0-9:_.@-]+\.service", source.unit)
    assert of_instance(source.instance) == source


def test_names_as_people_see_them() -> None:
    assert parse("hf:org/my-repo:Q4_K_M").unit == "swapper-pull@hf:org@2fmy-repo:Q4_K_M.service"


@pytest.mark.parametrize("instance", ["hf:org@2f..", "hf:org@2frepo:@ff", "x", "hf:org@2frepo:@2fetc"])
def test_a_unit_that_somebody_made_up_leads_nowhere(instance: str) -> None:
    with pytest.raises(PullError):
        of_instance(instance)
