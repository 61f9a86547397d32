"""Orders to start targets, told as they are given and as they are over: before anything comes of them.

systemd announces each job as it is queued (`JobNew`), hence before the first unit that the target wants is started, and
before the first that stands in its way is stopped. What kind of job it is has to be asked (org.freedesktop.systemd1(5),
"Job Objects", `JobType`).
"""

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from typing import Final

from swapper.host.bus import PROPERTIES, Bus, Untyped

_JOB: Final = "org.freedesktop.systemd1.Job"


class Targets:
    """Targets that match some patterns."""

    def __init__(self, patterns: Iterable[str], on_order: Callable[[str, bool], None]) -> None:
        """Know of no order.

        Args:
            patterns: Shell patterns of unit names.
            on_order: Called with a target's name, and whether its start was ordered just now or is over, however. Of
                a start for which nothing is left to do nothing is told.
        """
        self._patterns = tuple(patterns)
        self._on_order = on_order
        self._ordered: dict[str, str] = {}

    def job_new(self, bus: Bus, arguments: tuple[Untyped, ...]) -> None:
        """A job has been queued."""
        _, path, unit = arguments
        if any(fnmatchcase(unit, pattern) for pattern in self._patterns):

            def read(reply: Untyped) -> None:
                if reply.unpack()[0] == "start":
                    self._ordered[path] = unit
                    self._on_order(unit, True)

            asking = bus.call(path, PROPERTIES, "Get", ("(ss)", (_JOB, "JobType")), read)
            asking.add_done_callback(lambda done: done.exception())  # then it is over already

    def job_removed(self, path: str) -> None:
        """A job is over."""
        unit = self._ordered.pop(path, None)
        if unit is not None:
            self._on_order(unit, False)

    def settle(self, going: Collection[str]) -> None:
        """These jobs are queued, and no others."""
        for path in self._ordered.keys() - set(going):
            self.job_removed(path)
