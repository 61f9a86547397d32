"""Models that take turns on the real systemd and with real engines: few swaps for many answers, and nobody starves."""

import math
import re
import time
from dataclasses import dataclass, field

from tests.job.house import Answer, Load, ask, chat, configure, journal, sentence

TURNS = """
turns: {min_hold: 2s, swap_share: 20%}
models:
  alpha: {engine: llama, model: alpha.gguf, context: 2048}
  beta: {engine: llama, model: beta.gguf, context: 2048}
"""


def starts() -> int:
    """How often a model has been started by the router that runs."""
    return journal("swapper").count("-> starting")


def test_clients_that_ask_one_after_the_other_share_turns() -> None:
    configure(TURNS)
    before = starts()
    with Load("alpha", clients=1) as one, Load("beta", clients=1) as other:
        one.answers(60)
        other.answers(60)
    assert one.failures == other.failures == []
    answers = sum(load.statuses.get("200", 0) for load in (one, other))
    assert answers >= 120
    assert (starts() - before) * 5 < answers, "each start serves many"


def test_a_greedy_model_does_not_keep_a_patient_one_waiting() -> None:
    configure(TURNS)
    chat("beta")
    with Load("alpha", clients=4) as greedy:
        greedy.answers(20)
        for _ in range(3):
            asked = time.monotonic()
            assert chat("beta").content == sentence("beta")
            # The bound itself, of what was measured, is the next test's.
            assert time.monotonic() - asked < 40, "a turn, a stop and a load take a few seconds"
            greedy.answers(20)
    assert greedy.failures == []
    assert set(greedy.statuses) == {"200"}


def timing(answer: Answer) -> dict[str, float]:
    """What the router says of an answer's time, in seconds (`Server-Timing`)."""
    entries = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"])
    return {name: float(milliseconds) / 1e3 for name, milliseconds in entries}


def longest(model: str, old: str, new: str) -> float:
    """The longest that such a change of a model's state took, as the router has it."""
    changes = ask("GET", "/api/models").json["changes"]
    return max(float(c["lasted"]) for c in changes if (c["model"], c["old"], c["new"]) == (model, old, new))


@dataclass
class Greedy(Load):
    """Clients that ask without a pause; how long the engine took for each answer."""

    took: list[float] = field(default_factory=list)

    def _ask(self) -> None:
        while not self._stop.is_set():
            answer = chat(self.model, "LOOP", max_tokens=50)
            self.statuses[str(answer.status)] = self.statuses.get(str(answer.status), 0) + 1
            self.took.append(timing(answer)["engine"])
            self._answered.release()


def test_a_patient_one_waits_no_longer_than_the_bound_that_is_written_down() -> None:
    """HACKING.md, "Who runs when", (b), for two models, of what the router itself has measured."""
    configure(TURNS.replace("context: 2048", "context: 8192, concurrency: 2, args: [--threads, '1']"))
    slots, clients, hold, factor = 2, 6, 2.0, 4.0
    patient: list[dict[str, float]] = []
    began = time.monotonic()
    with Greedy("alpha", clients) as greedy:
        greedy.answers(10)
        for _ in range(3):
            answer = chat("beta")
            assert answer.content == sentence("beta")
            patient.append(timing(answer))
            greedy.answers(20)
        load = {name: longest(name, "starting", "ready") for name in ("alpha", "beta")}
        cost = {name: load[name] + longest(name, "stopping", "stopped") for name in load}
        theirs, own = max(greedy.took), max(times["engine"] for times in patient)
        quantum = max(hold, factor * cost["alpha"])
        turn = max(quantum, math.ceil(clients / slots) * theirs)
        bound = cost["alpha"] + turn + theirs + cost["beta"] + own + own + load["beta"] + own
        while time.monotonic() < began + 2 * bound:
            greedy.answers(10)
    assert set(greedy.statuses) == {"200"}, greedy.failures
    waits = [times["queue"] + times["load"] for times in patient]
    # The way of orders and reports through D-Bus is not in it, and others use this machine's processors too.
    assert max(waits) <= 1.5 * bound + 1.0, (waits, bound, cost, theirs)
    assert min(waits) > 0.1, "each had to wait for a load, at least"
