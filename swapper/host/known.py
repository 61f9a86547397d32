"""What systemd last said of each unit, and what of it is news. Pure: whatever arrives is passed in, in order."""

from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from swapper.host.status import UnitStatus, unit_of


class Known:
    """The units that match some patterns."""

    def __init__(self, patterns: Iterable[str], on_news: Callable[[UnitStatus], None]) -> None:
        """Know nothing yet.

        Args:
            patterns: Shell patterns of unit names.
            on_news: Called with each status that is news.
        """
        self.patterns: Final = tuple(patterns)
        self._on_news = on_news
        self._units: dict[str, UnitStatus] = {}
        self._announced: dict[str, Mapping[str, Any]] = {}

    def name_of(self, path: str) -> str:
        """Unit at a D-Bus object path; empty if it is none of ours."""
        unit = unit_of(path)
        return unit if self.wants(unit) else ""

    def wants(self, unit: str) -> bool:
        """Whether a unit is one of ours."""
        return any(fnmatchcase(unit, pattern) for pattern in self.patterns)

    def seen(self, unit: str) -> UnitStatus:
        """How a unit was last; inactive if it never was heard of."""
        return self._units.get(unit) or UnitStatus(unit)

    def service_changed(self, unit: str, properties: Mapping[str, Any]) -> None:
        """Half of a change: it counts when the other half, the unit's, is here."""
        self._announced[unit] = properties

    def unit_changed(self, unit: str, properties: Mapping[str, Any]) -> UnitStatus:
        """The other half."""
        return self.read(unit, {**self._announced.pop(unit, {}), **properties})

    def read(self, unit: str, properties: Mapping[str, Any]) -> UnitStatus:
        """Properties of a unit that systemd announced or answered."""
        before = self.seen(unit)
        now = before.updated(properties)
        if self.wants(unit):
            self._units[unit] = now
            if now.news(before):
                self._on_news(now)
        return now

    def loaded(self, units: Collection[str]) -> None:
        """These units are loaded, and no others: so those are inactive."""
        for unit in sorted(self._units.keys() - set(units)):
            was, now = self._units.pop(unit), UnitStatus(unit)
            if now.news(was):
                self._on_news(now)
