"""Profiles as units: sets of models that a target loads, and a timer with it. Pure; `generator.py` writes the files.

Three drop-ins make one start of `swapper-profile@NAME.target` do its work, all of it in systemd's hands:

- the target's wants the models, and comes after them: it is reached when they answer.
- `swapper-room@NAME.target`'s conflicts with every model that would not fit beside them, and comes before them: as the
  two are in order, systemd stops the ones before it starts the others (systemd.unit(5), "Before=, After=").
- a model's own, where others of its profiles share a GPU with it, comes after those that are configured before it: two
  engines that start on one GPU at the same time spoil each other's measurement of its memory. It is in a file of its
  own, since it changes nothing about what runs: another profile is no reason to load a model anew.

The order is that of the configuration everywhere, so that no two profiles can contradict each other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from swapper.config import Config, Location, Model, Profile, Rule
from swapper.quoting import sentence, words

DROPIN, ORDER = "50-swapper.conf", "51-swapper-order.conf"

HEAD = """\
# Written by swapper-generator from {file} at every daemon-reload; changes made here are lost.
"""


def units(config: Config) -> Mapping[str, str]:
    """All drop-ins: path below the generator's directory → text."""
    found: dict[str, str] = {}
    for profile in config.profiles:
        members = [model for model in config.models if model.name in profile.models]
        found[f"{profile.unit}.d/{DROPIN}"] = _text(profile.where, _target(profile, members))
        found[f"{profile.room}.d/{DROPIN}"] = _text(profile.where, _room(members, leaving(config, members)))
    for model in config.models:
        before = list(_started_before(config, model))
        if before:
            found[f"{model.unit}.d/{ORDER}"] = _text(model.where, [f"After={_units(before)}"])
    return found


def leaving(config: Config, members: Sequence[Model]) -> Sequence[Model]:
    """Who has to go, whoever is there: on the members' GPUs, what is left fits beside them and all together.

    Of several that would each fit, but not all of them, those that are configured first may stay. Who is never together
    with a member goes, and who is always together with one that goes does too.
    """
    theirs = {place for model in members for place in config.places(model)}
    staying: list[Model] = list(members)
    gone: list[Model] = []
    for model in config.models:
        if model not in members and theirs.intersection(config.places(model)):
            (gone if theirs.intersection(config.crowded([*staying, model])) else staying).append(model)
    going = {name for model in gone for group in config.of(model) if group.rule is Rule.ALWAYS for name in group.models}
    return [model for model in config.models if model in gone or model.name in going]


def _started_before(config: Config, model: Model) -> Iterator[Model]:
    """Who is in a profile with a model, shares a GPU with it, and is configured before it."""
    companions = {name for profile in config.profiles if model.name in profile.models for name in profile.models}
    for other in config.models:
        if other is model:
            return
        if other.name in companions and set(other.gpus) & set(model.gpus):
            yield other


def _target(profile: Profile, members: Sequence[Model]) -> Iterator[str]:
    yield f"Description=Profile {sentence(profile.name)}: {sentence(', '.join(model.name for model in members))}"
    yield f"Wants={_units(members)}"
    yield f"After={_units(members)}"


def _room(members: Sequence[Model], gone: Sequence[Model]) -> Iterator[str]:
    yield f"Before={_units(members)}"
    if gone:
        yield f"Conflicts={_units(gone)}"
        yield f"After={_units(gone)}"


def _units(models: Sequence[Model]) -> str:
    return words(*(model.unit for model in models))


def _text(where: Location, lines: Iterable[str]) -> str:
    return "\n".join((HEAD.format(file=where.file), "[Unit]", *lines, ""))
