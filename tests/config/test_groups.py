"""Groups in the configuration: models that are never together, and models that always are."""

from pathlib import Path

import pytest

from swapper.config import Group, Location, Rule
from swapper.config.__main__ import main
from swapper.core.model import Demand, Gpu, Policy
from tests.config.conftest import Load, Mistakes

MODELS = """
gpus: {0: {policy: pack}}
models:
  coder: {engine: llama, model: coder, gpu_memory: 60%, aliases: [code]}
  ears: {engine: llama, model: ears, gpu_memory: 40%}
  eyes: {engine: llama, model: eyes, gpu_memory: 10%}
  far: {engine: llama, model: far, gpu: 1}
  near: {engine: llama, model: near, gpu: 1}
  cpu: {engine: llama, model: cpu, gpu: []}
"""


def test_groups_name_models_by_any_of_their_names(load_text: Load) -> None:
    config = load_text(MODELS + """\
groups:
  heavy: {never_together: [code, far, coder]}
  talk:
    always_together:
      - ears
      - eyes
""")
    heavy, talk = config.groups
    assert heavy == Group("heavy", Rule.NEVER, ("coder", "far"), Location(heavy.where.file, 11))
    assert (talk.name, talk.rule, talk.models, talk.where.line) == ("talk", Rule.ALWAYS, ("ears", "eyes"), 12)
    eyes = config.resolve("eyes")
    assert eyes is not None
    assert config.of(eyes) == (talk,)


def test_never_together_is_a_place_that_only_one_may_have(load_text: Load) -> None:
    config = load_text(MODELS + """\
groups:
  heavy: {never_together: [coder, cpu]}
  talk: {always_together: [ears, eyes]}
  licence: {never_together: [cpu, far, ears]}
""")
    specs = {model.name: config.spec(model) for model in config.models}
    assert specs["coder"].demands == (Demand(0, 600_000), Demand(-1))
    assert specs["cpu"].demands == (Demand(-1), Demand(-2))
    assert specs["near"].demands == (Demand(1),)
    assert [spec.together for spec in specs.values()] == ["", "talk", "talk", "", "", ""]
    assert config.budgets == (
        Gpu(0, Policy.PACK), Gpu(1), Gpu(-1, group="heavy"), Gpu(-2, group="licence"),
    )  # fmt: skip
    coder = config.models[0]
    assert config.demands(coder, (3,)) == (Demand(3, 600_000), Demand(-1)), "an administrator's pin changes no group"


def test_a_check_counts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "swapper.yaml"
    path.write_text(MODELS + "groups: {heavy: {never_together: [far, cpu]}}\n")
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == "6 models in 1 groups on 2 GPUs, no mistakes\n"


def test_the_last_file_has_the_say_of_a_group(load_text: Load) -> None:
    config = load_text(MODELS + "groups: {heavy: {never_together: [far, cpu]}}\n",
                       "groups: {heavy: {always_together: [far, cpu]}}\n")  # fmt: skip
    assert [(group.rule, group.models) for group in config.groups] == [(Rule.ALWAYS, ("far", "cpu"))]
    assert load_text(MODELS).groups == ()


def test_mistakes(mistakes: Mistakes) -> None:
    assert mistakes(MODELS + """\
groups:
  a: {never_together: [cpder, far]}
  b: {never_together: [far]}
  c: {always_together: [code, coder]}
  d: {}
  e: {never_together: [far, cpu], always_together: [far, cpu]}
  f: [far, cpu]
  g: {newer_together: [far, cpu]}
  h: {always_together: {far: cpu}}
  -i: {never_together: [far, cpu]}
""") == [
        "0.yaml:11: group 'a': there is no model 'cpder' (did you mean 'coder'?)",
        "0.yaml:12: group 'b' has fewer than two models (such as heavy: {never_together: [devstral, qwen-coder]})",
        "0.yaml:13: group 'c' has fewer than two models (such as heavy: {never_together: [devstral, qwen-coder]})",
        "0.yaml:14: group 'd' says nothing (such as heavy: {never_together: [devstral, qwen-coder]})",
        "0.yaml:15: group 'e' says both 'never_together' and 'always_together' (make two groups of it)",
        "0.yaml:16: group 'f' wants 'key: value' lines, not a list",
        "0.yaml:17: group 'g' has no 'newer_together' (did you mean 'never_together'?)",
        "0.yaml:18: group 'h' wants a list, not 'key: value' lines",
        "0.yaml:19: a group's name cannot be '-i' (no comma, no '-' or blank at its beginning, no blank at its end)",
    ]  # fmt: skip


def test_who_is_always_together_can_be_together(mistakes: Mistakes) -> None:
    hint = "(with 'policy: pack' and 'gpu_memory' as many fit as add up to 100 %: see 'gpus: {{{}: …}}')".format
    merge = "(by group 'b' in 0.yaml:12: make one group of the two)"
    assert mistakes(MODELS + """\
groups:
  a: {always_together: [coder, ears, eyes]}
  b: {always_together: [far, near]}
  c: {never_together: [cpu, far]}
  d: {always_together: [cpu, far]}
""") == [
        f"0.yaml:11: group 'a': coder, ears, eyes do not fit on GPU 0 together {hint(0)}",
        f"0.yaml:12: group 'b': far, near do not fit on GPU 1 together {hint(1)}",
        f"0.yaml:14: group 'd': 'far' is always together with others already {merge}",
        "0.yaml:14: group 'd': far, cpu are never together (says group 'c' in 0.yaml:13)",
    ]  # fmt: skip


def test_a_profile_has_whole_companies_and_nobody_twice_in_a_group_that_is_never_together(
    load_text: Load, mistakes: Mistakes
) -> None:
    groups = "groups: {talk: {always_together: [eyes, ears]}, heavy: {never_together: [far, cpu]}}\n"
    config = load_text(MODELS + groups + "profiles: {day: [ears, far]}\n")
    assert config.profiles[0].models == ("ears", "eyes", "far")
    assert mistakes(MODELS + groups + "profiles: {day: [far, cpu]}\n") == [
        "0.yaml:11: profile 'day': far, cpu are never together (says group 'heavy' in 0.yaml:10)"
    ]
