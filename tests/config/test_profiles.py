"""Profiles in the configuration: names of models, and sets that fit."""

from swapper.config import Profile
from tests.config.conftest import Load, Mistakes

MODELS = """
gpus: {0: {policy: pack}}
models:
  big: {engine: llama, model: big}
  coder: {engine: llama, model: coder, gpu_memory: 60%, aliases: [code]}
  ears: {engine: llama, model: ears, gpu_memory: 40%}
  eyes: {engine: llama, model: eyes, gpu_memory: 10%}
  apart: {engine: llama, model: apart, gpu: [1, 2]}
  near: {engine: llama, model: near, gpu: [2, 3]}
  cpu: {engine: llama, model: cpu, gpu: []}
"""


def test_profiles_name_models_by_any_of_their_names(load_text: Load) -> None:
    config = load_text(MODELS + "profiles:\n  day: [code, ears, coder, apart, cpu]\n  n/t: big\n")
    day, night = config.profiles
    assert (day.name, day.models, day.where.line) == ("day", ("coder", "ears", "apart", "cpu"), 12)
    assert (day.unit, day.room) == ("swapper-profile@day.target", "swapper-room@day.target")
    assert (night.unit, night.models) == ("swapper-profile@n@2ft.target", ("big",))


def test_the_last_file_has_the_say_of_a_profile(load_text: Load) -> None:
    config = load_text(MODELS + "profiles: {day: [coder], night: [big]}\n", "profiles: {day: [eyes]}\n")
    assert [profile.models for profile in config.profiles] == [("eyes",), ("big",)]
    assert load_text(MODELS).profiles == ()
    assert Profile("x", ()).unit == "swapper-profile@x.target"


def test_mistakes(mistakes: Mistakes) -> None:
    assert mistakes(MODELS + "profiles:\n  day: [cpder]\n  night: []\n  -x: [big]\n  other: {a: b}\n") == [
        "0.yaml:12: profile 'day': there is no model 'cpder' (did you mean 'coder'?)",
        "0.yaml:13: profile 'night' has no models (such as night: [devstral])",
        "0.yaml:14: a profile's name cannot be '-x' (no comma, no '-' or blank at its beginning, no blank at its end)",
        "0.yaml:15: profile 'other' has no models (such as night: [devstral])",
        "0.yaml:15: profile 'other' wants a list, not 'key: value' lines",
    ]


def test_models_of_a_profile_must_fit_together(mistakes: Mistakes) -> None:
    hint = "(with 'policy: pack' and 'gpu_memory' as many fit as add up to 100 %: see 'gpus: {{{}: …}}')".format
    assert mistakes(MODELS + "profiles:\n  a: [coder, ears, eyes]\n  b: [apart, near]\n  c: [big, cpu]\n") == [
        f"0.yaml:12: profile 'a': coder, ears, eyes do not fit on GPU 0 together {hint(0)}",
        f"0.yaml:13: profile 'b': apart, near do not fit on GPU 2 together {hint(2)}",
    ]
