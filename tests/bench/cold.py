"""The first request, when nothing runs: systemd starts the router, the router the model.

    tests/run --command python3 -m tests.bench.cold [--calm] [--rounds 15]

In turns: with the router running and the model not; with neither; and with polkitd stopped too, as after boot. What the
router's start adds is the difference, and the times that systemd notes say where it goes. Then: what of it is imports.
"""

import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench import calm, figures, timeline
from tests.bench.figures import Series
from tests.bench.timeline import UnitTimes
from tests.job import house

MODEL = "cold"
UNIT = f"llama@{MODEL}.service"
CONFIG = f"models: {{{MODEL}: {{engine: llama, model: {MODEL}.gguf, context: 2048, args: [--threads, '1']}}}}\n"

PYTHON = (sys.executable, "-P", "-s")
"""As in swapper.service."""

_IMPORTED = re.compile(r"import time:\s+(?P<own>\d+) \|\s+(?P<all>\d+) \| (?P<depth> *)(?P<name>\S+)")


@dataclass(frozen=True, slots=True)
class First:
    """A first request."""

    asked: float
    answered: float
    router: UnitTimes
    model: UnitTimes

    @property
    def seconds(self) -> float:
        """From request to answer."""
        return self.answered - self.asked


PHASES = (
    ("connection → router forked", lambda first: first.router.forked - first.asked),
    ("forked → exec (namespaces, mounts, filters)", lambda first: first.router.handed_over - first.router.forked),
    ("exec → READY (imports, configuration, D-Bus)", lambda first: first.router.active - first.router.handed_over),
    ("READY → model forked (request, D-Bus, polkit)", lambda first: first.model.forked - first.router.active),
    ("model forked → active", lambda first: first.model.active - first.model.forked),
    ("active → client has its answer", lambda first: first.answered - first.model.active),
    ("router's processor time until then", lambda first: first.router.cpu),
)


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    house.write_gguf(MODEL)
    house.reset()
    house.configure(CONFIG)
    _first(UNIT)  # what the disk has to be asked for is in memory now
    figures.heading(f"The first request, {options.rounds} times, ms")
    warm, cold, booted = [], [], []
    with calm.calm(options.calm):
        for _ in range(options.rounds):
            warm.append(_first(UNIT))
            cold.append(_first(UNIT, "swapper.service"))
            booted.append(_first(UNIT, "swapper.service", "polkit.service"))
        _print(warm, cold, booted)
        house.reset()
        _imports(options.rounds)


def _first(*stopped: str) -> First:
    house.run("systemctl", "stop", *stopped)
    house.run("systemctl", "reset-failed", "polkit.service", check=False)  # it may not start five times in 10 s
    asked = time.monotonic()
    content = house.chat(MODEL).content
    answered = time.monotonic()
    assert content == house.sentence(MODEL), content
    return First(asked, answered, timeline.unit_times("swapper.service"), timeline.unit_times(UNIT))


def _print(warm: Sequence[First], cold: Sequence[First], booted: Sequence[First]) -> None:
    def series(firsts: Iterable[First]) -> Series:
        return Series.of(first.seconds for first in firsts)

    base = series(warm)
    figures.table([
        ("running already", "request → answer", "router's own share", "ratio"),
        ("router, polkitd", base.text(1e3)),
        ("polkitd", series(cold).text(1e3), (series(cold) - base).text(1e3), (series(cold) / base).text(digits=2)),
        ("nothing, as after boot", series(booted).text(1e3), (series(booted) - base).text(1e3),
         (series(booted) / base).text(digits=2)),
    ])  # fmt: skip
    print()
    rows: list[tuple[str, ...]] = [("where it goes", "polkitd runs", "nothing runs")]
    for label, phase in PHASES:
        rows.append((label, Series.of(map(phase, cold)).text(1e3), Series.of(map(phase, booted)).text(1e3)))
    figures.table(rows)


def _imports(rounds: int) -> None:
    figures.heading(f"Python and the router's imports, {rounds} times, ms")
    bare, whole = [], []
    for _ in range(rounds):
        bare.append(_spent("pass"))
        whole.append(_spent("import swapper.router.__main__"))
    figures.table([
        ("python3 -c pass", Series.of(bare).text(1e3)),
        ("with all that the router imports", Series.of(whole).text(1e3)),
        ("the difference", (Series.of(whole) - Series.of(bare)).text(1e3)),
    ])  # fmt: skip
    own: dict[str, list[float]] = defaultdict(list)
    through: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        packages: dict[str, float] = defaultdict(float)
        for match in _IMPORTED.finditer(_python("-X", "importtime", "-c", "import swapper.router.__main__")):
            packages[match["name"].partition(".")[0]] += float(match["own"])
            through[match["name"]].append(float(match["all"]))
        for package, spent in packages.items():
            own[package].append(spent)
    print()
    _top("of these, by package (own time of all its modules)", own)
    print()
    _top("by module, with what it imports first", through)


def _spent(program: str) -> float:
    begun = time.monotonic()
    _python("-c", program)
    return time.monotonic() - begun


def _python(*arguments: str) -> str:
    return subprocess.run([*PYTHON, *arguments], check=True, capture_output=True, text=True).stderr


def _top(title: str, microseconds: dict[str, list[float]]) -> None:
    series = {name: Series.of(spent) for name, spent in microseconds.items()}
    ranked = sorted(series.items(), key=lambda item: -item[1].median)
    figures.table([(title, ""), *((f"  {name}", spent.text(1e-3)) for name, spent in ranked[:15])])


if __name__ == "__main__":
    main()
