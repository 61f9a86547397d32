"""`swapperctl simulate`: what policies would make of a workload, side by side."""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from swapper.config import ConfigErrors, load
from swapper.simulate import figures, files, journal, picture, synthetic
from swapper.simulate.figures import Figures
from swapper.simulate.policies import POLICIES
from swapper.simulate.timeline import Recorder
from swapper.simulate.workload import Workload, WorkloadError
from swapper.simulate.world import World

WRONG = 2
"""Exit status when what was given cannot be used; argparse's own."""

_SYNTHETIC = "synthetic"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = "Runs the scheduler, and others to compare it with, on a virtual host.\n\n" + "\n".join(
        (doc or "").partition("\n\n")[2] for doc in (files.__doc__, synthetic.__doc__)
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--workload", metavar="FILE|synthetic[:NAME]", default=f"{_SYNTHETIC}:{synthetic.DEFAULT}",
                       help="what is asked of which models, and when (%(default)s)")  # fmt: skip
    given.add_argument("--journal", metavar="FILE", nargs="?", const="-",
                       help="what the router recorded: the output of 'journalctl -u swapper -o json'; without FILE, or "
                            "with '-', from standard input")  # fmt: skip
    parser.add_argument("--config", metavar="FILE", type=Path, action="append",
                        help="models and GPUs as it has them; load and stop times remain the workload's")  # fmt: skip
    parser.add_argument("--policy", metavar="NAME[,NAME…]", type=_policies, default=list(POLICIES),
                        help=f"which policies, of {', '.join(POLICIES)} (all)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="for what is left to chance (%(default)s)")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw a timeline: a lane for each GPU and model")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the workload to a file, to change it by hand")
    parser.add_argument("--json", action="store_true", help="print figures for programs")


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    try:
        workload = _workload(options)
        if options.config:
            workload = workload.under(load(*options.config))
        elif options.journal is not None:
            note = "without --config, each model is taken to need GPU 0 alone, and to work on any number of requests"
            workload = replace(workload, notes=(*workload.notes, note))
        if options.write is not None:
            _write(options.write, (f"{line}\n" for line in files.write(workload)))
        results = _simulate(workload, options)
    except WorkloadError as error:
        print(f"swapperctl: {error} [{error.code}]\n{error.hint}", file=sys.stderr)
        return WRONG
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return WRONG
    except OSError as error:
        print(f"swapperctl: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(figures.as_json(workload, options.seed, results), indent=2))
    else:
        print(figures.as_text(workload, results))
    return 0


def _policies(words: str) -> list[str]:
    names = [word.strip() for word in words.split(",")]
    for name in names:
        if name not in POLICIES:
            raise argparse.ArgumentTypeError(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")
    return names


def _workload(options: argparse.Namespace) -> Workload:
    if options.journal == "-":
        return journal.read(sys.stdin, "standard input")
    if options.journal is not None:
        with files.opened(Path(options.journal)) as lines:
            return journal.read(lines, options.journal)
    kind, _, name = options.workload.partition(":")
    if kind == _SYNTHETIC:
        return synthetic.make(name or synthetic.DEFAULT, options.seed)
    return files.read(Path(options.workload))


def _simulate(workload: Workload, options: argparse.Namespace) -> dict[str, Figures]:
    results: dict[str, Figures] = {}
    runs: dict[str, tuple[Recorder, float]] = {}
    for policy in options.policy:
        recorder = Recorder() if options.svg is not None else None
        tally = World(workload, POLICIES[policy](), recorder=recorder).run()
        results[policy] = Figures.of(tally)
        if recorder is not None:
            runs[policy] = (recorder, tally.ended)
    if options.svg is not None:
        _write(options.svg, [picture.svg(workload, runs)])
    return results


def _write(path: Path, parts: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(parts)
