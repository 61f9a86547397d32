"""A swap to a model of gigabytes that is not in the page cache, with and without reading ahead, in turns.

    tests/run --command python3 -m tests.bench.readahead [--calm] [--rounds 5] [--size-mb 2500] [--drain 4]

The victim has a stream that goes on for `--drain` seconds after the big model was asked for; meanwhile the disk has
nothing to do, or reads ahead. The file has real bytes, and is dropped from the page cache before each swap; what the
engine and the router had to fetch from the disk stands beside the times (`read_bytes` of proc_pid_io(5)), so that a
cache that was warm after all would show. The engine reads the whole file at its start (`-lm none`). For comparison:
the same swap with the file in the cache, which is the most that there is to be gained.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import calm, figures
from tests.bench.figures import Series
from tests.job import house
from tests.lab.cache import cached, forget

BIG, SMALL = "readahead-big", "readahead-small"
CONFIG = f"""
router: {{read_ahead: AHEAD}}
models:
  {SMALL}: {{engine: llama, model: {SMALL}.gguf, context: 2048, args: [--context-shift, --threads, '1']}}
  {BIG}: {{engine: llama, model: {BIG}.gguf, context: 2048, args: [-lm, none, --threads, '1']}}
"""
BLOCK = 16 << 20


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap.

    Attributes:
        drained: Seconds from the request to the end of the victim's stream.
        waited: Seconds from there to the answer.
        in_cache: How much of the file was in the cache when the stream ended, of 1.
        engine: Megabytes that the engine had to fetch from the disk.
        router: Megabytes that the router had fetched.
    """

    drained: float
    waited: float
    in_cache: float
    engine: float
    router: float


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size-mb", type=int, default=2500)
    parser.add_argument("--drain", type=float, default=4.0, help="seconds that the victim's stream goes on")
    options = parser.parse_args()
    house.reset()
    house.write_gguf(SMALL)
    big = house.MODELS / f"{BIG}.gguf"
    house.write_gguf(BIG, size_mb=options.size_mb)
    _fill(big)
    figures.heading(
        f"A swap to {big.stat().st_size / 1e9:.1f} GB behind a stream of {options.drain:g} s, {options.rounds} times"
    )
    with calm.calm(options.calm):
        ways: dict[str, list[Swap]] = {"without": [], "with": [], "all in the cache": []}
        for _ in range(options.rounds):
            for way, swaps in ways.items():
                swaps.append(_swap(big, options.drain, ahead=way == "with", warm=way == "all in the cache"))
    _print(ways)
    house.reset()
    big.unlink()


def _fill(path: Path) -> None:
    """Holes cost no reading: write what is in them."""
    with path.open("r+b") as file:
        for offset in range(0, path.stat().st_size, BLOCK):
            file.seek(offset)
            block = file.read(BLOCK)
            file.seek(offset)
            file.write(block)


def _swap(big: Path, drain: float, *, ahead: bool, warm: bool) -> Swap:
    house.configure(CONFIG.replace("AHEAD", "true" if ahead else "false"))
    assert house.chat(SMALL).content == house.sentence(SMALL)
    forget(big)
    if warm:
        with big.open("rb", buffering=0) as file:
            while file.read(BLOCK):
                pass
    there = _part(cached(big))
    assert there > 0.99 if warm else there < 0.01, there
    router = int(house.show("swapper.service", "MainPID"))
    before = _fetched(router)
    answers: list[str] = []
    with house.stream(SMALL) as response:
        with house.watching(SMALL, "draining") as draining:
            asked = time.monotonic()
            asking = threading.Thread(target=lambda: answers.append(house.chat(BIG).content))
            asking.start()
            draining()
        while time.monotonic() < asked + drain:
            response.read1(1 << 16)
    ended = time.monotonic()
    in_cache = _part(cached(big))
    asking.join()
    answered = time.monotonic()
    assert answers == [house.sentence(BIG)]
    engine = _fetched(int(house.show(f"llama@{BIG}", "MainPID")))
    return Swap(ended - asked, answered - ended, in_cache, engine, _fetched(router) - before)


def _part(pages: Sequence[bool]) -> float:
    return sum(pages) / len(pages)


def _fetched(pid: int) -> float:
    """Megabytes that a process has fetched from a disk so far."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes")) / 1e6


def _print(ways: dict[str, list[Swap]]) -> None:
    def row(label: str, name: str, scale: float = 1.0, digits: int = 1) -> Sequence[str]:
        series = (Series.of(getattr(swap, name) for swap in swaps) for swaps in ways.values())
        return (label, *(one.text(scale, digits) for one in series))

    figures.table([
        ("", *ways),
        row("request → end of the victim's stream, s", "drained"),
        row("end of the stream → answer, s", "waited", digits=2),
        row("of the file in the cache by then, %", "in_cache", 100, 0),
        row("fetched from the disk by the engine, MB", "engine", digits=0),
        row("fetched from the disk by the router, MB", "router", digits=0),
    ])  # fmt: skip
    waits = {way: Series.of(swap.waited for swap in swaps) for way, swaps in ways.items()}
    print()
    figures.table([
        ("the wait after the stream, beside that without reading ahead",
         (waits["with"] / waits["without"]).text(digits=2)),
        ("and with all in the cache", (waits["all in the cache"] / waits["without"]).text(digits=2)),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
