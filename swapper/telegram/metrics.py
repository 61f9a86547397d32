"""What the bot counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.updates = Counter(
            "swapper_telegram_updates", "Updates by what became of them.", ["kind"], registry=self.registry
        )
        self.answers = Counter(
            "swapper_telegram_answers", "Answers by how they ended.", ["outcome"], registry=self.registry
        )
        self.seconds = Histogram(
            "swapper_telegram_answer_seconds",
            "From the question to the whole answer.",
            buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600),
            registry=self.registry,
        )
        self.waiting = Gauge("swapper_telegram_waiting", "Updates that are not done.", registry=self.registry)
        self.connected = Gauge(
            "swapper_telegram_connected", "Whether Telegram was reached at the last attempt.", registry=self.registry
        )

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
