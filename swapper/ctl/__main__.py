"""Finds the command and runs it. Only that one's module is imported: `swapperctl` itself costs nothing.

A command is a line in `COMMANDS` and a module with two functions: `arguments(parser)`, and `run(options)`, which
returns the exit status.

What is looked at often (`status`) must be there at once. So what all commands import is little, and they have tuples
with names rather than dataclasses, which import `inspect`. (From Python 3.14 on argparse does, too.)
"""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from swapper.ctl import Failure


class Command(NamedTuple):
    """One command.

    Attributes:
        module: What carries it out.
        help: What it is for, in one line.
    """

    module: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "status": Command("swapper.ctl.status", "one screen: GPUs, who is on them, who waits, what happened last"),
    "models": Command("swapper.ctl.models", "all models: what they are doing, and what they can do"),
    "load": Command("swapper.ctl.loading", "have models loaded"),
    "unload": Command("swapper.ctl.unloading", "have models stopped, once their requests have ended"),
    "park": Command("swapper.ctl.parking", "have models give their GPU memory back, and stay in the host's"),
    "chat": Command("swapper.ctl.chat", "talk to a model, with pictures and sound if you like"),
    "logs": Command("swapper.ctl.logs", "the journal of a model's unit"),
    "check": Command("swapper.ctl.check", "every mistake in the configuration, with file, line and a hint"),
    "diff": Command("swapper.ctl.diff", "what a reload would change"),
    "apply": Command("swapper.ctl.apply", "check the configuration, and have systemd and the router take it"),
    "schema": Command("swapper.ctl.schema", "what may stand in the configuration, for editors"),
    "top": Command("swapper.ctl.top", "the status, live"),
    "doctor": Command("swapper.ctl.doctor.command", "what goes wrong on this host, and the command that mends it"),
    "bench": Command("swapper.ctl.bench", "measure a model: loads, first token, tokens a second"),
    "pin": Command("swapper.ctl.pin", "put a model on other GPUs than the configuration says"),
    "add": Command("swapper.ctl.add", "configure a model that lies in a file or folder"),
    "pull": Command("swapper.ctl.pull", "fetch a model from a hub; goes on by itself, and where it was"),
    "import": Command("swapper.ctl.importing", "another program's configuration as one of ours"),
    "simulate": Command("swapper.ctl.simulate", "what would happen: policies side by side, in virtual time"),
    "telegram": Command("swapper.ctl.telegram", "who may talk to the Telegram bot"),
}
"""All commands by name, in the order of the help."""


COMPLETE = "__complete"
"""What shells ask; see `completing.py`."""

INTERRUPTED = 130
"""Exit status of what is ended by Ctrl-C, as shells have it."""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What argparse refuses ends with status 2."""
    words = sys.argv[1:] if words is None else list(words)
    if words[:1] == [COMPLETE]:
        return _complete(words[1:])
    parser = argparse.ArgumentParser(prog="swapperctl", description="Looks after the models of this host.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        below = commands.add_parser(name, help=command.help, formatter_class=argparse.RawDescriptionHelpFormatter)
        if words[:1] == [name]:
            importlib.import_module(command.module).arguments(below)
    options = parser.parse_args(words)
    try:
        status: int = importlib.import_module(COMMANDS[options.command].module).run(options)
        sys.stdout.flush()
    except Failure as failure:
        return _told(failure)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read has read enough; the interpreter would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _complete(words: Sequence[str]) -> int:
    from swapper.ctl.completing import complete  # noqa: PLC0415 - for shells alone

    for found in complete(words, {name: command.module for name, command in COMMANDS.items()}):
        print(found)
    return 0


def _told(failure: Failure) -> int:
    for line in (f"swapperctl: {failure}", *(f"  {line}" for line in failure.details), failure.hint):
        if line:
            print(line, file=sys.stderr)
    return failure.status


if __name__ == "__main__":
    sys.exit(main())
