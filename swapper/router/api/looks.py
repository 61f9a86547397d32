"""Fills the dashboard's shapes (`views`) from what the router remembers."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from swapper.host.definition import UnitFile as Read
from swapper.keys import Key
from swapper.router.api import cards
from swapper.router.api.catalog import Catalog
from swapper.router.api.views import (
    EndedRequest,
    KeyUse,
    LiveRequest,
    ModelUse,
    Requests,
    Span,
    Timeline,
    UnitFile,
    Usage,
)
from swapper.router.history import HOUR, PAUSE, History, Live, Past
from swapper.router.stats import Flow, Stats


def requests(live: Iterable[Live], history: History, key: Key) -> Requests:
    """The requests that somebody with this key may know of."""
    running = sorted((each for each in live if _sees(key, each.key)), key=lambda each: -each.age)
    ended = [past for past in reversed(history.requests) if _sees(key, past.record.key)]
    return Requests(
        tuple(LiveRequest(**each._asdict()) for each in running), tuple(_ended(past) for past in ended)
    )


def _ended(past: Past) -> EndedRequest:
    record = past.record
    return EndedRequest(
        at=past.at,
        id=record.id,
        model=record.model,
        method=record.method,
        path=record.path,
        key=record.key,
        status=record.status,
        reason=record.reason,
        queued=record.queued,
        loading=record.loading,
        first=record.first,
        total=record.total,
        received=record.received,
        sent=record.sent,
        tokens_in=record.tokens_in,
        tokens_out=record.tokens_out,
    )


def timeline(catalog: Catalog, history: History, live: Iterable[Live], now: float) -> Timeline:
    """The hour before `now`, in seconds since the epoch."""
    since = max(now - HOUR, catalog.created)
    spans = [
        Span(model, span.begin, span.end, span.requests)
        for model, served in history.served()
        for span in served
        if span.end >= since
    ]
    spans += [
        Span(each.model, now - each.age + each.queued, now, 1)
        for each in live
        if each.queued is not None and each.method == "POST"
    ]
    changes = tuple(cards.changed(change) for change in catalog.feed.changes if change.at >= since)
    return Timeline(since, now, changes, tuple(_joined(spans)))


def _joined(spans: Iterable[Span]) -> Sequence[Span]:
    """Those that touch, as one."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.model, span.begin)):
        last = joined[-1] if joined else None
        if last is not None and last.model == span.model and span.begin <= last.end + PAUSE:
            both = last.requests + span.requests
            joined[-1] = Span(last.model, last.begin, max(last.end, span.end), both)
        else:
            joined.append(span)
    return joined


def usage(catalog: Catalog, stats: Stats, live: Iterable[Live], key: Key, names: Iterable[str]) -> Usage:
    """What keys had; `names` are those that there are, used or not."""
    counts = stats.counts()
    asked: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for (model, route, status, name), count in counts.requests.items():
        if route:  # what is not for an engine is no use of a model
            asked[name, model][0] += count
            asked[name, model][1] += count if status >= 400 else 0
    running: dict[str, int] = defaultdict(int)
    for each in live:
        running[each.key] += 1
    limits = {said.name: said.concurrency for said in catalog.places.config.keys}
    found = sorted({*names, *(name for name, _ in asked), *running})
    return Usage(
        float(catalog.created),
        tuple(
            KeyUse(
                name,
                running[name],
                limits.get(name),
                tuple(
                    _model_use(model, total, failed, counts.tokens.get((model, name)))
                    for (owner, model), (total, failed) in sorted(asked.items())
                    if owner == name
                ),
            )
            for name in found
            if _sees(key, name)
        ),
    )


def _model_use(model: str, total: int, failed: int, tokens: Flow | None) -> ModelUse:
    return ModelUse(model, total, failed, tokens.into if tokens else 0, tokens.out if tokens else 0)


def files(found: Iterable[Read]) -> tuple[UnitFile, ...]:
    """The files of a unit."""
    return tuple(UnitFile(str(file.path), file.text, file.problem) for file in found)


def _sees(key: Key, owner: str) -> bool:
    return key.admin or key.name == owner
