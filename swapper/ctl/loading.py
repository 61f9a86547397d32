"""`swapperctl load`: has models loaded, and says how far they are."""

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Iterator

from swapper.ctl import Failure
from swapper.ctl import options as shared
from swapper.ctl.asking import Host
from swapper.ctl.terminal import Style, span


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Has models loaded, one after the other; others make room for them as for any request."
    parser.add_argument("model", nargs="+", help="a name or an alias")
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    host = Host(options.url)
    for name in options.model:
        with _watched(host, name):
            loaded = host.post(host.model(name, "/load"))
        if options.json:
            print(json.dumps(loaded))
        else:
            took = f" after {span(loaded['load_seconds'])}" if loaded["load_seconds"] is not None else ""
            print(f"{loaded['name']} is {loaded['state']} ({loaded['unit']}; its last load was done{took})")
    return 0


@contextlib.contextmanager
def _watched(host: Host, name: str) -> Iterator[None]:
    """Say on a terminal how far a load is, for as long as it lasts."""
    if not Style(sys.stderr).terminal:
        yield
        return
    ended = threading.Event()
    threading.Thread(target=_watch, args=(host, host.get(host.model(name))["name"], ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _watch(host: Host, name: str, ended: threading.Event) -> None:
    with contextlib.suppress(Failure), host.events("GET", "/api/events") as events:
        for event in events:
            if ended.is_set():
                return
            if event.name not in {"state", "progress"}:
                continue
            news = json.loads(event.data)
            if news["model"] == name:
                far = f"{news['percent']:.0f} %" if event.name == "progress" else news["new"]
                print(f"\r\x1b[K{name}: {far}", end="", file=sys.stderr, flush=True)
