"""A swap to a model that is not in the page cache, nor is its engine, with and without reading ahead, in turns.

    tests/run --command python3 -m tests.bench.readahead [--calm] [--rounds 5] [--size-mb 2500] [--drain 4]
    tests/run --vllm --command python3 -m tests.bench.readahead --vllm [--rounds 2] [--drain 15]

The victim has a stream that goes on for `--drain` seconds after the other model was asked for; meanwhile the disk has
nothing to do, or reads ahead. Everything is dropped from the page cache before each swap: the model's file, which has
real bytes, and the engine's program and libraries, which the victim does not use, since it is of the other engine (for
llama-server a stand-in of vLLM). What the engine and the router had to fetch from the disk stands beside the times
(`read_bytes` of proc_pid_io(5)), so that a cache that was warm after all would show. llama-server reads the whole file
at its start (`-lm none`). With `--vllm` the model is tiny, so that all there is to gain is its engine's: gigabytes of
libraries, and thousands of small modules, which are dropped too and never read ahead.
For comparison: the same swap with all in the cache, which is the most that there is to be gained.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swapper import config as configuration
from swapper.engines import ENGINES
from tests.bench import calm, figures
from tests.bench.figures import Series
from tests.job import house
from tests.lab.cache import cached, forget
from tests.vllm import rig

BIG, SMALL = "readahead-big", "readahead-small"
HEAVY = f"""
router: {{read_ahead: AHEAD}}
models:
  {SMALL}: {{engine: vllm, model: {SMALL}}}
  {BIG}: {{engine: llama, model: {BIG}.gguf, context: 2048, args: [-lm, none, --threads, '1']}}
"""
VLLM = os.environ.get("SWAPPER_TEST_VLLM", "")
REAL = f"""
router: {{read_ahead: AHEAD}}
engines: {{vllm: {{path: {VLLM}}}}}
models:
  {SMALL}: {{engine: llama, model: {SMALL}.gguf, context: 2048, args: [--context-shift, --threads, '1']}}
  {BIG}: {{engine: vllm, model: {os.environ.get("SWAPPER_TEST_VLLM_TEXT", "")}, context: 1024, load_timeout: 10min,
    args: [--enforce-eager], env: {{VLLM_CPU_KVCACHE_SPACE: "1", VLLM_ENABLE_V1_MULTIPROCESSING: "0"}}}}
"""
BLOCK = 16 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """What is loaded.

    Attributes:
        config: The configuration, with AHEAD to be replaced.
        unit: What runs it.
        files: The model's files.
        programs: Those of its engine, as far as they are read ahead.
        environment: All files of its engine, as far as they are dropped from the cache.
    """

    config: str
    unit: str
    files: tuple[Path, ...]
    programs: tuple[Path, ...]
    environment: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap.

    Attributes:
        drained: Seconds from the request to the end of the victim's stream.
        waited: Seconds from there to the answer.
        in_cache: How much of the model's files was in the cache when the stream ended, of 1.
        libraries: How much of the engine's files that are read ahead was.
        engine: Megabytes that the engine had to fetch from the disk.
        router: Megabytes that the router had fetched.
    """

    drained: float
    waited: float
    in_cache: float
    libraries: float
    engine: float
    router: float


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size-mb", type=int, default=2500)
    parser.add_argument("--drain", type=float, default=4.0, help="seconds that the victim's stream goes on")
    parser.add_argument("--vllm", action="store_true", help="the real vLLM in place of llama-server")
    options = parser.parse_args()
    house.reset()
    with contextlib.nullcontext() if options.vllm else rig.standin():
        case = _real() if options.vllm else _heavy(options.size_mb)
        what = f"{_size(case.files):.1f} GB, with {_size(case.programs):.2f} GB of its engine's,"
        figures.heading(f"A swap to {what} behind a stream of {options.drain:g} s, {options.rounds} times")
        with calm.calm(options.calm):
            ways: dict[str, list[Swap]] = {"without": [], "with": [], "all in the cache": []}
            for _ in range(options.rounds):
                for way, swaps in ways.items():
                    swaps.append(_swap(case, options.drain, ahead=way == "with", warm=way == "all in the cache"))
        _print(ways)
        house.reset()
    (house.MODELS / f"{BIG}.gguf").unlink(missing_ok=True)


def _heavy(size_mb: int) -> Case:
    rig.write_folder(SMALL, "Hello!")
    path = house.write_gguf(BIG, size_mb=size_mb)
    _fill(path)
    return _case(HEAVY, (path,), None)


def _real() -> Case:
    house.write_gguf(SMALL)
    weights = Path(os.environ["SWAPPER_TEST_VLLM_TEXT"])
    return _case(REAL, tuple(weights.glob("*.safetensors")), Path(VLLM).parents[2])


def _case(config: str, files: tuple[Path, ...], environment: Path | None) -> Case:
    house.configure(config.replace("AHEAD", "true"))
    loaded = configuration.load()
    model = loaded.resolve(BIG)
    assert model is not None
    programs = ENGINES[model.engine].programs(model, loaded)
    all_of_it = programs if environment is None else (path for path in environment.rglob("*") if path.is_file())
    return Case(config, model.unit, files, programs, tuple(all_of_it))


def _fill(path: Path) -> None:
    """Holes cost no reading: write what is in them."""
    with path.open("r+b") as file:
        for offset in range(0, path.stat().st_size, BLOCK):
            file.seek(offset)
            block = file.read(BLOCK)
            file.seek(offset)
            file.write(block)


def _swap(case: Case, drain: float, *, ahead: bool, warm: bool) -> Swap:
    house.configure(case.config.replace("AHEAD", "true" if ahead else "false"))
    assert house.chat(SMALL).status == 200
    for path in (*case.files, *case.environment):
        if warm:
            _read(path)
        else:
            forget(path)
    there = _part(case.files)
    assert there > 0.99 if warm else there < 0.01, there
    router = int(house.show("swapper.service", "MainPID"))
    before = _fetched(router)
    statuses: list[int] = []
    with house.stream(SMALL) as response:
        with house.watching(SMALL, "draining") as draining:
            asked = time.monotonic()
            asking = threading.Thread(target=lambda: statuses.append(_ask()))
            asking.start()
            draining()
        while time.monotonic() < asked + drain:
            response.read1(1 << 16)
    ended = time.monotonic()
    in_cache, libraries = _part(case.files), _part(case.programs)
    asking.join()
    answered = time.monotonic()
    assert statuses == [200]
    engine = _fetched(house.main_pid(case.unit))
    return Swap(ended - asked, answered - ended, in_cache, libraries, engine, _fetched(router) - before)


def _ask() -> int:
    body = json.dumps(house.question(BIG)).encode()
    with contextlib.closing(house.connect(timeout=900)) as connection:
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        return connection.getresponse().status


def _read(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(BLOCK):
            pass


def _part(paths: Iterable[Path]) -> float:
    """How much of these files is in the cache, of 1."""
    pages = [page for path in paths for page in cached(path)]
    return sum(pages) / len(pages)


def _size(paths: Iterable[Path]) -> float:
    """Gigabytes."""
    return sum(path.stat().st_size for path in paths) / 1e9


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
        row("of the model's files in the cache by then, %", "in_cache", 100, 0),
        row("of the engine's that are read ahead, %", "libraries", 100, 0),
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
