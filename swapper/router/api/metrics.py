"""`/metrics`: what the router counted, what is so now, and what engines measure, in the format that the client reads.

This file brings in Prometheus' client library, so it is imported at the first scrape. The work is done in a thread: it
takes tens of milliseconds with a hundred models, and streams go on meanwhile.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from swapper.core.model import WHOLE, State
from swapper.router.api import engine_metrics, families
from swapper.router.api.parts import Parts
from swapper.router.stats import Counts

_ANSWERS = frozenset({State.READY, State.DRAINING})


async def expose(parts: Parts, accept: str) -> tuple[bytes, str]:
    """All metrics.

    Args:
        parts: What is looked at.
        accept: The client's `Accept` header: OpenMetrics where it asks for that, else Prometheus' text format.

    Returns:
        The text, and its content type.
    """
    scrapes, _ = await asyncio.gather(engine_metrics.scrape(_sockets(parts)), parts.look())
    return await asyncio.to_thread(encode, parts.stats.counts(), _now(parts), scrapes, accept)


def _sockets(parts: Parts) -> Mapping[str, str]:
    """Of engines that answer."""
    names = [record.name for record in parts.runtime.scheduler.records() if record.state in _ANSWERS]
    return {name: parts.catalog.places.socket(name) for name in names}


def _now(parts: Parts) -> families.Now:
    scheduler, measured = parts.runtime.scheduler, parts.catalog.measured
    models = [
        families.ModelNow(
            name=record.name,
            state=record.appears,
            leases=len(record.leases),
            waiting=len(record.waiting),
            shares=[(demand.gpu, demand.parts / WHOLE) for demand in record.holds if demand.real],
            uses=measured.uses(record, parts.catalog.places.of(record.name).unit) if record.holds else (),
        )
        for record in scheduler.records()
    ]
    cards = [card for gpu in scheduler.gpus if (card := measured.card(gpu.index)) is not None]
    return families.Now(models, len(scheduler.claims), parts.connections(), len(parts.directory.mistakes), cards)


def encode(
    counts: Counts, now: families.Now, scrapes: Sequence[engine_metrics.Scrape], accept: str
) -> tuple[bytes, str]:
    """What `expose` returns, of what was looked at. To be done in a thread."""
    registry = CollectorRegistry()
    registry.register(_Found(engine_metrics.merge(families.own(counts, now), scrapes)))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Found(Collector):
    """Families that have been collected already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found
