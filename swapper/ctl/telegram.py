"""`swapperctl telegram`: who may talk to the bot. `pair` lets somebody in, `people` lists them, `remove` ends it."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swapper.telegram.store.people import Person


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Looks after who may talk to the Telegram bot. All of it is for root, and holds at once."
    actions = parser.add_subparsers(dest="what", metavar="ACTION", required=True)
    actions.add_parser("pair", help="let somebody in: prints a code, to be sent to the bot")
    actions.add_parser("people", help="who is let in")
    remove = actions.add_parser("remove", help="take back that somebody was let in by a code")
    remove.add_argument("number", type=int, help="whose, as people lists it; a group's is below zero")
    remove.add_argument("--forget", action="store_true", help="delete what was said in that chat, too")


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    try:
        from swapper.telegram import pairing  # noqa: PLC0415 - a package of its own, which need not be installed
    except ImportError:
        return _failed("the bot is not installed: apt install swapper-telegram")
    actions: Mapping[str, Callable[[argparse.Namespace], int]] = {"pair": _pair, "people": _people, "remove": _remove}
    try:
        return actions[options.what](options)
    except FileNotFoundError:
        return _failed(f"there is no {pairing.STATE}: systemctl enable --now swapper-telegram")
    except PermissionError:
        return _failed(f"this is for root: sudo swapperctl telegram {options.what}")
    except OSError as error:
        return _failed(str(error))


def _pair(_: argparse.Namespace) -> int:
    from swapper.telegram import pairing  # noqa: PLC0415

    code = pairing.make()
    pairing.leave(pairing.STATE, code, time.time())
    print(code)
    print(f"Whoever sends this to the bot within {pairing.SECONDS / 60:.0f} minutes is let in.", file=sys.stderr)
    print("In a group, with a mention of the bot (@its_name CODE): then the group is.", file=sys.stderr)
    return 0


def _people(_: argparse.Namespace) -> int:
    from swapper.telegram import settings, visit  # noqa: PLC0415

    listed = visit.people()
    for person in listed:
        print(_line(person))
    named = visit.named()
    for number in sorted(named - {person.number for person in listed}):
        print(f"{number:>16}  in {settings.FILE}")
    if not listed and not named:
        print("Nobody is let in. swapperctl telegram pair lets somebody in.", file=sys.stderr)
    return 0


def _remove(options: argparse.Namespace) -> int:
    from swapper.telegram import settings, visit  # noqa: PLC0415

    known = visit.remove(options.number, forget=options.forget)
    named = options.number in visit.named()
    if named:
        print(f"{options.number} is let in by {settings.FILE}: take it out there, then", file=sys.stderr)
        print("    systemctl restart swapper-telegram", file=sys.stderr)
    elif not known:
        return _failed(f"{options.number} was not let in by a code: swapperctl telegram people says who was")
    return 1 if named else 0


def _line(person: "Person") -> str:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(person.since))
    kind = "group, by" if person.number < 0 else "by"
    return f"{person.number:>16}  {kind} a code, {since}  {person.shown}".rstrip()


def _failed(why: str) -> int:
    print(f"swapperctl: {why}", file=sys.stderr)
    return 1
