"""What engines measure themselves, asked of each over its socket and merged into one exposition under a `model` label.

Asking takes no lease and starts nothing, so it keeps no model from being swapped or stopped when idle. An engine that
does not answer in time, or has no metrics, is left out; who was left out is a metric too.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

PATIENCE = 1.0
"""Seconds that an engine has for its answer; Prometheus gives the router ten."""

MOST = 4 << 20
"""Bytes of the longest answer that is read; vLLM's is some 100 KiB."""

_MISNAMED = re.compile(r"^# TYPE (\S+)(?<!_total) counter$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Scrape:
    """What an engine said.

    Attributes:
        model: The model that it runs.
        text: Its metrics, in Prometheus' text format; None where there were none to be had.
    """

    model: str
    text: str | None


async def scrape(sockets: Mapping[str, str]) -> Sequence[Scrape]:
    """Ask all engines at once; `sockets` are theirs, by model."""
    answers = await asyncio.gather(*(_ask(socket) for socket in sockets.values()))
    return [Scrape(model, text) for model, text in zip(sockets, answers, strict=True)]


async def _ask(socket: str) -> str | None:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket), timeout=timeout) as session,
            session.get("http://localhost/metrics", allow_redirects=False) as response,
        ):
            if response.status != 200:
                return None
            data = bytearray()
            async for block in response.content.iter_any():
                data += block
                if len(data) > MOST:
                    return None
            return data.decode()
    except (OSError, TimeoutError, aiohttp.ClientError, UnicodeDecodeError):
        return None


def merge(families: Iterable[Metric], scrapes: Sequence[Scrape]) -> Sequence[Metric]:
    """All families, each once: the router's, and the engines' with the model that each sample is of.

    Where an engine means something else by a name than who used it first, its family is left out.
    """
    merged = {family.name: family for family in families}
    text = "1 where a ready model's engine gave its own metrics."
    answered = GaugeMetricFamily("swapper_engine_scrape_ok", text, labels=["model"])
    for each in scrapes:
        found = _parse(each.text or "")
        answered.add_metric([each.model], int(bool(found)))
        for family in found:
            into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            if into.type == family.type:
                into.samples.extend(_labelled(sample, each.model) for sample in family.samples)
    return [answered, *merged.values()]


def _parse(text: str) -> Sequence[Metric]:
    """An engine's families, without what OpenMetrics has no place for; none where the text makes no sense.

    That is `_created`, which Prometheus' libraries make a gauge of in the text format; and counters whose name does not
    end in `_total`: the parser would make such a name up, so they are passed on as untyped.
    """
    try:
        families = list(text_string_to_metric_families(_MISNAMED.sub(r"# TYPE \1 untyped", text)))
    except (ValueError, LookupError):
        return ()
    return [family for family in families if family.samples and not family.name.endswith("_created")]


def _labelled(sample: Sample, model: str) -> Sample:
    """The same sample, of a model. What the engine itself calls `model` is renamed as Prometheus does it."""
    labels = dict(sample.labels)
    name = "model"
    while name in labels:
        name = f"exported_{name}"
    if name != "model":
        labels[name] = labels["model"]
    return Sample(sample.name, {**labels, "model": model}, sample.value)
