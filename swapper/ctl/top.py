"""`swapperctl top`: the screen of `status`, again and again, as things change."""

import argparse
import contextlib
import json
import queue
import sys
import threading
import time

from swapper.ctl import Failure
from swapper.ctl import options as shared
from swapper.ctl.asking import Host
from swapper.ctl.status import screen
from swapper.ctl.terminal import Style

_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_OTHER, _BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The terminal's other screen, without a cursor, and back (xterm's control sequences)."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Shows the status, live, until Ctrl-C. With --json, a line for each look."
    parser.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="longest pause (%(default)g)")
    parser.add_argument("--times", type=int, metavar="N", help="end after N looks")
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    host, style = Host(options.url), Style()
    changed: queue.SimpleQueue[None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(host, changed, options.interval), daemon=True).start()
    shown = style.terminal and not options.json
    if shown:
        print(_OTHER, end="")
    try:
        _look(host, style, as_json=options.json)
        looks = 1
        while looks != options.times:
            _pause(changed, options.interval)
            try:
                _look(host, style, as_json=options.json)
            except Failure as failure:  # such as while it is restarted
                print(f"{_CLEAR_LINE if shown else ''}{failure}", file=sys.stderr, flush=True)
            looks += 1
        return 0
    finally:
        if shown:
            print(_BACK, end="", flush=True)


def _look(host: Host, style: Style, *, as_json: bool) -> None:
    overview, health = host.get("/api/models"), host.get("/health")
    if as_json:
        print(json.dumps({"at": time.time(), "health": health, **overview}), flush=True)
        return
    lines = [*screen(overview, health, host.url, time.time(), style)]
    if style.terminal:
        text = "".join(f"{line}{_CLEAR_LINE}\n" for line in lines)
        sys.stdout.write(f"{_HOME}{text}{_CLEAR_BELOW}")
    else:
        print("\n".join(lines), end="\n\n")
    sys.stdout.flush()


def _pause(changed: "queue.SimpleQueue[None]", seconds: float) -> None:
    """Until something changes, at most so long."""
    try:
        changed.get(timeout=seconds)
        while True:
            changed.get_nowait()
    except queue.Empty:
        pass


def _listen(host: Host, changed: "queue.SimpleQueue[None]", pause: float) -> None:
    """Hear of changes. A router that is away is for the looks to tell."""
    while True:
        with contextlib.suppress(Failure), host.events("GET", "/api/events") as events:
            for event in events:
                if event.name != ":":
                    changed.put(None)
        time.sleep(pause)
