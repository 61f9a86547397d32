"""Groups of the configuration: models that are never there together, and models that always are."""

from collections.abc import Iterator, Mapping, Sequence

from swapper.config.errors import ConfigError
from swapper.config.keywords import GroupKeys, TopKeys
from swapper.config.names import read_name
from swapper.config.nodes import Entry, Reader
from swapper.config.profiles import read_members
from swapper.config.sections import Section
from swapper.config.settings import Config, Group, Location, Model, Rule

_RULES = {Rule.NEVER: GroupKeys.never_together, Rule.ALWAYS: GroupKeys.always_together}
_EXAMPLE = "such as heavy: {never_together: [devstral, qwen-coder]}"


def read_groups(top: Section, models: Sequence[Model]) -> tuple[Group, ...]:
    """`heavy: {never_together: [devstral, qwen-coder]}`. Of a name in several files, the last one counts."""
    names = {alias: model.name for model in models for alias in (model.name, *model.aliases)}
    found = (_group(top.reader, entries[-1], names) for entries in top.groups(TopKeys.groups))
    return tuple(group for group in found if group is not None)


def _group(reader: Reader, entry: Entry, names: Mapping[str, str]) -> Group | None:
    what = f"group {entry.name!r}"
    name = read_name(reader, entry.key, "a group's name")
    before = len(reader.errors)
    below = Section(reader, [entry.value], GroupKeys, what)
    said = {rule: below.values(key) for rule, key in _RULES.items()}
    below.close()
    given = [rule for rule, values in said.items() if values]
    if len(given) != 1:
        if len(reader.errors) == before:
            wrong = "says both 'never_together' and 'always_together'" if given else "says nothing"
            reader.wrong(entry.key, f"{what} {wrong}", "make two groups of it" if given else _EXAMPLE)
        return None
    value = said[given[0]][-1]
    members = read_members(reader, reader.items(value, what), what, names)
    if len(members) < 2 and len(reader.errors) == before:
        reader.wrong(value, f"{what} has fewer than two models", _EXAMPLE)
    if name is None or len(members) < 2:
        return None
    return Group(name, given[0], members, Location(entry.key.file, entry.key.line))


def contradictions(config: Config) -> Iterator[ConfigError]:
    """Models in two groups that are always together, and groups that can never be."""
    first: dict[str, Group] = {}
    for group in config.groups:
        if group.rule is Rule.NEVER:
            continue
        for name in group.models:
            other = first.setdefault(name, group)
            if other is not group:
                message = f"group {group.name!r}: {name!r} is always together with others already"
                yield _mistake(group, message, f"by group {other.name!r} in {other.where}: make one group of the two")
        yield from _misfits(config, group)


def _misfits(config: Config, group: Group) -> Iterator[ConfigError]:
    members = [model for model in config.models if model.name in group.models]
    for place in config.crowded(members):
        there = ", ".join(model.name for model in members if place in config.places(model))
        never = config.never(place)
        if never is not None:
            message = f"group {group.name!r}: {there} are never together"
            yield _mistake(group, message, f"says group {never.name!r} in {never.where}")
        else:
            message = f"group {group.name!r}: {there} do not fit on GPU {place} together"
            hint = f"with 'policy: pack' and 'gpu_memory' as many fit as add up to 100 %: see 'gpus: {{{place}: …}}'"
            yield _mistake(group, message, hint)


def _mistake(group: Group, message: str, hint: str) -> ConfigError:
    return ConfigError(group.where.file, group.where.line, message, hint)
