"""One journal entry for each request, until there are too many: then the journal gets a count instead.

Writing an entry costs more than forwarding a short answer, and journald drops what exceeds its own limit without saying
which; so here at most `LIMIT` entries a second are written, and failures among them first.
"""

import asyncio
import logging

from swapper.router.wire.ports import Record

LIMIT = 50
"""Entries a second."""

_LOG = logging.getLogger(__name__)


class RequestLog:
    """Notes what became of requests."""

    def __init__(self) -> None:
        self._written = 0
        self._skipped = 0
        self._window: asyncio.TimerHandle | None = None

    def __call__(self, record: Record) -> None:
        """A request is over."""
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(1.0, self._next_window)
        if self._written >= LIMIT * (2 if record.reason else 1):
            self._skipped += 1
            return
        self._written += 1
        outcome = f"{record.status} {record.reason}".rstrip()
        broke_off = record.status == 200 and record.reason not in {"", "client_gone"}
        level = logging.WARNING if record.status >= 500 or broke_off else logging.INFO
        _LOG.log(
            level,
            "%s %s %s: %s in %.3f s",
            record.method,
            record.path,
            record.model or "-",
            outcome,
            record.total,
            extra={
                "MODEL": record.model,
                "REQUEST_ID": record.id,
                "KEY": record.key,
                "STATUS": record.status,
                "QUEUED_MS": _ms(record.queued),
                "FIRST_BYTE_MS": _ms(record.first),
                "TOTAL_MS": _ms(record.total),
            },
        )

    def _next_window(self) -> None:
        self._window = None
        if self._skipped:
            _LOG.info("%d more requests in the last second", self._skipped, extra={"SKIPPED": self._skipped})
        self._written = self._skipped = 0


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"
