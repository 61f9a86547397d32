"""What a request waits for, in a sentence for whoever sent it."""

from typing import assert_never

from swapper.core.model import State
from swapper.core.record import Record
from swapper.core.scheduler import Scheduler
from swapper.router.feed import Feed
from swapper.router.runtime import Runtime, Ticket


class Situation:
    """Looks at everything and changes nothing."""

    def __init__(self, scheduler: Scheduler, feed: Feed, runtime: Runtime) -> None:
        self._scheduler = scheduler
        self._feed = feed
        self._runtime = runtime

    def __call__(self, model: str, ticket: Ticket | None) -> str:
        """Such as `devstral is loading, 43 %` or `devstral waits for glm, which answers 2 requests; you are 3rd`."""
        record = self._scheduler.record(model)
        if record is None:
            return f"waiting for {model}"
        place = self._runtime.place(ticket) if ticket is not None else 0
        behind = f"; place {place} in the queue" if place > 1 else ""
        return f"{self._state(record)}{behind}"

    def _state(self, record: Record) -> str:
        name = record.name
        match record.state:
            case State.STARTING:
                percent = self._feed.percent(name)
                return f"{name} is loading" if percent is None else f"{name} is loading, {percent:.0f} %"
            case State.READY:
                return f"{name} is busy with {len(record.leases)} other request{'s' * (len(record.leases) != 1)}"
            case State.DRAINING | State.STOPPING:
                return f"{name} is {record.state}, and will be loaded again"
            case State.STOPPED | State.PARKED | State.FAILED | State.INCOMPLETE | State.DISABLED:
                return self._in_the_way(record)
            case _:
                assert_never(record.state)

    def _in_the_way(self, record: Record) -> str:
        """Who makes room for a model that is not there, or stands before it in line."""
        starting = next((other.name for other in record.companions if other.state is State.STARTING), None)
        if starting is not None:
            return f"{record.name} will be loaded after {starting}, which is loading"
        for other in self._scheduler.records():
            if other.drained_for == record.name:
                left = len(other.leases)
                what = "its request" if left == 1 else f"its {left} requests"
                return f"{record.name} will be loaded when {other.name} has ended {what}"
        ahead = [name for name in self._scheduler.claims if name != record.name]
        leaving = [other.name for other in self._scheduler.records() if other.state is State.STOPPING]
        if leaving:
            return f"{record.name} will be loaded when {', '.join(leaving)} has stopped"
        return f"{record.name} will be loaded after {', '.join(ahead)}" if ahead else f"{record.name} will be loaded"
