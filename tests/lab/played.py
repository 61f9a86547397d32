"""A workload of the simulator, played to the installed router by real clients, and what was seen of it.

What a request takes is said in seconds there and in tokens here: `rate` of them are taken to come in a second. What
came of it is a workload again, with the times that were measured: how long each answer really took from its lease to
its end, the pauses between a client's requests, and loads and stops as the router's journal has them. So the simulator
can be asked what it makes of the very same run.
"""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from swapper.simulate import journal
from swapper.simulate.workload import Ask, Workload
from tests.job import house

_TIMING = re.compile(r"(\w+);dur=([\d.]+)")


@dataclass(frozen=True, slots=True)
class Heard:
    """One request. Times are of CLOCK_MONOTONIC, in seconds.

    Attributes:
        model: Whom it was for.
        sent: When the client began to send it.
        waited: Until it had its lease, as the router says (`Server-Timing`: queue and load).
        answered: When the answer was complete.
    """

    model: str
    sent: float
    waited: float
    answered: float


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a model's state, as the router wrote it to the journal."""

    model: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen.

    Attributes:
        clients: Each client's requests, in their order.
        asks: The open ones, in the order of the workload.
        changes: All changes of models' states, in their order.
        seen: The workload with the times that were measured.
    """

    clients: tuple[tuple[Heard, ...], ...]
    asks: tuple[Heard, ...]
    changes: tuple[Change, ...]
    seen: Workload

    @property
    def all(self) -> list[Heard]:
        """Every request."""
        return [*self.asks, *(heard for client in self.clients for heard in client)]

    @property
    def makespan(self) -> float:
        """From the first request to the end of the last answer."""
        return max(heard.answered for heard in self.all) - min(heard.sent for heard in self.all)

    @property
    def stays(self) -> list[str]:
        """Who was loaded, one after the other."""
        return [change.model for change in self.changes if change.new == "ready" and change.old == "starting"]

    @property
    def swaps(self) -> int:
        """Starts in the place of a model that was stopped, counted as the simulator does."""
        gpus = {model.spec.name: [demand.gpu for demand in model.spec.demands] for model in self.seen.models}
        vacated: set[int] = set()
        swaps = 0
        for change in self.changes:
            if change.new == "stopped":
                vacated.update(gpus[change.model])
            elif change.new == "starting":
                swaps += not vacated.isdisjoint(gpus[change.model])
                vacated.difference_update(gpus[change.model])
        return swaps


def play(workload: Workload, rate: float) -> Run:
    """Play it, on a router that runs and has loaded nothing yet, and wait for the last answer."""
    begin = time.monotonic()
    clients: list[list[Heard]] = [[] for _ in workload.clients]
    asks = list(workload.asks)
    opened: list[Heard | None] = [None] * len(asks)

    def client(script: Sequence[Ask], heard: list[Heard]) -> None:
        for ask in script:
            _pause(begin + ask.at - time.monotonic() if not heard else ask.think)
            heard.append(_ask(ask, rate))

    def one(position: int, ask: Ask) -> None:
        _pause(begin + ask.at - time.monotonic())
        opened[position] = _ask(ask, rate)

    threads = [threading.Thread(target=client, args=pair) for pair in zip(workload.clients, clients, strict=True)]
    threads += [threading.Thread(target=one, args=pair) for pair in enumerate(asks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = tuple(heard for heard in opened if heard is not None)
    done = tuple(tuple(heard) for heard in clients)
    assert len(answered) == len(asks), "an open request was not answered"
    assert list(map(len, done)) == list(map(len, workload.clients)), "a client's request was not answered"
    lines = _recorded()
    return Run(done, answered, tuple(_changes(lines)), _seen(workload, lines, begin, done, answered))


def _pause(seconds: float) -> None:
    if seconds > 0:
        time.sleep(seconds)


def _ask(ask: Ask, rate: float) -> Heard:
    sent = time.monotonic()
    answer = house.chat(ask.model, "LOOP", max_tokens=max(1, round(ask.seconds * rate)))
    answered = time.monotonic()
    assert answer.status == 200, answer.body
    timing = {name: float(value) / 1e3 for name, value in _TIMING.findall(answer.headers["Server-Timing"])}
    return Heard(ask.model, sent, timing["queue"] + timing["load"], answered)


def _recorded() -> list[str]:
    """What the router that runs has written to the journal."""
    house.run("journalctl", "--sync")
    run = house.show("swapper.service", "InvocationID")
    return house.run("journalctl", f"_SYSTEMD_INVOCATION_ID={run}", "--output=json").splitlines()


def _changes(lines: Sequence[str]) -> Iterator[Change]:
    for entry in map(json.loads, lines):
        if "NEW_STATE" in entry:
            yield Change(entry["MODEL"], entry["OLD_STATE"], entry["NEW_STATE"])


def _seen(
    workload: Workload,
    lines: Sequence[str],
    begin: float,
    clients: Sequence[Sequence[Heard]],
    asks: Sequence[Heard],
) -> Workload:
    times = {model.spec.name: model for model in journal.read(lines, workload.name).models}
    models = tuple(
        replace(model, load=times[model.spec.name].load, stop=times[model.spec.name].stop)
        if model.spec.name in times else model
        for model in workload.models
    )  # fmt: skip
    opened = sorted(Ask(heard.sent - begin, heard.model, _took(heard)) for heard in asks)
    return replace(workload, models=models, asks=tuple(opened), clients=tuple(_script(c, begin) for c in clients))


def _script(client: Sequence[Heard], begin: float) -> tuple[Ask, ...]:
    ends = [begin, *(heard.answered for heard in client)]
    return tuple(
        Ask(0.0 if position else heard.sent - begin, heard.model, _took(heard), heard.sent - end if position else 0.0)
        for position, (heard, end) in enumerate(zip(client, ends, strict=False))
    )


def _took(heard: Heard) -> float:
    return max(0.0, heard.answered - heard.sent - heard.waited)
