"""A workload from what the router wrote to the journal: `journalctl -u swapper -o json` (systemd.journal-fields(7)).

Each entry of a request (`router/requestlog.py`) tells when it was over, `TOTAL_MS`, and of that `QUEUED_MS` until its
lease: the rest is what the engine took. Each change of a model's state (`router/service.py`) tells when it began to
start, was ready, began to stop and was gone: loads and stops take what they took then, one after the other. Not their
median each time: the longest waits come from the longest loads. What systemd's own clock says of them, `TOOK_MS`, is a
little less, and is what the scheduler reckons with.

What is asked is replayed as open requests at the times of the original; that a client which got its answer later would
have asked later is not known. Requests that never got a lease are left out, since nobody knows what they would have
taken; so are those that were counted only, there being too many of them. The notes say how many.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from swapper.config.settings import Location
from swapper.core.model import ModelSpec, State
from swapper.simulate.workload import Ask, Model, Workload, WorkloadError

_HINT = "It has to be what `journalctl -u swapper -o json` prints."
_SPANS = {State.READY: State.STARTING, State.STOPPED: State.STOPPING}
"""What ends a load, or a stop, and what it began with."""


@dataclass(slots=True)
class _Seen:
    """What was seen of one model: its state, since when, how long loads and stops took, and how much of it is lag."""

    state: str = ""
    since: float = 0.0
    took: dict[State, list[float]] = field(default_factory=lambda: {State.STARTING: [], State.STOPPING: []})
    lags: list[float] = field(default_factory=list)

    def changed(self, old: str, new: str, now: float, took: float | None) -> None:
        for end, begin in _SPANS.items():
            if (old, new) == (begin, end) and self.state == begin:
                self.took[begin].append(now - self.since)
                if took is not None:
                    self.lags.append(max(0.0, now - self.since - took))
        self.state, self.since = new, now


def read(lines: Iterable[str], name: str) -> Workload:
    """Read a workload from the lines of `journalctl -o json`; `name` stands in messages and reports.

    Raises:
        WorkloadError: A line is not what journalctl prints, or no request was recorded.
    """
    models: dict[str, _Seen] = {}
    asks: list[Ask] = []
    lost = skipped = 0
    for where, entry in _entries(lines, name):
        model = entry.get("MODEL", "")
        if "NEW_STATE" in entry:
            seen = models.setdefault(model, _Seen())
            took = _number(entry, "TOOK_MS", where) / 1e3 if entry.get("TOOK_MS") else None
            seen.changed(entry.get("OLD_STATE", ""), entry["NEW_STATE"], _time(entry, where), took)
        elif "TOTAL_MS" in entry and model:
            if not entry.get("QUEUED_MS"):
                lost += 1
                continue
            models.setdefault(model, _Seen())
            total, queued = (_number(entry, key, where) / 1e3 for key in ("TOTAL_MS", "QUEUED_MS"))
            asks.append(Ask(_time(entry, where) - total, model, max(total - queued, 0.0)))
        elif "SKIPPED" in entry:
            skipped += int(_number(entry, "SKIPPED", where))
    if not asks:
        raise WorkloadError("no request with a lease was recorded", hint=_HINT, where=Location(name, 0))
    begin = min(ask.at for ask in asks)
    asks = sorted(ask._replace(at=round(ask.at - begin, 6), seconds=round(ask.seconds, 6)) for ask in asks)
    asked = {ask.model for ask in asks}
    described, notes = _describe({model: seen for model, seen in models.items() if model in asked})
    counts = (lost, "requests never got a lease"), (skipped, "requests were counted only")
    notes += [f"{count} {what} and are left out" for count, what in counts if count]
    return Workload(name, described, asks=tuple(asks), notes=tuple(notes))


def _describe(models: Mapping[str, _Seen]) -> tuple[tuple[Model, ...], list[str]]:
    """Models with their times; where none was seen, the median of the others' stands in."""
    notes: list[str] = []
    usual: dict[State, float] = {}
    for what, word in ((State.STARTING, "load"), (State.STOPPING, "stop")):
        usual[what] = median([span for seen in models.values() for span in seen.took[what]] or [0.0])
        strange = [model for model, seen in models.items() if not seen.took[what]]
        if strange:
            notes.append(f"no {word} was seen of {', '.join(strange)}: taken as {usual[what]:.3g} s")
    return tuple(_model(name, seen, usual) for name, seen in models.items()), notes


def _model(name: str, seen: _Seen, usual: Mapping[State, float]) -> Model:
    load, stop = (round(median(spans or [usual[what]]), 6) for what, spans in seen.took.items())
    loads, stops = (tuple(round(span, 6) for span in spans) if len(spans) > 1 else () for spans in seen.took.values())
    return Model(ModelSpec(name), load, stop, loads, stops, round(median(seen.lags or [0.0]), 6))


def _entries(lines: Iterable[str], name: str) -> Iterator[tuple[Location, Mapping[str, str]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = Location(name, number)
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise WorkloadError(f"this is not JSON: {error}", hint=_HINT, where=where) from error
        if not isinstance(entry, dict):
            raise WorkloadError("this is not an entry of the journal", hint=_HINT, where=where)
        # A field that is not text, or that is there several times, is a list; none of ours is.
        yield where, {key: value for key, value in entry.items() if isinstance(value, str)}


def _time(entry: Mapping[str, str], where: Location) -> float:
    """When it was written; journald's own time of receiving it only where the sender's is not known."""
    key = "_SOURCE_REALTIME_TIMESTAMP" if "_SOURCE_REALTIME_TIMESTAMP" in entry else "__REALTIME_TIMESTAMP"
    return _number(entry, key, where) / 1e6


def _number(entry: Mapping[str, str], key: str, where: Location) -> float:
    try:
        return float(entry[key])
    except (KeyError, ValueError):
        raise WorkloadError(f"{key} is not a number: {entry.get(key)!r}", hint=_HINT, where=where) from None
