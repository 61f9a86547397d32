"""`swapperctl status`: one screen that says how things are."""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swapper.ctl import options as shared
from swapper.ctl.asking import Host
from swapper.ctl.terminal import Style, columns, plain, plural, size, span

CHANGES = 6
"""The last ones that are shown."""

AWAY = frozenset({"stopped", "disabled"})
"""States of models that are counted, not listed."""

type Json = Mapping[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Says what GPUs hold, which models are there, who waits for whom, and what happened last."
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    host = Host(options.url)
    overview, health = host.get("/api/models"), host.get("/health")
    if options.json:
        print(json.dumps({"health": health, **overview}, indent=2))
        return 0
    print("\n".join(screen(overview, health, host.url, time.time(), Style())))
    return 0


def screen(overview: Json, health: Json, url: str, now: float, style: Style) -> Iterator[str]:
    """The lines of it.

    Args:
        overview: What `/api/models` answers.
        health: What `/health` answers.
        url: Where that was asked.
        now: Seconds since the epoch.
        style: Colours.
    """
    yield f"{style.paint('swapper', 'bold')} at {url}: {_health(health, style)}"
    for mistake in health["configuration"]:
        yield f"  {style.paint(mistake, 'red')}"
    by_name = {model["name"]: model for model in overview["models"]}
    for gpu in overview["gpus"]:
        yield ""
        yield _gpu(gpu, style)
        yield from (f"  {line}" for line in columns(_resident(by_name[each["model"]], each, now, style)
                                                   for each in gpu["residents"]))  # fmt: skip
        if not gpu["residents"]:
            yield style.paint("  nobody", "dim")
    yield from _elsewhere(overview, now, style)
    if overview["queue"]:
        yield ""
        waiting = (f"{name} ({plural(by_name[name]['waiting'], 'request')})" for name in overview["queue"])
        yield f"{style.paint('Waiting for a place', 'bold')}: {', '.join(waiting)}"
    yield from _changes(overview["changes"], style)


def _health(health: Json, style: Style) -> str:
    if health["status"] == "ok":
        return style.paint("ok", "green")
    return style.paint("configuration refused, the last good one goes on", "red")


def _gpu(gpu: Json, style: Style) -> str:
    head = style.paint(f"GPU {gpu['gpu']}", "bold")
    if gpu["total"] is None:
        return f"{head}  {gpu['policy']}"
    used = f"{size(gpu['used'])} of {size(gpu['total'])}" if gpu["used"] is not None else size(gpu["total"])
    busy = f", busy {gpu['utilization']} %" if gpu["utilization"] is not None else ""
    return f"{head}  {style.bar((gpu['used'] or 0) / gpu['total'])} {used}{busy}  {gpu['name']}, {gpu['policy']}"


def _resident(model: Json, held: Json | None, now: float, style: Style) -> list[tuple[str, str]]:
    state = model["state"]
    if model["progress"] is not None and state == "starting":
        state = f"{state} {model['progress']:.0f} %"
    requests = f"{plural(model['leases'], 'request')}" + (f", {model['waiting']} waiting" if model["waiting"] else "")
    since = f"for {span(now - model['since'])}" if model["since"] else ""
    share = ""
    if held is not None:
        share = "all of it" if held["share"] >= 1 else f"{held['share']:.0%}"
        share += f", {size(held['measured'])} in use" if held["measured"] is not None else ""
    shown = style.state(state) if state == model["state"] else style.paint(state, "yellow")
    return [(model["name"], style.paint(model["name"], "bold")), (state, shown), *plain(requests, share, since)]


def _elsewhere(overview: Json, now: float, style: Style) -> Iterator[str]:
    """Models that are on no GPU and yet are something to look at; the others are counted."""
    placed = {each["model"] for gpu in overview["gpus"] for each in gpu["residents"]}
    others = [model for model in overview["models"] if model["name"] not in placed]
    listed = [model for model in others if model["state"] not in AWAY or model["failure"] is not None]
    if listed:
        yield ""
        yield style.paint("Elsewhere", "bold")
        yield from (f"  {line}" for line in columns(_elsewhere_row(model, now, style) for model in listed))
    counted = len(others) - len(listed)
    if counted:
        yield ""
        yield f"{plural(counted, 'model')} more, stopped: loaded when somebody asks (swapperctl models)"


def _elsewhere_row(model: Json, now: float, style: Style) -> list[tuple[str, str]]:
    if model["failure"] is not None:
        what = model["failure"]["message"].partition("\n")[0]
        name, state = model["name"], model["state"]
        if model["progress"] is not None:
            what = f"{model['progress']:.0f} % are there. {what}"
        return [(name, style.paint(name, "bold")), (state, style.state(state)), *plain(what)]
    return _resident(model, None, now, style)


def _changes(changes: Sequence[Json], style: Style) -> Iterator[str]:
    shown = [change for change in changes if change["new"] != "draining"][-CHANGES:]
    if not shown:
        return
    yield ""
    yield style.paint("What happened last", "bold")
    rows = []
    for change in reversed(shown):
        lasted = f"after {span(change['lasted'])}" if change["lasted"] is not None and change["new"] == "ready" else ""
        clock = time.strftime("%H:%M:%S", time.localtime(change["at"]))
        why = change["reason"] if change["reason"] != change["new"] else ""
        rows.append([
            (clock, style.paint(clock, "dim")), *plain(change["model"]),
            (change["new"], style.state(change["new"])), *plain(" ".join(filter(None, (lasted, why)))),
        ])  # fmt: skip
    yield from (f"  {line}" for line in columns(rows))
