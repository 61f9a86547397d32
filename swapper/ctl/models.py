"""`swapperctl models`: all of them, a line each."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from swapper.ctl import options as shared
from swapper.ctl.asking import Host
from swapper.ctl.terminal import Style, columns, plain


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Lists the models: name and aliases, state, engine, GPUs, context, and what they can do."
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    models = Host(options.url).get("/api/models")["models"]
    if options.json:
        print(json.dumps(models, indent=2))
        return 0
    style = Style()
    titles = ("MODEL", "STATE", "ENGINE", "GPU", "CONTEXT", "CAN", "ALIASES")
    head = [(title, style.paint(title, "dim")) for title in titles]
    lines = columns([head, *(_row(model, style) for model in models)])
    print("\n".join(lines) if models else "There are no models: swapperctl add FILE")
    return 0


def _row(model: Mapping[str, Any], style: Style) -> list[tuple[str, str]]:
    name, state = model["name"], model["state"]
    shown = f"{state} {model['progress']:.0f} %" if model["progress"] is not None else state
    gpus = ",".join(map(str, model["gpus"])) or "none"
    can, aliases = ",".join(model["capabilities"]), ", ".join(model["aliases"])
    cells = plain(model["engine"], gpus, str(model["context_length"] or ""), can, aliases)
    return [(name, style.paint(name, "bold")), (shown, shown.replace(state, style.state(state))), *cells]
