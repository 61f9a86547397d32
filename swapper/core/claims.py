"""Who wants to start, per GPU, the most urgent first.

A claim stands in the queue of each of its model's GPUs, and of those of its company (`core.company`). It is decided
when it is first in all of them; so the most urgent claim of all is always decidable, claims on other GPUs do not wait
for it, and nobody who is less urgent passes.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True, order=True)
class _Claim:
    """One model's claim, in the order of being decided."""

    urgency: float
    number: int
    model: str


class Claims:
    """Ordered claims of models on GPUs."""

    __slots__ = ("_claims", "_gpus", "_numbers", "_queues")

    def __init__(self) -> None:
        self._claims: dict[str, _Claim] = {}
        self._gpus: dict[str, tuple[int, ...]] = {}
        self._queues: dict[int, list[_Claim]] = {}
        self._numbers = count()

    def __contains__(self, model: object) -> bool:
        return model in self._claims

    def __iter__(self) -> Iterator[str]:
        return (claim.model for claim in sorted(self._claims.values()))

    def __len__(self) -> int:
        return len(self._claims)

    def urgency(self, model: str) -> float:
        """When the claim was made, or would have been if it were of normal priority."""
        return self._claims[model].urgency

    def add(self, model: str, gpus: tuple[int, ...], urgency: float) -> None:
        """Stand in line. A claim that stands already keeps its place, unless it has become more urgent."""
        standing = self._claims.get(model)
        if standing is not None:
            if urgency >= standing.urgency and gpus == self._gpus[model]:
                return
            self.remove(model)
            urgency = min(urgency, standing.urgency)
        number = next(self._numbers) if standing is None else standing.number
        self._insert(_Claim(urgency, number, model), gpus)

    def _insert(self, claim: _Claim, gpus: tuple[int, ...]) -> None:
        self._claims[claim.model] = claim
        self._gpus[claim.model] = gpus
        for gpu in gpus:
            insort(self._queues.setdefault(gpu, []), claim)

    def remove(self, model: str) -> None:
        """Leave the line; no error when not in it."""
        claim = self._claims.pop(model, None)
        if claim is None:
            return
        for gpu in self._gpus.pop(model):
            queue = self._queues[gpu]
            del queue[bisect_left(queue, claim)]
            if not queue:
                del self._queues[gpu]

    def renew(self, gpus: Mapping[str, tuple[int, ...]]) -> None:
        """Models want other GPUs now; everybody keeps the place in line."""
        for model, claim in list(self._claims.items()):
            self.remove(model)
            self._insert(claim, gpus[model])

    def heads(self, gpus: Iterable[int]) -> list[str]:
        """Models whose claim is first on all of its GPUs, among the queues of these GPUs; most urgent first."""
        first = {self._queues[gpu][0] for gpu in gpus if gpu in self._queues}
        return [
            claim.model
            for claim in sorted(first)
            if all(self._queues[gpu][0] is claim for gpu in self._gpus[claim.model])
        ]

    def ahead(self, model: str) -> bool:
        """Whether it wants to start, and nobody stands before it on any of its GPUs."""
        return model in self._claims and all(self._queues[gpu][0].model == model for gpu in self._gpus[model])
