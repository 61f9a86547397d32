"""A swap between two models through port 8000, beside the bare engine's own start with the same flags, in turns.

    tests/run --command python3 -m tests.bench.swap [--calm] [--swaps 15] [--loads 0 0.5 2]

What is ours is the difference. The engine's part is in both: linking, loading, the first answer. A swap also waits for
the end of the engine before, which takes time to give its memory back. For models whose load takes longer, the files
are as large as it takes here, and read anew at each start (`-lm none`); the difference of two such loads says more of
the host's memory than of us, and the sum of the phases that are not the engine's is the better figure.
"""

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swapper import config as configuration
from swapper.config import Config, Model
from tests.bench import bare, calm, figures, timeline
from tests.bench.bare import BareStart, Clock
from tests.bench.figures import Series
from tests.bench.timeline import Entry, UnitTimes
from tests.job import house

CALIBRATION_MB = 400

FLAGS = "-lm, none, --threads, 1"
"""Every load reads the file. One thread: several would wait for each other by spinning, for ages on a busy machine."""

NEIGHBOURS = ("systemd", "dbus-daemon", "polkitd", "systemd-journal", "router")


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap, as the client and systemd saw it."""

    asked: float
    answered: float
    victim: Model
    model: Model
    times: UnitTimes
    neighbours: dict[str, float]

    @property
    def seconds(self) -> float:
        """From request to answer."""
        return self.answered - self.asked


@dataclass(frozen=True, slots=True)
class Phases:
    """Where a swap's time went, in seconds, in this order and without gaps."""

    to_stop: float
    stop: float
    to_start: float
    sandbox: float
    launcher: float
    load: float
    readiness: float
    to_router: float
    answer: float

    @property
    def ours(self) -> float:
        """All but the engines' own: the end of one, load and answer of the other."""
        return self.to_stop + self.to_start + self.sandbox + self.launcher + self.readiness + self.to_router


LABELS = (
    ("to_stop", "request → stop job runs (router, D-Bus, polkit)"),
    ("stop", "stop job (engine ends, cgroup empty)"),
    ("to_start", "stopped → main process forked (D-Bus, router, D-Bus, polkit)"),
    ("sandbox", "forked → exec (namespaces, mounts, filters)"),
    ("launcher", "exec → engine begins (Python, sidecar, linking)"),
    ("load", "engine's own load"),
    ("readiness", "loaded → active (sidecar)"),
    ("to_router", "active → router admits (D-Bus)"),
    ("answer", "admitted → client has its answer"),
)


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--swaps", type=int, default=15)
    what = "seconds that a model's load takes; 0: tiny"
    parser.add_argument("--loads", type=float, nargs="*", default=[0.0, 0.5, 2.0], help=what)
    options = parser.parse_args()
    house.reset()
    with calm.calm(options.calm):
        overheads = [_measure(load, options.swaps) for load in options.loads]
    house.reset()
    if len(overheads) > 1:
        figures.heading("What a swap costs beyond the bare engine, ms")
        figures.table([("", "beyond its start", "of it, by phases that are not the engine's"), *overheads])


def _measure(load: float, swaps: int) -> tuple[str, str, str]:
    """Swap to and fro; prints the tables and returns the line for the last one."""
    size = _size_for(load) if load else 0
    names = (f"{size}mb-a", f"{size}mb-b")
    config = _configure(names, size)
    what = f"load of {load:g} s" if load else "tiny models"
    figures.heading(f"A swap between two models, {what} ({size} MB), {swaps} times, ms")
    since = time.monotonic()
    models = [_find(name, config) for name in names]
    _swap(models[1], models[0])
    ours: list[Swap] = []
    floor: list[BareStart] = []
    for turn in range(swaps):
        victim, model = models[turn % 2], models[(turn + 1) % 2]
        ours.append(_swap(victim, model))
        floor.append(_bare(model, config))
    entries = timeline.journal(since)
    return what, *_print(ours, floor, [_phases(swap, entries) for swap in ours])


def _configure(names: Sequence[str], size: int) -> Config:
    lines = ["models:"]
    for name in names:
        house.write_gguf(name, size_mb=size)
        lines.append(f"  {name}: {{engine: llama, model: {name}.gguf, context: 2048, args: [{FLAGS}]}}")
    house.configure("\n".join(lines) + "\n")
    return configuration.load()


def _size_for(load: float) -> int:
    """How many megabytes take this engine that long to load, here and now."""
    config = _configure(["calibration"], CALIBRATION_MB)
    model = _find("calibration", config)
    spent = min(start.loaded - start.begins for start in (_bare(model, config) for _ in range(3)))
    model.model.unlink()
    return math.ceil(CALIBRATION_MB * load / spent)


def _find(name: str, config: Config) -> Model:
    model = config.resolve(name)
    assert model is not None
    return model


def _bare(model: Model, config: Config) -> BareStart:
    return bare.start_to_answer(model, config, house.question(model.name), house.sentence(model.name))


def _swap(victim: Model, model: Model) -> Swap:
    before = _neighbours()
    asked = time.monotonic()
    content = house.chat(model.name).content
    answered = time.monotonic()
    assert content == house.sentence(model.name), content
    after = _neighbours()
    spent = {who: after[who] - before.get(who, 0.0) for who in after}
    return Swap(asked, answered, victim, model, timeline.unit_times(model.unit), spent)


def _neighbours() -> dict[str, float]:
    """Processor time so far of those who take part in every swap."""
    router = house.show("swapper.service", "MainPID")
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text(encoding="utf-8").strip()
            who = "router" if process.name == router else name if process.name == "1" or name != "systemd" else ""
            if who in NEIGHBOURS:
                found[who] = figures.cpu_of(int(process.name))
        except OSError:
            continue  # gone meanwhile
    return found


def _phases(swap: Swap, entries: Sequence[Entry]) -> Phases:
    """Line up what the client, systemd and the router say of one swap."""
    during = [entry for entry in entries if swap.asked <= entry.at <= swap.answered]
    victim, unit, times = swap.victim.unit, swap.model.unit, swap.times
    stopping = next(e.at for e in during if e["UNIT"] == victim and e["MESSAGE_ID"] == timeline.STOPPING)
    stopped = next(e.at for e in during if e["UNIT"] == victim and e["MESSAGE_ID"] == timeline.STOPPED)
    log = [(e.at, e["MESSAGE"]) for e in entries if e.at >= swap.asked and e["_SYSTEMD_UNIT"] == unit]
    engine = Clock.of(log)  # what is late is in it, later starts of the unit do not change it
    admits = next(e.at for e in during if e["MODEL"] == swap.model.name and e["NEW_STATE"] == "ready")
    started = (times.forked, times.handed_over, engine.zero, engine.zero + engine.loaded, times.active)
    marks = (swap.asked, stopping, stopped, *started, admits, swap.answered)
    return Phases(*(end - begin for begin, end in itertools.pairwise(marks)))


def _print(ours: Sequence[Swap], floor: Sequence[BareStart], phases: Sequence[Phases]) -> tuple[str, str]:
    swaps = Series.of(swap.seconds for swap in ours)
    bare_starts = Series.of(start.answered for start in floor)
    overhead = swaps - bare_starts
    ours_alone = Series.of(phase.ours - start.begins - (start.healthy - start.loaded)
                           for phase, start in zip(phases, floor, strict=True))  # fmt: skip
    figures.table([
        ("through port 8000: request → answer", swaps.text(1e3)),
        ("bare engine: start → answer", bare_starts.text(1e3)),
        ("ours: the difference, pair by pair", overhead.text(1e3)),
        ("  of it, by phases that are not the engine's", ours_alone.text(1e3)),
        ("ratio", (swaps / bare_starts).text(digits=2)),
    ])  # fmt: skip
    theirs = {
        "stop": Series.of(start.leaves for start in floor),
        "launcher": Series.of(start.begins for start in floor),
        "load": Series.of(start.loaded - start.begins for start in floor),
        "readiness": Series.of(start.healthy - start.loaded for start in floor),
        "answer": Series.of(start.answered - start.healthy for start in floor),
    }
    rows = [("where it goes", "ours", "bare engine")]
    for name, label in LABELS:
        mine = Series.of(getattr(phase, name) for phase in phases)
        rows.append((label, mine.text(1e3), theirs[name].text(1e3) if name in theirs else ""))
    print()
    figures.table(rows)
    rows = [("processor time", "ours", "bare engine")]
    rows += [(who, Series.of(swap.neighbours.get(who, 0.0) for swap in ours).text(1e3), "") for who in NEIGHBOURS]
    units, engines = Series.of(swap.times.cpu for swap in ours), Series.of(start.cpu for start in floor)
    rows.append(("the unit (launcher, sidecar, engine)", units.text(1e3), engines.text(1e3)))
    print()
    figures.table(rows)
    return overhead.text(1e3), ours_alone.text(1e3)


if __name__ == "__main__":
    main()
