"""What parked models report, and what becomes of them (`core.parking` has the rules)."""

from typing import assert_never

from swapper.core import failures, parking, reasons
from swapper.core.events import MemoryShort, ParkAsked, Parked, Weighed, Woken
from swapper.core.model import Failure, State
from swapper.core.parking import Sleep
from swapper.core.patience import Patience


class Resting(Patience):
    """Parking and waking, on top of the ends of states and of waits."""

    def not_parked(self, model: str) -> Failure | None:
        """Why a model cannot be parked as it is; None where it can, or is parked already."""
        record = self._records.get(model)
        if record is None:
            return failures.not_configured(model)
        if not record.spec.park:
            return failures.never_parked(record)
        if record.state is State.PARKED or record.sleep is Sleep.PARKING:
            return None
        if record.state not in {State.READY, State.DRAINING} or record.removed:
            return failures.nothing_to_park(record)
        if record.spec.fingerprint != record.loaded.fingerprint:
            return failures.out_of_date(record)
        return None if record.weight <= self._park_memory else failures.no_room_to_park(record, self._park_memory)

    def _rest(self, event: ParkAsked | Weighed | Parked | Woken | MemoryShort, now: float) -> None:
        match event:
            case ParkAsked():
                self._park_asked(event, now)
            case Weighed():
                self._weighed(event, now)
            case Parked():
                self._unit_parked(event, now)
            case Woken():
                self._unit_woken(event, now)
            case MemoryShort():
                self._memory_short(now)
            case _:
                assert_never(event)

    def _park_asked(self, event: ParkAsked, now: float) -> None:
        """Those that are always together with it leave with it, each as far as it can be parked itself."""
        asked = self._records.get(event.model)
        if asked is None or self.not_parked(event.model) is not None:
            return
        for record in (asked, *asked.companions):
            record.called = None
            if record.state in {State.READY, State.DRAINING} and not record.removed:
                self._drain(record, now, reasons.PARK_ASKED)

    def _weighed(self, event: Weighed, now: float) -> None:
        record = self._records.get(event.model)
        if record is None:
            return
        record.weight = event.weight
        self._fit_parked(self._park_memory, now)

    def _unit_parked(self, event: Parked, now: float) -> None:
        record = self._records.get(event.model)
        if record is None or record.state is not State.STOPPING or record.sleep is not Sleep.PARKING:
            return
        if event.failure is not None:
            self._stop(record, now, record.reason)
            return
        self._change(record, State.PARKED, reasons.parked(record.reason), now)
        record.sleep = Sleep.ASLEEP
        if record.removed:
            self._stop(record, now, reasons.REMOVED)
        elif record.spec.fingerprint != record.loaded.fingerprint:
            self._stop(record, now, reasons.CHANGED)

    def _unit_woken(self, event: Woken, now: float) -> None:
        record = self._records.get(event.model)
        if record is None or record.state is not State.STARTING or record.sleep is not Sleep.WAKING:
            return
        if event.failure is not None:
            # Those who wait for it are served by a fresh start.
            self._stop(record, now, reasons.not_woken(event.failure))
            return
        record.sleep, record.used = Sleep.AWAKE, now
        self._change(record, State.READY, reasons.WOKEN, now)

    def _memory_short(self, now: float) -> None:
        """End the model that has been parked for the longest time."""
        parked = [record for record in self._parked() if record.state is State.PARKED]
        for record in parking.longest(parked)[:1]:
            self._stop(record, now, reasons.MEMORY_SHORT)
