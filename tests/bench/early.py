"""A swap to a model of vLLM behind a stream, with and without an early start, in turns.

    tests/run --vllm --command python3 -m tests.bench.early [--calm] [--rounds 3] [--drain 30]

The victim (llama-server) has a stream that goes on for `--drain` seconds after the other model was asked for; meanwhile
vLLM imports its modules, or is not there yet. Its model is tiny and everything is in the page cache from a start before
the first round: so a start is processor time, of which this shows the part that is hidden. On a CPU vLLM starts three
processes that import one after the other, and hardly loads anything; on a GPU it is two, and the load comes on top.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import calm, figures
from tests.bench.figures import Series
from tests.job import house
from tests.vllm import rig

VICTIM, NEXT = "early-victim", "early-next"
CONFIG = f"""
router: {{early_start: EARLY}}
engines: {{vllm: {{path: {os.environ.get("SWAPPER_TEST_VLLM", "")}}}}}
models:
  {VICTIM}: {{engine: llama, model: {VICTIM}.gguf, context: 2048, args: [--context-shift, --threads, '1']}}
  {NEXT}: {{engine: vllm, model: {os.environ.get("SWAPPER_TEST_VLLM_TEXT", "")}, context: 1024, load_timeout: 10min,
    args: [--enforce-eager], env: {{VLLM_CPU_KVCACHE_SPACE: "1"}}}}
"""


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap.

    Attributes:
        drained: Seconds from the request to the end of the victim's stream.
        waited: Seconds from there to the answer.
        memory: Megabytes that the waiting unit had when the stream ended.
    """

    drained: float
    waited: float
    memory: float


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drain", type=float, default=30.0, help="seconds that the victim's stream goes on")
    options = parser.parse_args()
    house.reset()
    house.write_gguf(VICTIM)
    _configure(early=False)
    assert _ask() == 200
    figures.heading(f"A swap to vLLM behind a stream of {options.drain:g} s, {options.rounds} times")
    with calm.calm(options.calm):
        ways: dict[str, list[Swap]] = {"without": [], "with": []}
        for _ in range(options.rounds):
            for way, swaps in ways.items():
                swaps.append(_swap(options.drain, early=way == "with"))
    _print(ways)
    house.reset()


def _configure(*, early: bool) -> None:
    house.configure(CONFIG.replace("EARLY", "true" if early else "false"))


def _swap(drain: float, *, early: bool) -> Swap:
    _configure(early=early)
    assert house.chat(VICTIM).status == 200
    statuses: list[int] = []
    with house.stream(VICTIM):
        with house.watching(VICTIM, "draining") as draining:
            asked = time.monotonic()
            asking = threading.Thread(target=lambda: statuses.append(_ask()))
            asking.start()
            draining()
        # Nothing is read, so that the victim leaves the processor to others.
        time.sleep(max(0.0, asked + drain - time.monotonic()))
        assert ("waits for its GPU" in house.show(rig.unit(NEXT), "StatusText")) is early
        memory = sum(_resident(pid) for pid in rig.processes(rig.unit(NEXT)))
    ended = time.monotonic()
    asking.join()
    answered = time.monotonic()
    assert statuses == [200]
    return Swap(ended - asked, answered - ended, memory)


def _resident(pid: int) -> float:
    """Megabytes of a process."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:  # noqa: PTH123 — one line of it
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS")) / 1e6


def _ask() -> int:
    body = json.dumps(house.question(NEXT, max_tokens=4)).encode()
    with contextlib.closing(house.connect(timeout=900)) as connection:
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        return connection.getresponse().status


def _print(ways: dict[str, list[Swap]]) -> None:
    def row(label: str, name: str, digits: int = 1) -> Sequence[str]:
        series = (Series.of(getattr(swap, name) for swap in swaps) for swaps in ways.values())
        return (label, *(one.text(digits=digits) for one in series))

    figures.table([
        ("", *ways),
        row("request → end of the victim's stream, s", "drained"),
        row("end of the stream → answer, s", "waited"),
        row("memory of who waits, when the stream ends, MB", "memory", digits=0),
    ])  # fmt: skip
    waits = {way: Series.of(swap.waited for swap in swaps) for way, swaps in ways.items()}
    whole = {way: Series.of(swap.drained + swap.waited for swap in swaps) for way, swaps in ways.items()}
    print()
    figures.table([
        ("the wait after the stream, beside that without an early start",
         (waits["with"] / waits["without"]).text(digits=2)),
        ("and the whole wait of the request", (whole["with"] / whole["without"]).text(digits=2)),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
