"""What a command costs before it says a word: `swapperctl status` beside an interpreter that does nothing.

    tests/run --command python3 -m tests.bench.command [--calm] [--rounds 20]

The router runs, and answers at once. Below the times is what the interpreter imports for it, by `-X importtime`.
"""

import re
import subprocess
import time

from tests.bench import calm, figures
from tests.bench.figures import Series
from tests.job import house

CTL = "/usr/bin/swapperctl"
COMMANDS = {
    "an interpreter": ("python3", "-I", "-c", "pass"),
    "swapperctl --help": (CTL, "--help"),
    "swapperctl status": (CTL, "status"),
    "swapperctl models": (CTL, "models"),
    "swapperctl check": (CTL, "check"),
    "swapperctl __complete load al": (CTL, "__complete", "load", "al"),
}
SHOWN = 12
"""Imports that are shown: the dearest, with what they import in turn."""


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    house.reset()
    for name in ("alpha", "beta", "gamma"):
        house.write_gguf(name)
    house.configure(house.BASIC)
    house.chat("alpha")
    figures.heading(f"Commands, {options.rounds} times each, in turns, ms")
    with calm.calm(options.calm):
        times: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(options.rounds):
            for name, command in COMMANDS.items():
                times[name].append(_timed(command))
    bare = Series.of(times["an interpreter"])
    rows = [(name, Series.of(each).text(1e3, 0), (Series.of(each) / bare).text()) for name, each in times.items()]
    figures.table([("", "ms", "of an interpreter's"), *rows])
    figures.heading("Imports of `swapperctl status`, ms with theirs, and alone")
    figures.table(_imports())
    house.reset()


def _timed(command: tuple[str, ...]) -> float:
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def _imports() -> list[tuple[str, ...]]:
    """The dearest ones (python(1): `-X importtime` tells microseconds on standard error)."""
    argv = ["python3", "-I", "-B", "-X", "importtime", CTL, "status"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    found = re.findall(r"^import time: +(\d+) \| +(\d+) \| +(\S+)$", told, re.MULTILINE)
    dearest = sorted(((int(both), int(alone), name) for alone, both, name in found), reverse=True)[:SHOWN]
    return [(name, f"{both / 1e3:.1f}", f"{alone / 1e3:.1f}") for both, alone, name in dearest]


if __name__ == "__main__":
    main()
