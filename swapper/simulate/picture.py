"""The timeline as SVG: for each policy the same axis of time, and on it a lane for each model on each of its GPUs.

Plain SVG without scripts, readable on light and on dark ground (`prefers-color-scheme`; Media Queries Level 5, W3C),
also where a page shows it as an image. Colours are those of Okabe and Ito, which people with any kind of colour vision
tell apart; what has no room for a pixel is drawn together with its neighbour.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from xml.sax.saxutils import escape

from swapper.simulate.timeline import Phase, Recorder
from swapper.simulate.workload import Workload

LANES = 40
"""Lanes of one policy that there is room for: those in which most happens."""

_LEFT, _RIGHT, _WIDTH, _LANE, _BAR, _HEAD = 190.0, 20.0, 1000.0, 22.0, 13.0, 30.0
_FINE = 0.3
"""Pixels: gaps smaller than this are closed, and nothing is drawn thinner."""

_SHOWN = (Phase.LOADING, Phase.SERVING, Phase.DRAINING, Phase.STOPPING, Phase.IDLE)
_STYLE = """
    .ground { fill: #fcfcfa } .idle { fill: #d5d8dd } .rule { stroke: #99a; stroke-width: .6 }
    text, .waits { fill: #223 } .small { font-size: 11px } .policy { font-weight: 600 }
    .loading { fill: #e69f00 } .serving { fill: #0a86c9 } .draining { fill: #cc79a7 } .stopping { fill: #d55e00 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #16181d } .idle { fill: #40454f } .rule { stroke: #667 } text, .waits { fill: #e4e6ea }
    }
"""

type Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Lane:
    """One model on one GPU."""

    gpu: int
    model: str


def svg(workload: Workload, runs: Mapping[str, tuple[Recorder, float]]) -> str:
    """Draw it.

    Args:
        workload: What was asked.
        runs: What each policy did, and when the last answer was there.
    """
    end = max((ended for _, ended in runs.values()), default=0.0) or 1.0
    parts: list[str] = []
    y = 74.0
    for policy, (recorder, ended) in runs.items():
        lanes, more = _lanes(workload, recorder)
        parts += _panel(policy, lanes, more, recorder, ended, end, y)
        y += _HEAD + _LANE * len(lanes) + (14 if more else 0)
    axis = list(_axis(end, 74.0, y + 4))
    height = y + 52
    title = f"{workload.name}: which model did what, by policy"
    attributes = f'viewBox="0 0 {_WIDTH:g} {height:g}" font-family="system-ui, sans-serif" font-size="13" role="img"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>',
        f"  <title>{escape(title)}</title>",
        f"  <style>{_STYLE}  </style>",
        f'  <rect class="ground" width="{_WIDTH:g}" height="{height:g}"/>',
        f'  <text x="20" y="28" font-size="16" class="policy">{escape(title)}</text>',
        *_legend(), *axis, *parts, "</svg>", "",
    ])  # fmt: skip


def _lanes(workload: Workload, recorder: Recorder) -> tuple[list[Lane], int]:
    """The lanes to draw, by GPU, and how many there is no room for."""
    lanes = [
        Lane(demand.gpu, model.spec.name)
        for model in workload.models
        for demand in model.spec.demands
        if model.spec.name in recorder.phases and demand.real
    ]
    busiest = sorted(lanes, key=lambda lane: -len(recorder.phases[lane.model]))[:LANES]
    return sorted((lane for lane in lanes if lane in busiest), key=lambda lane: lane.gpu), len(lanes) - len(busiest)


def _panel(
    policy: str, lanes: Sequence[Lane], more: int, recorder: Recorder, ended: float, end: float, y: float
) -> Iterator[str]:
    scale = (_WIDTH - _LEFT - _RIGHT) / end
    yield f'  <text x="20" y="{y + 19:g}" class="policy">{escape(policy)}</text>'
    for position, lane in enumerate(lanes):
        top = y + _HEAD + position * _LANE
        name = lane.model if len(lane.model) <= 18 else f"{lane.model[:17]}…"
        yield f'  <text x="20" y="{top + 11:g}" class="small">GPU {lane.gpu}</text>'
        yield f'  <text x="{_LEFT - 8:g}" y="{top + 11:g}" text-anchor="end">{escape(name)}</text>'
        yield f'  <g><title>{escape(lane.model)} on GPU {lane.gpu}</title>'
        for phase in _SHOWN:
            yield from _bars(phase.value, _when(recorder.phases[lane.model], phase, ended), scale, top, _BAR)
        spans = _when(recorder.waiting.get(lane.model, ()), True, ended)
        yield from _bars("waits", spans, scale, top + _BAR + 1, 2.5)
        yield "  </g>"
    if more:
        yield f'  <text x="{_LEFT:g}" y="{y + _HEAD + len(lanes) * _LANE + 9:g}" class="small">and {more} more</text>'


def _when[What](changes: Sequence[tuple[float, What]], what: What, ended: float) -> Iterator[Span]:
    """The spans in which it was so."""
    for position, (begin, found) in enumerate(changes):
        if found == what:
            yield begin, changes[position + 1][0] if position + 1 < len(changes) else ended


def _bars(name: str, spans: Iterable[Span], scale: float, top: float, height: float) -> Iterator[str]:
    drawn: list[list[float]] = []
    for begin, end in spans:
        left, right = begin * scale, max(end * scale, begin * scale + _FINE)
        if drawn and left - drawn[-1][1] < _FINE:
            drawn[-1][1] = max(right, drawn[-1][1])
        else:
            drawn.append([left, right])
    if drawn:
        boxes = ((_LEFT + left, right - left) for left, right in drawn)
        path = "".join(f"M{x:.1f} {top:g}h{width:.1f}v{height:g}h-{width:.1f}z" for x, width in boxes)
        yield f'    <path class="{name}" d="{path}"/>'


def _axis(end: float, top: float, bottom: float) -> Iterator[str]:
    scale = (_WIDTH - _LEFT - _RIGHT) / end
    step = _step(end / 8)
    for number in range(floor(end / step) + 1):
        x = _LEFT + number * step * scale
        yield f'  <line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'
        yield f'  <text x="{x:.1f}" y="{bottom + 16:g}" text-anchor="middle" class="small">{number * step:g}</text>'
    middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
    yield f'  <text x="{middle:g}" y="{bottom + 36:g}" text-anchor="middle" class="small">seconds</text>'


def _step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and so on."""
    power = 10.0 ** floor(log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)


def _legend() -> Iterator[str]:
    x = 20.0
    for name, words in [*((phase.value, phase.value) for phase in _SHOWN), ("waits", "somebody waits")]:
        height, y = (2.5, 51.0) if name == "waits" else (_BAR, 45.0)
        yield f'  <rect class="{name}" x="{x:g}" y="{y:g}" width="22" height="{height:g}"/>'
        yield f'  <text x="{x + 28:g}" y="56" class="small">{words}</text>'
        x += 52 + 6.5 * len(words)
