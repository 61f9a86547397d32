"""`swapperctl telegram pair`: prints a code that lets whoever sends it to the bot in."""

import argparse
import sys
import time


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Looks after who may talk to the Telegram bot."
    parser.add_argument("what", choices=["pair"], help="let somebody in: prints a code, to be sent to the bot")


def run(_: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    try:
        from swapper.telegram import pairing  # noqa: PLC0415 - a package of its own, which need not be installed
    except ImportError:
        print("swapperctl: the bot is not installed: apt install swapper-telegram", file=sys.stderr)
        return 1
    code = pairing.make()
    try:
        pairing.leave(pairing.STATE, code, time.time())
    except FileNotFoundError:
        print(f"swapperctl: there is no {pairing.STATE}: systemctl enable --now swapper-telegram", file=sys.stderr)
        return 1
    except PermissionError:
        print("swapperctl: this is for root: sudo swapperctl telegram pair", file=sys.stderr)
        return 1
    print(code)
    print(f"Whoever sends this to the bot within {pairing.SECONDS / 60:.0f} minutes is let in.", file=sys.stderr)
    print("In a group, with a mention of the bot (@its_name CODE): then the group is.", file=sys.stderr)
    return 0
