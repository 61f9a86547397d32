"""Profiles that somebody starts: from the order on, their models are on their way, and others on their way out.

systemd stops who stands in the way first. Without this, the scheduler would see an empty GPU for a moment and load who
waits there, onto the room that was made for others.
"""

from collections.abc import Awaitable, Callable

from swapper.core.events import ActiveState, Event, UnitChanged, UnloadAsked
from swapper.core.model import State
from swapper.core.scheduler import Scheduler
from swapper.host.status import UnitRefused, UnitStatus
from swapper.profiles import leaving
from swapper.router.chores import Chores
from swapper.router.places import Places


class Profiles:
    """Tells the scheduler of models that systemd was told to start, and has not yet."""

    def __init__(self, places: Places, scheduler: Scheduler, dispatch: Callable[[Event], object]) -> None:
        """Know of no order.

        Args:
            places: Where models run.
            scheduler: To be read only.
            dispatch: Where events go.
        """
        self._places = places
        self._scheduler = scheduler
        self._dispatch = dispatch
        self._chores = Chores()

    def ordered(self, target: str, begins: bool, status: Callable[[str], Awaitable[UnitStatus]]) -> None:
        """The start of a profile's target was ordered, or is over; `status` says what became of a unit."""
        config = self._places.config
        profile = next((profile for profile in config.profiles if profile.unit == target), None)
        if profile is None:
            return
        members = [record for name in profile.models if (record := self._scheduler.record(name)) is not None]
        if not begins:
            for record in members:
                if record.state is State.STARTING and not record.invocation:
                    self._chores.spawn(self._look(record.name, status), f"look at {record.name}")
            return
        # First, lest somebody who may stay be taken for too much.
        for model in leaving(config, [model for model in config.models if model.name in profile.models]):
            self._dispatch(UnloadAsked(model.name))
        for record in members:
            if not record.state.resident:
                self._dispatch(UnitChanged(record.name, ActiveState.ACTIVATING))

    async def close(self) -> None:
        """Look at nothing any more."""
        await self._chores.close()

    async def _look(self, name: str, status: Callable[[str], Awaitable[UnitStatus]]) -> None:
        """What became of a model that was to start: perhaps nothing, of which systemd has no news."""
        try:
            seen = await status(self._places.of(name).unit)
        except UnitRefused:
            return  # whatever it does is read anew when systemd is there again
        record = self._scheduler.record(name)
        if record is not None and record.state is State.STARTING and not record.invocation and not seen.running:
            self._dispatch(UnitChanged(name, seen.active))
