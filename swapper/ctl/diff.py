"""`swapperctl diff`: what a reload would change, by the files as they are and as systemd took them last."""

import argparse
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from swapper.config import Config, ConfigErrors, Model, load, load_last_good
from swapper.ctl import WRONG, Failure
from swapper.ctl import options as shared
from swapper.ctl.terminal import Style
from swapper.generator import dropin

_NEWS = "new"
_GONE = "gone"


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Something that a reload would change.

    Attributes:
        what: A model's name, or a section of the configuration.
        kind: `new`, `gone` or `changed`.
        fields: Of what is changed: before and after, by name.
        restart: Whether a model that runs is drained and stopped for it.
    """

    what: str
    kind: str
    fields: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    restart: bool = False


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Says what `systemctl reload swapper` would change. Changes nothing itself."
    shared.json(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    found = differences()
    if options.json:
        print(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
        return 0
    print("\n".join(lines(found, Style())))
    return 0


def differences() -> list[Difference]:
    """All of them.

    Raises:
        Failure: The files cannot be used.
    """
    try:
        new = load()
    except ConfigErrors as errors:
        details = tuple(map(str, errors.errors))
        raise Failure("the configuration has mistakes", "swapperctl check", WRONG, details) from None
    try:
        old = load_last_good()
    except ConfigErrors:
        old = Config()
    return [*_models(old, new), *_rest(old, new)]


def lines(found: list[Difference], style: Style) -> Iterator[str]:
    """What is told of them."""
    if not found:
        yield "nothing would change"
    for each in found:
        if each.kind == _NEWS:
            yield style.paint(f"+ {each.what}", "green")
        elif each.kind == _GONE:
            yield style.paint(f"- {each.what}", "red") + ("  (ends, once its requests have)" if each.restart else "")
        else:
            yield style.paint(f"~ {each.what}", "yellow") + (
                "  (if it runs, it is stopped once its requests have ended)" if each.restart else ""
            )
            for name, (before, after) in each.fields.items():
                yield f"    {name}: {before} → {after}"


def _models(old: Config, new: Config) -> Iterator[Difference]:
    was = {model.name: model for model in old.models}
    for model in new.models:
        before = was.pop(model.name, None)
        if before is None:
            yield Difference(model.name, _NEWS)
        elif fields := _fields(before, model):
            yield Difference(model.name, "changed", fields, restart=_text(before, old) != _text(model, new))
    for name in was:
        yield Difference(name, _GONE, restart=True)


def _text(model: Model, config: Config) -> str:
    """A unit as it would be made, without where it is configured."""
    return dropin(model, config).partition("[Unit]")[2]


def _rest(old: Config, new: Config) -> Iterator[Difference]:
    for field in dataclasses.fields(Config):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name == "models" or _told(before) == _told(after):
            continue
        if dataclasses.is_dataclass(before) and not isinstance(before, type):
            yield Difference(field.name, "changed", _fields(before, after))
        else:
            yield Difference(field.name, "changed", {field.name: (_told(before), _told(after))})


def _fields(before: Any, after: Any) -> dict[str, tuple[str, str]]:  # noqa: ANN401 - any two of the configuration's types
    names = [field.name for field in dataclasses.fields(before) if field.compare and field.name != "where"]
    pairs = {name: (_told(getattr(before, name)), _told(getattr(after, name))) for name in names}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _told(value: Any) -> str:  # noqa: ANN401, PLR0911 - a value of the configuration; a table
    """A value in words, without where it stands."""
    match value:
        case None:
            return "not said"
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return f"[{', '.join(map(_told, value))}]"
        case frozenset():
            return f"[{', '.join(sorted(map(_told, value)))}]"
        case Mapping():
            return f"{{{', '.join(f'{key}: {_told(each)}' for key, each in sorted(value.items()))}}}"
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = (field.name for field in dataclasses.fields(value) if field.compare and field.name != "where")
            return f"{{{', '.join(f'{name}: {_told(getattr(value, name))}' for name in names)}}}"
        case _:
            return str(value)
