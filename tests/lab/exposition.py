"""Metrics as Prometheus reads them, with its client library's parsers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import prometheus_client.openmetrics.parser as openmetrics_parser
import prometheus_client.parser as text_parser
from prometheus_client import Metric

read_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families
"""Strict: it fails where the text is not what the standard says."""

read_text: Callable[[str], Iterable[Metric]] = text_parser.text_string_to_metric_families

type Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scraped:
    """All samples of one exposition, each by its name and labels."""

    families: Mapping[str, str]
    samples: Mapping[tuple[str, Labels], float]

    @classmethod
    def read(cls, text: str) -> "Scraped":
        """Read Prometheus' text format; fails when a family or a sample is there twice."""
        families = list(read_text(text))
        samples = [sample for family in families for sample in family.samples]
        read = cls(
            {family.name: family.type for family in families},
            {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples},
        )
        assert (len(read.families), len(read.samples)) == (len(families), len(samples)), "something is there twice"
        return read

    def value(self, name: str, **labels: str) -> float:
        """The sample with exactly these labels."""
        return self.samples[name, frozenset(labels.items())]

    def get(self, name: str, **labels: str) -> float:
        """All samples with at least these labels, together; 0 where there is none."""
        wanted = labels.items()
        return sum(value for (known, of), value in self.samples.items() if known == name and of >= wanted)

    def named(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """All samples of this name, with their labels."""
        return ((dict(of), value) for (known, of), value in self.samples.items() if known == name)
