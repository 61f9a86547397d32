"""A workload of the simulator, played to the installed router by real clients, and what was seen of it.

What a request takes is said in seconds there and in tokens here: `rate` of them are taken to come in a second. What
came of it is a workload again, with the times that the router's journal has: how long each answer really took from its
lease to its end, the pauses between a client's requests, as the router saw them, and loads and stops. Where the
workload says how much slower an engine is with each request beside others (`Model.speeds`), that is taken out of what
an answer took: what is left is its own. So the simulator can be asked what it makes of the very same run.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from swapper.simulate import journal
from swapper.simulate.sharing import Sharing
from swapper.simulate.workload import Ask, Workload
from tests.job import house


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as the router has it in its journal. Times are of CLOCK_REALTIME, in seconds.

    Attributes:
        model: Whom it was for.
        arrived: When it was there, body and all.
        waited: Until it had its lease.
        over: When its lease ended.
    """

    model: str
    arrived: float
    waited: float
    over: float

    @property
    def took(self) -> float:
        """How long it had its lease."""
        return self.over - self.arrived - self.waited


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a model's state, as the router wrote it to the journal, and when (CLOCK_REALTIME, in seconds)."""

    model: str
    old: str
    new: str
    at: float


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
        return max(heard.over for heard in self.all) - min(heard.arrived for heard in self.all)

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
    clients: list[list[str]] = [[] for _ in workload.clients]
    asks = list(workload.asks)
    opened = [""] * len(asks)

    def client(script: Sequence[Ask], ids: list[str]) -> None:
        for ask in script:
            _pause(ask.think if ids else begin + ask.at - time.monotonic())
            ids.append(_ask(ask, rate))

    def one(position: int, ask: Ask) -> None:
        _pause(begin + ask.at - time.monotonic())
        opened[position] = _ask(ask, rate)

    threads = [threading.Thread(target=client, args=pair) for pair in zip(workload.clients, clients, strict=True)]
    threads += [threading.Thread(target=one, args=pair) for pair in enumerate(asks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(opened), "an open request was not answered"
    assert list(map(len, clients)) == list(map(len, workload.clients)), "a client's request was not answered"
    lines = _recorded(sum(map(len, (opened, *clients))))
    heard = dict(_heard(lines))
    told = tuple(tuple(heard[number] for number in client) for client in clients)
    seen = tuple(heard[number] for number in opened)
    return Run(told, seen, tuple(_changes(lines)), _measured(workload, lines, told, seen))


def _pause(seconds: float) -> None:
    if seconds > 0:
        time.sleep(seconds)


def _ask(ask: Ask, rate: float) -> str:
    """Ask, and return the request's id."""
    answer = house.chat(ask.model, "LOOP", max_tokens=max(1, round(ask.seconds * rate)))
    assert answer.status == 200, answer.body
    return answer.headers["X-Request-Id"]


def _recorded(requests: int) -> list[str]:
    """What the router that runs has written to the journal, once it has so many requests."""
    run = house.show("swapper.service", "InvocationID")
    lines: list[str] = []

    def all_there() -> bool:
        lines[:] = house.run("journalctl", f"_SYSTEMD_INVOCATION_ID={run}", "--output=json").splitlines()
        return sum("TOTAL_MS" in json.loads(line) for line in lines) >= requests

    house.until(all_there, f"{requests} requests are in the journal; of more than 50 a second it is told a count only")
    return lines


def _heard(lines: Sequence[str]) -> Iterator[tuple[str, Heard]]:
    """Requests by their ids."""
    for entry in map(json.loads, lines):
        if "TOTAL_MS" in entry:
            over = int(entry["_SOURCE_REALTIME_TIMESTAMP"]) / 1e6
            total, queued = (float(entry[key]) / 1e3 for key in ("TOTAL_MS", "QUEUED_MS"))
            yield entry["REQUEST_ID"], Heard(entry["MODEL"], over - total, queued, over)


def _changes(lines: Sequence[str]) -> Iterator[Change]:
    for entry in map(json.loads, lines):
        if "NEW_STATE" in entry:
            at = int(entry["_SOURCE_REALTIME_TIMESTAMP"]) / 1e6
            yield Change(entry["MODEL"], entry["OLD_STATE"], entry["NEW_STATE"], at)


def _measured(
    workload: Workload, lines: Sequence[str], clients: Sequence[Sequence[Heard]], asks: Sequence[Heard]
) -> Workload:
    times = {model.spec.name: model for model in journal.read(lines, workload.name).models}
    models = tuple(
        replace(times[model.spec.name], spec=model.spec, speeds=model.speeds) if model.spec.name in times else model
        for model in workload.models
    )
    everybody = [heard for some in (asks, *clients) for heard in some]
    begin = min(heard.arrived for heard in everybody)
    works: dict[Heard, float] = {}
    for model in models:
        works |= _works([heard for heard in everybody if heard.model == model.spec.name], model.speeds)
    opened = sorted(Ask(heard.arrived - begin, heard.model, works[heard]) for heard in asks)
    scripts = tuple(_script(client, begin, works) for client in clients)
    return replace(workload, models=models, asks=tuple(opened), clients=scripts)


def _works(heard: Sequence[Heard], speeds: tuple[float, ...]) -> dict[Heard, float]:
    """What each of an engine's answers would have taken alone."""
    if not speeds:
        return {one: one.took for one in heard}
    sharing = Sharing(speeds)
    changes = [(one.over - one.took, True, number) for number, one in enumerate(heard)]
    changes += [(one.over, False, number) for number, one in enumerate(heard)]
    works: dict[Heard, float] = {}
    for at, begins, number in sorted(changes):
        if begins:
            sharing.begin(number, 0.0, at)
        else:
            works[heard[number]] = -sharing.end(number, at)
    return works


def _script(client: Sequence[Heard], begin: float, works: Mapping[Heard, float]) -> tuple[Ask, ...]:
    first = client[0]
    return (
        Ask(first.arrived - begin, first.model, works[first]),
        *(
            Ask(0.0, heard.model, works[heard], max(0.0, heard.arrived - before.over))
            for before, heard in pairwise(client)
        ),
    )
