"""The text of profiles' drop-ins, and who has to make room."""

from dataclasses import replace
from pathlib import Path

import pytest

from swapper import generator, profiles
from swapper.config import Config, GpuSettings, Group, Location, Model, Profile, Rule, Share
from swapper.core.model import Policy
from swapper.generator import dropin


def model(name: str, share: int | None = None, gpus: tuple[int, ...] = (0,)) -> Model:
    """A model that takes so many per cent of its GPUs."""
    memory = None if share is None else Share(share * 10_000)
    return Model(name, "llama", Path("/m"), gpus=gpus, gpu_memory=memory, where=Location("/etc/x.yaml", 1))


MODELS = (model("big"), model("a", 50), model("b", 30), model("c", 20), model("d", 20), model("far", 50, (1,)),
          model("both", 50, (0, 1)), model("cpu", gpus=()))  # fmt: skip


def config(policy: Policy = Policy.PACK, **sets: tuple[str, ...]) -> Config:
    found = tuple(Profile(name, models, Location("/etc/x.yaml", 9)) for name, models in sets.items())
    return Config(gpus=(GpuSettings(0, None, policy), GpuSettings(1, None, policy)), models=MODELS, profiles=found)


def test_the_whole_text() -> None:
    head = f"{profiles.HEAD.format(file='/etc/x.yaml')}\n[Unit]\n"
    assert profiles.units(config(day=("b", "a"))) == {
        "swapper-profile@day.target.d/50-swapper.conf": f"""\
{head}Description=Profile day: a, b
Wants=llama@a.service llama@b.service
After=llama@a.service llama@b.service
""",
        "swapper-room@day.target.d/50-swapper.conf": f"""\
{head}Before=llama@a.service llama@b.service
Conflicts=llama@big.service llama@d.service llama@both.service
After=llama@big.service llama@d.service llama@both.service
""",
        "llama@b.service.d/51-swapper-order.conf": f"{head}After=llama@a.service\n",
    }


def leaving(members: str, policy: Policy = Policy.PACK) -> list[str]:
    """Who has to go, by name."""
    given = [one for one in MODELS if one.name in members.split()]
    return [one.name for one in profiles.leaving(config(policy), given)]


@pytest.mark.parametrize(
    ("members", "gone"),
    [
        ("big", ["a", "b", "c", "d", "both"]),
        ("a b c", ["big", "d", "both"]),
        ("a", ["big", "d", "both"]),
        ("both far", ["big", "b", "c", "d"]),
        ("far", []),
        ("cpu", []),
    ],
)
def test_what_stays_on_the_same_gpus_fits_beside_the_profile_and_together(members: str, gone: list[str]) -> None:
    found = leaving(members)
    assert found == gone
    theirs = {gpu for one in MODELS if one.name in members.split() for gpu in one.gpus}
    assert not theirs.intersection(config().crowded([one for one in MODELS if one.name not in found]))


def test_on_exclusive_gpus_everybody_else_goes() -> None:
    assert leaving("a far", Policy.EXCLUSIVE) == ["big", "b", "c", "d", "both"]


def test_who_is_never_together_with_a_member_goes_and_takes_along_who_is_always_with_it() -> None:
    groups = Group("g", Rule.NEVER, ("cpu", "far")), Group("h", Rule.ALWAYS, ("far", "c"))
    there = replace(config(), groups=groups)
    assert [one.name for one in profiles.leaving(there, [MODELS[-1]])] == ["c", "far"]


def test_a_set_that_nothing_gets_in_the_way_of_has_no_conflicts() -> None:
    alone = Config(models=(model("a"),), profiles=(Profile("p", ("a",)),))
    assert "Conflicts" not in profiles.units(alone)["swapper-room@p.target.d/50-swapper.conf"]


def test_models_are_ordered_as_they_are_configured_whatever_profiles_say() -> None:
    units = profiles.units(config(one=("d", "a"), two=("a", "d", "far"), three=("both", "far")))
    ordered = {path.partition("@")[2].partition(".")[0]: text.splitlines()[-1]
               for path, text in units.items() if "order" in path}  # fmt: skip
    assert ordered == {"d": "After=llama@a.service", "both": "After=llama@far.service"}


def test_a_profile_changes_nothing_about_what_a_model_is() -> None:
    without, having = config(), config(p=("a", "b"))
    assert [dropin(one, without) for one in MODELS] == [dropin(one, having) for one in MODELS]
    assert generator.generate(without).items() <= generator.generate(having).items()


def test_percent_signs_in_names_are_no_specifiers() -> None:
    odd = Config(models=(model("50%"),), profiles=(Profile("100%", ("50%",)),))
    text = profiles.units(odd)["swapper-profile@100@25.target.d/50-swapper.conf"]
    assert "Description=Profile 100%%: 50%%" in text
    assert "Wants=llama@50@25.service" in text
