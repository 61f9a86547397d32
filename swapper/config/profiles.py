"""Profiles of the configuration: sets of models that are to be there together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from swapper.config.errors import ConfigError
from swapper.config.keywords import TopKeys
from swapper.config.names import read_name
from swapper.config.nodes import Reader, Value, did_you_mean
from swapper.config.sections import Section
from swapper.config.settings import Config, Group, Location, Model, Profile, Rule


def read_profiles(top: Section, models: Sequence[Model], groups: Sequence[Group]) -> tuple[Profile, ...]:
    """`night: [big-model]`: a name, and names or aliases of models. Of a name in several files, the last one counts.

    Who is always together with one that is named belongs to the profile too.
    """
    companions = {name: group.models for group in groups if group.rule is Rule.ALWAYS for name in group.models}
    names = {alias: model.name for model in models for alias in (model.name, *model.aliases)}
    found = []
    for entries in top.groups(TopKeys.profiles):
        entry = entries[-1]
        name = read_name(top.reader, entry.key, "a profile's name")
        what = f"profile {entry.name!r}"
        items = top.reader.items(entry.value, what)
        named = read_members(top.reader, items, what, names)
        members = tuple(dict.fromkeys(member for name in named for member in (name, *companions.get(name, ()))))
        if name is not None and members:
            found.append(Profile(name, members, Location(entry.key.file, entry.key.line)))
        elif not items:
            top.reader.wrong(entry.key, f"{what} has no models", "such as night: [devstral]")
    return tuple(found)


def read_members(reader: Reader, items: Iterable[Value], what: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Models by any of their names; each once, by its own."""
    found = (_member(reader, item, what, names) for item in items)
    return tuple(dict.fromkeys(member for member in found if member is not None))


def _member(reader: Reader, item: Value, what: str, names: Mapping[str, str]) -> str | None:
    name = reader.text(item, what)
    if name is not None and name not in names:
        reader.wrong(item, f"{what}: there is no model {name!r}", did_you_mean(name, names))
    return names.get(name or "")


def misfits(config: Config) -> Iterator[ConfigError]:
    """Profiles whose models do not fit on their GPUs together, or never are together."""
    for profile in config.profiles:
        members = [model for model in config.models if model.name in profile.models]
        for gpu in config.crowded(members):
            there = ", ".join(model.name for model in members if gpu in config.places(model))
            if (never := config.never(gpu)) is not None:
                message = f"profile {profile.name!r}: {there} are never together"
                hint = f"says group {never.name!r} in {never.where}"
                yield ConfigError(profile.where.file, profile.where.line, message, hint)
                continue
            message = f"profile {profile.name!r}: {there} do not fit on GPU {gpu} together"
            hint = f"with 'policy: pack' and 'gpu_memory' as many fit as add up to 100 %: see 'gpus: {{{gpu}: …}}'"
            yield ConfigError(profile.where.file, profile.where.line, message, hint)
