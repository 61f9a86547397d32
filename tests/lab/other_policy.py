"""The installed router with another policy in the scheduler's place: what comparisons compare with.

The policies are the simulator's own (`swapper.simulate.policies`), and all else is the router's: units, sockets, D-Bus,
the way of the bytes, what the journal is told. Only who runs when is decided by somebody else, who knows of no
failures, no adoption and no clients that leave: nothing may run when it starts, and every model has to start.

    python3 -m tests.lab.other_policy fcfs     # what swapper.service runs then, instead of swapper.router
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from swapper.core import reasons
from swapper.core.actions import Action, Announce, StartUnit, StopUnit
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, RequestOver, UnitChanged
from swapper.core.model import State
from swapper.core.reasons import Reason
from swapper.core.scheduler import Scheduler
from swapper.router import __main__ as router
from swapper.router import service
from swapper.simulate.policies import POLICIES
from swapper.simulate.world import Decider

OURS = "ours"
DROPIN = Path("/run/systemd/system/swapper.service.d/90-other-policy.conf")
ROOT = Path(__file__).parents[2]


class Guided(Scheduler):
    """Keeps the scheduler's books, which the rest of the router reads, and decides nothing."""

    def __init__(self, policy: Decider) -> None:
        """Let that one decide."""
        super().__init__()
        self._policy = policy

    def deadline(self) -> float | None:
        """When the policy wants to be told that time has passed."""
        return self._policy.deadline()

    def handle(self, event: Event, now: float) -> list[Action]:
        """Let the policy decide, if it is an event that policies of the simulator know."""
        known = self._known(event, now)
        for action in self._policy.handle(known, now) if known is not None else ():
            self._book(action, now)
        actions, self._actions = self._actions, []
        return actions

    def _known(self, event: Event, now: float) -> Event | None:
        match event:
            case ConfigApplied() if not self._records:
                super().handle(event, now)
                return event
            case UnitChanged():
                return self._unit_news(event, now)
            case RequestArrived() | RequestOver():
                return event
            case _:
                return None  # a configuration that is read again, too: it is the same

    def _unit_news(self, event: UnitChanged, now: float) -> UnitChanged | None:
        """What a virtual host tells: that a unit is ready, or gone, each once."""
        record = self._records[event.model]
        gone = event.active in {ActiveState.INACTIVE, ActiveState.FAILED}
        if record.state is State.STARTING and event.active is ActiveState.FAILED:
            raise RuntimeError(f"{event.model} did not start: nothing can be compared")
        if record.state is State.STARTING and event.active is ActiveState.ACTIVE:
            self._enter(record, State.READY, reasons.LOADED, now, timeout=None, took=event.took)
        elif record.state is State.STOPPING and gone:
            self._enter(record, State.STOPPED, reasons.stopped(record.reason), now, timeout=None, took=event.took)
            event = replace(event, active=ActiveState.INACTIVE)
        else:
            return None
        return event

    def _book(self, action: Action, now: float) -> None:
        """Note what was decided, and have it done."""
        match action:
            case StartUnit():
                self._note(action.model, State.STARTING, reasons.ASKED, now)
            case StopUnit():
                self._note(action.model, State.STOPPING, self._records[action.model].reason, now)
            case Announce():
                self._note(action.model, action.new, action.reason, now)
                return  # noting it has announced it
        self._actions.append(action)

    def _note(self, model: str, state: State, reason: Reason, now: float) -> None:
        self._enter(self._records[model], state, reason, now, timeout=None, took=None)


@contextlib.contextmanager
def in_charge(policy: str) -> Iterator[None]:
    """The next start of swapper.service is under this policy; `ours` is the router as it is installed."""
    if policy != OURS:
        DROPIN.parent.mkdir(parents=True, exist_ok=True)
        DROPIN.write_text(
            f"[Service]\nEnvironment=PYTHONPATH=/usr/share/swapper:{ROOT}\nExecStart=\n"
            f"ExecStart=/usr/bin/python3 -P -s -m tests.lab.other_policy {policy}\n"
        )
    try:
        yield
    finally:
        DROPIN.unlink(missing_ok=True)


def main() -> int:
    """The router's own main, with the policy that is named first."""
    policy = POLICIES[sys.argv.pop(1)]
    # The one place where the router makes its scheduler; it has no other door, since nobody else needs one.
    vars(service)["Scheduler"] = lambda: Guided(policy())
    return router.main()


if __name__ == "__main__":
    sys.exit(main())
