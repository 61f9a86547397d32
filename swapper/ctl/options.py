"""Options that commands share."""

import argparse


def router(parser: argparse.ArgumentParser, *, figures: bool = True) -> None:
    """Where the router is; and whether the answer is for programs."""
    parser.add_argument("--url", help="the router's address (SWAPPER_URL, or http://127.0.0.1:8000)")
    if figures:
        json(parser)


def json(parser: argparse.ArgumentParser) -> None:
    """Whether the answer is for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
