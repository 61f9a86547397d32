"""Where each model runs: its unit and its engine's socket, also while the configuration says something else already.

A model that was removed, or moved to another engine, runs on as it was started until it has drained.
"""

from swapper.config import Config, Model
from swapper.core.actions import Announce
from swapper.core.scheduler import Scheduler


class Places:
    """Models by name and by unit.

    Attributes:
        config: The configuration in force.
    """

    def __init__(self, config: Config, scheduler: Scheduler) -> None:
        self.config = config
        self._scheduler = scheduler
        self._former: dict[str, Model] = {}
        self._by_unit: dict[str, Model] = {}
        self._sockets: dict[str, str] = {}
        self._index()

    def apply(self, config: Config) -> None:
        """Another configuration is in force; what runs stays where it is."""
        known = {model.name: model for model in self.config.models} | self._former
        self.config = config
        units = {model.name: model.unit for model in config.models}
        self._former = {
            name: model for name, model in known.items() if self._running(name) and units.get(name) != model.unit
        }
        self._index()

    def note(self, change: Announce) -> None:
        """A model's state has changed: where it ran is the past once it runs no more."""
        if not change.new.running:
            self.left(change.model)

    def left(self, name: str) -> None:
        """A model runs no more."""
        if self._former.pop(name, None) is not None:
            self._index()

    def of(self, name: str) -> Model:
        """The model as it runs, or would be started.

        Raises:
            KeyError: There is no such model.
        """
        model = self._former.get(name) or self.config.resolve(name)
        if model is None:
            raise KeyError(name)
        return model

    def at(self, unit: str) -> Model | None:
        """The model that a unit runs."""
        return self._by_unit.get(unit)

    def socket(self, name: str) -> str:
        """The engine's socket of a model; asked for with each request, hence made beforehand.

        Raises:
            KeyError: There is no such model.
        """
        return str(self.of(name).socket) if self._former else self._sockets[name]

    def _running(self, name: str) -> bool:
        record = self._scheduler.record(name)
        return record is not None and record.running

    def _index(self) -> None:
        self._by_unit = {model.unit: model for model in (*self._former.values(), *self.config.models)}
        self._sockets = {model.name: str(model.socket) for model in self.config.models}
