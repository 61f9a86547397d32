"""What a tally says in figures, and the table of several policies side by side."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from math import ceil
from typing import Any

from swapper.simulate.tally import Tally
from swapper.simulate.workload import Workload

MOST = 12
"""Models and GPUs that the table has room for; `--json` has them all."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long requests waited for their leases, in seconds; those that never got one do not count here.

    A percentile is the smallest wait that so many percent of the requests did not exceed (nearest rank).
    """

    count: int
    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, waits: Iterable[float]) -> "Waits | None":
        """From any number of waits; None from none."""
        ordered = sorted(waits)
        if not ordered:
            return None
        p50, p99 = (ordered[ceil(len(ordered) * percent / 100) - 1] for percent in (50, 99))
        return cls(len(ordered), p50, p99, ordered[-1])


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """What one GPU did: parts of the makespan in which it worked on requests, and in which models came or went."""

    serving: float
    swapping: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy's results. Times are seconds, shares are parts of the makespan; those over all GPUs are means.

    Attributes:
        makespan: From the first arrival to the last answer.
        answered: Requests that were worked on to the end.
        rejected: Requests that never got a lease.
        aborted: Requests that lost theirs.
        starts: Starts of models.
        swaps: Those that took the place of a model that was stopped.
        swapping: The part of the time in which models were being started or stopped.
        serving: The part of the time in which requests were worked on.
        waits: Of all requests.
        models: Waits by model.
        gpus: By index.
    """

    makespan: float
    answered: int
    rejected: int
    aborted: int
    starts: int
    swaps: int
    swapping: float
    serving: float
    waits: Waits | None
    models: Mapping[str, Waits | None]
    gpus: Mapping[int, GpuFigures]

    @classmethod
    def of(cls, tally: Tally) -> "Figures":
        """Everything that a tally says."""
        models, gpus = tally.models.values(), tally.gpus
        return cls(
            makespan=tally.makespan,
            answered=sum(model.answered for model in models),
            rejected=sum(model.rejected for model in models),
            aborted=sum(model.aborted for model in models),
            starts=sum(model.starts for model in models),
            swaps=tally.swaps,
            swapping=tally.share(gpu.swapping for gpu in gpus.values()),
            serving=tally.share(gpu.serving for gpu in gpus.values()),
            waits=Waits.of(array("d", chain.from_iterable(model.waits for model in models))),
            models={name: Waits.of(model.waits) for name, model in tally.models.items()},
            gpus={
                index: GpuFigures(tally.share([gpu.serving]), tally.share([gpu.swapping]))
                for index, gpu in sorted(gpus.items())
            },
        )


def as_json(workload: Workload, seed: int, results: Mapping[str, Figures]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "workload": workload.name,
        "seed": seed,
        "notes": list(workload.notes),
        "policies": {policy: asdict(figures) for policy, figures in results.items()},
    }


def as_text(workload: Workload, results: Mapping[str, Figures]) -> str:
    """The table, for people."""
    figures = list(results.values())
    rows: list[Sequence[str]] = [
        ("", *results),
        ("makespan, s", *(f"{each.makespan:.1f}" for each in figures)),
        ("answered", *(str(each.answered) for each in figures)),
        ("rejected", *(str(each.rejected) for each in figures)),
        *([("broken off", *(str(each.aborted) for each in figures))] if any(each.aborted for each in figures) else []),
        ("swaps", *(str(each.swaps) for each in figures)),
        ("time spent swapping", *(_percent(each.swapping) for each in figures)),
        ("time serving", *(_percent(each.serving) for each in figures)),
        *_gpu_rows(figures),
        (),
        ("wait, s: p50 / p99 / max", *(_waits(each.waits) for each in figures)),
        *_model_rows(figures),
    ]
    notes = [f"note: {note}" for note in workload.notes]
    counts = " on ".join((_count(len(workload.models), "model"), _count(len(workload.gpu_indexes), "GPU")))
    return "\n".join([f"{workload.name}: {counts}", "", *_aligned(rows), *([""] if notes else []), *notes])


def _gpu_rows(figures: Sequence[Figures]) -> list[Sequence[str]]:
    indexes = list(figures[0].gpus)
    if len(indexes) < 2:
        return []
    rows: list[Sequence[str]] = [
        (f"  GPU {index}", *(_percent(each.gpus[index].serving) for each in figures)) for index in indexes[:MOST]
    ]
    return rows + _more(indexes)


def _model_rows(figures: Sequence[Figures]) -> list[Sequence[str]]:
    """Those that were asked for most."""
    models = sorted(figures[0].models, key=lambda name: -(waits.count if (waits := figures[0].models[name]) else 0))
    rows: list[Sequence[str]] = [
        (f"  {name}", *(_waits(each.models[name]) for each in figures)) for name in models[:MOST]
    ]
    return rows + _more(models)


def _more(listed: Sequence[object]) -> list[Sequence[str]]:
    return [(f"  … {len(listed) - MOST} more (--json has all)",)] if len(listed) > MOST else []


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _waits(waits: Waits | None) -> str:
    return "-" if waits is None else f"{waits.p50:.1f} / {waits.p99:.1f} / {waits.max:.1f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    columns = max(map(len, rows))
    widths = [max((len(row[at]) for row in rows if at < len(row) > 1), default=0) for at in range(columns)]
    return [
        "   ".join(word.rjust(width) if at else word.ljust(width)
                   for at, (word, width) in enumerate(zip(row, widths, strict=False))).rstrip()
        for row in rows
    ]  # fmt: skip
