"""Finds the command and runs it. Only that one's module is imported: `swapperctl` itself costs nothing.

A command is a line in `COMMANDS` and a module with two functions: `arguments(parser)`, and `run(options)`, which
returns the exit status.
"""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        module: What carries it out.
        help: What it is for, in one line.
    """

    module: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "simulate": Command("swapper.ctl.simulate", "what would happen: policies side by side, in virtual time"),
    "telegram": Command("swapper.ctl.telegram", "who may talk to the Telegram bot"),
}
"""All commands by name, in the order of the help."""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What argparse refuses ends with status 2."""
    words = sys.argv[1:] if words is None else list(words)
    parser = argparse.ArgumentParser(prog="swapperctl", description="Looks after the models of this host.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        below = commands.add_parser(name, help=command.help, formatter_class=argparse.RawDescriptionHelpFormatter)
        if words[:1] == [name]:
            importlib.import_module(command.module).arguments(below)
    options = parser.parse_args(words)
    status: int = importlib.import_module(COMMANDS[options.command].module).run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
