"""`swapperctl schema`: what may stand in a configuration file, for editors."""

import argparse

from swapper.config.keywords import TopKeys
from swapper.config.table import Table
from swapper.ctl import Failure
from swapper.documents.schema import dumped

FILES = ("swapper", "telegram")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Prints the JSON schema of a file in /etc/swapper. It is in /usr/share/swapper as well, where the files that "
        "come with the package point editors to it."
    )
    parser.add_argument("file", nargs="?", choices=FILES, default=FILES[0], help="swapper.yaml, or telegram.yaml")


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    print(dumped(_table(options.file), options.file), end="")
    return 0


def _table(file: str) -> type[Table]:
    if file == "swapper":
        return TopKeys
    try:
        from swapper.telegram import settings  # noqa: PLC0415 - a package of its own, which need not be installed
    except ImportError as error:
        raise Failure("the bot is not installed", "apt install swapper-telegram") from error
    return settings.TopKeys
