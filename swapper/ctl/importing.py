"""`swapperctl import llama-swap FILE`: another program's configuration as one of ours."""

import argparse
import json
import os
import sys
from pathlib import Path

from swapper.ctl import WRONG, Failure
from swapper.ctl import options as shared
from swapper.ctl.llama_swap import Converted, convert


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Prints a configuration of llama-swap as one of swapper, and on standard error, line by line, what of it could "
        "not be carried over. Put it into /etc/swapper/conf.d, and run swapperctl check."
    )
    parser.add_argument("program", choices=["llama-swap"], help="whose configuration it is")
    parser.add_argument("file", type=Path, help="its config.yaml")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="write it there, if that is not there yet")
    shared.json(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    converted = convert(options.file, os.environ.get)
    text = "".join(f"{line}\n" for line in converted.lines)
    if options.output is not None:
        try:
            with options.output.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise Failure(f"{options.output}: {error.strerror}", "--output says another file", WRONG) from error
    if options.json:
        print(json.dumps({"yaml": text, "notes": [str(note) for note in converted.notes]}, indent=2))
    else:
        if options.output is None:
            print(text, end="")
        _tell(converted)
    if not converted.lines:
        raise Failure("nothing of it could be carried over", "", WRONG)
    return 0


def _tell(converted: Converted) -> None:
    for note in converted.notes:
        print(note, file=sys.stderr)
