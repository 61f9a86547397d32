"""`swapperctl check`: every mistake in the configuration; and what it names and is not there."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from swapper.config import Config, ConfigErrors, load
from swapper.ctl import WRONG
from swapper.ctl import options as shared
from swapper.ctl.terminal import Style, plural
from swapper.engines import ENGINES


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Reads the configuration as the router does, and changes nothing. Mistakes end with status 2; a model whose "
        "files are not all there is no mistake, and told all the same."
    )
    parser.add_argument("file", nargs="*", type=Path, help="files (/etc/swapper/swapper.yaml and conf.d)")
    shared.json(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    try:
        config = load(*options.file)
    except ConfigErrors as errors:
        return _mistaken(errors, as_json=options.json)
    notes = incomplete(config)
    if options.json:
        print(json.dumps({"models": len(config.models), "errors": [], "notes": notes}, indent=2))
        return 0
    style = Style()
    for note in notes:
        print(f"{style.paint('note', 'yellow')}: {note}")
    models, gpus = plural(len(config.models), "model"), plural(len(config.gpus), "GPU")
    print(f"{style.paint('no mistakes', 'green')}: {models} on {gpus}")
    return 0


def incomplete(config: Config) -> Sequence[str]:
    """Models that cannot be loaded yet."""
    found = ((model, ENGINES[model.engine].missing(model)) for model in config.models)
    return [f"{model.where}: {model.name} is incomplete: {fault}" for model, faults in found for fault in faults]


def _mistaken(errors: ConfigErrors, *, as_json: bool) -> int:
    if as_json:
        told = [asdict(each) for each in errors.errors]
        print(json.dumps({"errors": told, "notes": []}, indent=2))
        return WRONG
    style = Style(sys.stderr)
    for error in errors.errors:
        where = f"{error.file}:{error.line}" if error.line else error.file
        hint = f"\n    {style.paint(error.hint, 'cyan')}" if error.hint else ""
        print(f"{style.paint(where, 'bold')}: {error.message}{hint}", file=sys.stderr)
    count = style.paint(plural(len(errors.errors), "mistake"), "red")
    print(f"{count}; what is in force is not changed", file=sys.stderr)
    return WRONG
