"""Models of a group that is always together: they are claimed as one, come one after the other, and go as one.

Each of them keeps its own record, queue and unit. What binds them:

- A claim of one wants room for all of them that are not there, and stands in line on the GPUs of all.
- Once it is decided, that one is started, and the others are *seated*: each stands first in all of its lines, so nobody
  takes the room, and is started when nobody of its company is starting any more. Where the room is taken after all, by
  a unit that somebody else started, it stands up again.
- One that is away while others are there (it was stopped by hand, say) is *called* by the next request for any of
  them: it claims as if it had been asked for itself.
- As long as one of them is starting or seated they *gather*, and are nobody's victims; then they all go, or none.
- One that could not be started is *skipped*: the others do without it until somebody asks for it itself. One whose
  files are missing, or whose unit is masked, is not waited for either.

Who is always together has to fit together. A company that does not, with the GPUs as they are, is none.
"""

from collections.abc import Iterable, Iterator

from swapper.core.model import Demand, ModelSpec, State
from swapper.core.record import Record

_ABSENT = frozenset({State.STOPPED, State.PARKED})
_THERE = frozenset({State.STARTING, State.READY})
COMES_BACK = _ABSENT | {State.DRAINING, State.STOPPING}
"""States in which a model can be called."""


def absent(record: Record) -> Iterator[Record]:
    """Companions that will be started together with a model, and have no seat yet."""
    return (r for r in record.companions if r.state in _ABSENT and not r.seated and not r.skipped)


def wants(record: Record) -> tuple[Demand, ...]:
    """What has to be free for a model to be started: room for itself, and for companions that are absent."""
    if not record.companions or record.seated:
        return record.spec.demands
    return total([r.spec for r in (record, *absent(record))])


def line(record: Record) -> tuple[int, ...]:
    """GPUs in whose lines a model's claim stands: those of all that come and go with it."""
    if not record.companions:
        return tuple(demand.gpu for demand in record.spec.demands)
    company = (record, *(r for r in record.companions if r.state.resident or (r.state in _ABSENT and not r.skipped)))
    return tuple(sorted({demand.gpu for r in company for demand in (*r.spec.demands, *r.holds)}))


def total(specs: Iterable[ModelSpec]) -> tuple[Demand, ...]:
    """What models take of each GPU together."""
    parts: dict[int, int] = {}
    for spec in specs:
        for demand in spec.demands:
            parts[demand.gpu] = parts.get(demand.gpu, 0) + demand.parts
    return tuple(Demand(gpu, taken) for gpu, taken in parts.items())


def accompanied(record: Record) -> bool:
    """Whether a companion is there or starts, so that there is somebody to come to."""
    return any(r.state in _THERE for r in record.companions)


def starting(record: Record) -> bool:
    """Whether a companion is starting: they start one after the other."""
    return any(r.state is State.STARTING for r in record.companions)


def gathers(record: Record) -> bool:
    """Whether a company is still on its way in: as long as that, it is not sent away."""
    return any(r.seated or r.state is State.STARTING for r in record.companions)


def ready(record: Record) -> Iterator[Record]:
    """Companions that can be sent away with it."""
    return (r for r in record.companions if r.state is State.READY)


def away(record: Record) -> Iterator[Record]:
    """Companions that come back when one asks for them."""
    return (r for r in record.companions if r.state in COMES_BACK and not r.seated and not r.skipped)
