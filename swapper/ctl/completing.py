"""What may come next on the command line, for shells: `swapperctl __complete WORD…` prints it, a line each.

The last word is the one that is being written, and may be empty. Nothing is printed where a file is meant, and shells
fall back on their own. Models are those of the configuration: no router is asked while somebody types.
"""

import argparse
import importlib
from collections.abc import Iterator, Mapping, Sequence

from swapper.config import ConfigErrors, load

_MODEL = "model"
"""The name of all arguments that want a model."""


def complete(words: Sequence[str], modules: Mapping[str, str]) -> Iterator[str]:
    """What the last word may become.

    Args:
        words: As they stand, without the program's.
        modules: Each command's module.
    """
    *before, begun = words or ("",)
    found = _commands(modules) if not before else _within(before, begun, modules)
    yield from (word for word in found if word.startswith(begun))


def _commands(modules: Mapping[str, str]) -> Iterator[str]:
    yield from modules
    yield "--help"


def _within(before: Sequence[str], begun: str, modules: Mapping[str, str]) -> Iterator[str]:
    module = modules.get(before[0])
    if module is None:
        return
    parser = argparse.ArgumentParser(prog=before[0])
    importlib.import_module(module).arguments(parser)
    actions = parser._actions  # noqa: SLF001 - argparse has no other way to ask what it was told
    by_flag = {flag: action for action in actions for flag in action.option_strings}
    last = by_flag.get(before[-1])
    if last is not None and last.nargs != 0:
        yield from map(str, last.choices or ())
        return
    positional = [action for action in actions if not action.option_strings]
    given = sum(not word.startswith("-") for word in before[1:])
    meant = [
        action
        for place, action in enumerate(positional)
        if place == given or (action.nargs in {"+", "*"} and place < given)
    ]
    for action in meant:
        yield from map(str, action.choices or ())
        if action.dest == _MODEL:
            yield from _models()
    # Where a file may come, options would keep shells from theirs.
    if begun.startswith("-") or all(action.choices or action.dest == _MODEL for action in meant):
        yield from by_flag


def _models() -> Iterator[str]:
    try:
        config = load()
    except ConfigErrors:
        return
    for model in config.models:
        yield from (model.name, *model.aliases)
