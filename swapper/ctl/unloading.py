"""`swapperctl unload`: has models stopped, once their requests have ended."""

import argparse
import json

from swapper.ctl import WRONG, Failure
from swapper.ctl import options as shared
from swapper.ctl.asking import Host


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Has models stopped. Requests that they work on may end first; new ones load them again."
    parser.add_argument("model", nargs="*", help="a name or an alias")
    parser.add_argument("--all", action="store_true", help="all that are there")
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    if options.all == bool(options.model):
        raise Failure("say which models, or --all", "swapperctl status shows who is there", WRONG)
    host = Host(options.url)
    names = [each["model"] for each in host.get("/running")["running"]] if options.all else options.model
    for name in names:
        stopped = host.post(host.model(name, "/unload"))
        print(json.dumps(stopped) if options.json else f"{stopped['name']} is {stopped['state']}")
    return 0
