"""Scripts for the scheduler: events in, expected actions out, invariants checked after every step."""

from collections.abc import Sequence
from itertools import count

from swapper.core.actions import Abort, Action, Admit, Announce, Reject, StartUnit, StopUnit
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, RequestOver, TimePassed, UnitChanged
from swapper.core.invariants import validate
from swapper.core.model import Demand, Failure, Gpu, ModelSpec, Policy, State, Turns
from swapper.core.scheduler import Scheduler


def spec(name: str, *gpus: int, parts: int = 1_000_000, pinned: bool = False, ttl: float | None = None,
         concurrency: int | None = None, queue: int | None = None, queue_timeout: float | None = None,
         fingerprint: str = "", priority: int = 0) -> ModelSpec:  # fmt: skip
    return ModelSpec(
        name,
        tuple(Demand(gpu, parts) for gpu in gpus or (0,)),
        pinned=pinned,
        ttl=ttl,
        concurrency=concurrency,
        queue=queue,
        queue_timeout=queue_timeout,
        fingerprint=fingerprint,
        priority=priority,
    )


NO_TURNS = Turns(min_hold=0.0, swap_share=1.0)
"""Whoever wants a place is let in as soon as the model there has served whom it owes that."""


class Playbook:
    """A scheduler with a clock that the script moves, and systemd played by the script."""

    def __init__(
        self, *models: ModelSpec, pack: bool = False, gpus: Sequence[int] = (0, 1), turns: Turns = NO_TURNS
    ) -> None:
        self.scheduler = Scheduler()
        self.turns = turns
        self.now = 100.0
        self.policy = Policy.PACK if pack else Policy.EXCLUSIVE
        self.gpus = tuple(Gpu(index, self.policy) for index in gpus)
        self.requests = count(1)
        self.invocations = count(1)
        self.announced: list[Announce] = []
        self.configure(*models)

    def configure(self, *models: ModelSpec) -> list[Action]:
        return self.feed(ConfigApplied(models, self.gpus, self.turns))

    def feed(self, event: Event) -> list[Action]:
        """Handle one event; returns all actions but announcements, which are kept aside."""
        actions = self.scheduler.handle(event, self.now)
        validate(self.scheduler)
        self.announced += [action for action in actions if isinstance(action, Announce)]
        return [action for action in actions if not isinstance(action, Announce)]

    def ask(self, model: str, *, light: bool = False, priority: int = 0) -> tuple[int, list[Action]]:
        request = next(self.requests)
        return request, self.feed(RequestArrived(request, model, light, priority))

    def over(self, request: int) -> list[Action]:
        return self.feed(RequestOver(request))

    def unit(
        self, model: str, active: ActiveState, *, failure: Failure | None = None, new: bool = False,
        slots: int | None = None
    ) -> list[Action]:  # fmt: skip
        record = self.scheduler.record(model)
        known = record.invocation if record else ""
        invocation = f"i{next(self.invocations)}" if new else known
        return self.feed(UnitChanged(model, active, invocation, failure, slots))

    def comes_up(self, model: str, *, after: float = 0.0, slots: int | None = None) -> list[Action]:
        """The unit goes through activating to active, in a new invocation."""
        actions = self.unit(model, ActiveState.ACTIVATING, new=True)
        return actions + self.passes(after) + self.unit(model, ActiveState.ACTIVE, slots=slots)

    def told(self, model: str, slots: int) -> list[Action]:
        """The engine says how much it does at once."""
        return self.unit(model, ActiveState.ACTIVE, slots=slots)

    def goes_down(self, model: str) -> list[Action]:
        """The unit goes through deactivating to inactive."""
        return self.unit(model, ActiveState.DEACTIVATING) + self.unit(model, ActiveState.INACTIVE)

    def fails(self, model: str, code: str = "model_failed") -> list[Action]:
        failure = Failure(code, f"{model} failed")
        return self.unit(model, ActiveState.FAILED, failure=failure, new=True)

    def passes(self, seconds: float) -> list[Action]:
        """Time passes, with `TimePassed` at each deadline on the way."""
        end = self.now + seconds
        actions: list[Action] = []
        while (deadline := self.scheduler.deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            actions += self.feed(TimePassed())
        self.now = end
        return actions

    def ready(self, model: str, *, after: float = 0.0, slots: int | None = None) -> int:
        """Have a model loaded by a request, which is left running."""
        request, actions = self.ask(model)
        assert actions == [StartUnit(model)]
        assert self.comes_up(model, after=after, slots=slots) == [Admit(request, model, after)]
        return request

    def answers(self, model: str, *seconds: float) -> None:
        """A ready model answers requests that take so long, one after the other."""
        for duration in seconds:
            request, actions = self.ask(model)
            assert actions == [Admit(request, model)]
            self.passes(duration)
            self.over(request)

    def state(self, model: str) -> State:
        record = self.scheduler.record(model)
        assert record is not None
        return record.state

    def leases(self, model: str) -> set[int]:
        record = self.scheduler.record(model)
        return set(record.leases) if record else set()


__all__ = ["Abort", "Admit", "Playbook", "Reject", "StartUnit", "StopUnit", "spec"]
