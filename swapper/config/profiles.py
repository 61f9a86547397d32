"""Profiles of the configuration: sets of models that are to be there together."""

from collections.abc import Iterator, Mapping

from swapper.config.errors import ConfigError
from swapper.config.models import read_name
from swapper.config.nodes import Value, did_you_mean
from swapper.config.sections import Section
from swapper.config.settings import Config, Location, Model, Profile


def read_profiles(section: Section, models: tuple[Model, ...]) -> tuple[Profile, ...]:
    """`night: [big-model]`: a name, and names or aliases of models. Of a name in several files, the last one counts."""
    names = {alias: model.name for model in models for alias in (model.name, *model.aliases)}
    found = []
    for entries in section.groups():
        entry = entries[-1]
        name = read_name(section.reader, entry.key, "a profile's name")
        what = f"profile {entry.name!r}"
        items = section.reader.items(entry.value, what)
        members = tuple(dict.fromkeys(member for item in items if (member := _member(section, item, what, names))))
        if name is not None and members:
            found.append(Profile(name, members, Location(entry.key.file, entry.key.line)))
        elif not items:
            section.reader.wrong(entry.key, f"{what} has no models", "such as night: [devstral]")
    return tuple(found)


def _member(section: Section, item: Value, what: str, names: Mapping[str, str]) -> str | None:
    name = section.reader.text(item, what)
    if name is not None and name not in names:
        section.reader.wrong(item, f"{what}: there is no model {name!r}", did_you_mean(name, names))
    return names.get(name or "")


def misfits(config: Config) -> Iterator[ConfigError]:
    """Profiles whose models do not fit on their GPUs together."""
    for profile in config.profiles:
        members = [model for model in config.models if model.name in profile.models]
        for gpu in config.crowded(members):
            there = ", ".join(model.name for model in members if gpu in model.gpus)
            message = f"profile {profile.name!r}: {there} do not fit on GPU {gpu} together"
            hint = f"with 'policy: pack' and 'gpu_memory' as many fit as add up to 100 %: see 'gpus: {{{gpu}: …}}'"
            yield ConfigError(profile.where.file, profile.where.line, message, hint)
