"""`swapperctl park`: has models give their GPU memory back, and stay in the host's."""

import argparse
import json

from swapper.ctl import options as shared
from swapper.ctl.asking import Host


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Has models parked (`on_swap: park`, vLLM): the GPU is free, and the next request wakes them instead of "
        "loading them. Requests that they work on may end first."
    )
    parser.add_argument("model", nargs="+", help="a name or an alias")
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    host = Host(options.url)
    for name in options.model:
        parked = host.post(host.model(name, "/park"))
        print(json.dumps(parked) if options.json else f"{parked['name']} is {parked['state']}")
    return 0
