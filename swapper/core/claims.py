"""Who wants to start, per GPU, in the order of asking.

A claim stands in the queue of each of its model's GPUs. It is decided when it is first in all of them; so the oldest
claim of all is always decidable, claims on other GPUs do not wait for it, and nobody is overtaken on a GPU.
"""

from collections.abc import Iterable, Iterator, Mapping

from swapper.core.model import Demand


class Claims:
    """Ordered claims of models on GPUs."""

    __slots__ = ("_queues", "_since")

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._queues: dict[int, dict[str, None]] = {}

    def __contains__(self, model: object) -> bool:
        return model in self._since

    def __iter__(self) -> Iterator[str]:
        return iter(self._since)

    def __len__(self) -> int:
        return len(self._since)

    def since(self, model: str) -> float:
        """When the claim was made."""
        return self._since[model]

    def add(self, model: str, demands: Iterable[Demand], now: float) -> None:
        """Stand in line behind the others; a claim that stands already keeps its place."""
        if model in self._since:
            return
        self._since[model] = now
        for demand in demands:
            self._queues.setdefault(demand.gpu, {})[model] = None

    def remove(self, model: str) -> None:
        """Leave the line; no error when not in it."""
        if self._since.pop(model, None) is None:
            return
        for gpu in [gpu for gpu, queue in self._queues.items() if model in queue]:
            del self._queues[gpu][model]
            if not self._queues[gpu]:
                del self._queues[gpu]

    def renew(self, demands: Mapping[str, Iterable[Demand]]) -> None:
        """Models want other GPUs now; everybody keeps the place in time."""
        since, self._since, self._queues = self._since, {}, {}
        for model, when in since.items():
            self.add(model, demands[model], when)

    def heads(self, gpus: Iterable[int]) -> list[str]:
        """Models whose claim is first on all of its GPUs, among the queues of these GPUs; oldest first."""
        first = {next(iter(self._queues[gpu])) for gpu in gpus if gpu in self._queues}
        ready = [
            model
            for model in first
            if all(next(iter(queue)) == model for queue in self._queues.values() if model in queue)
        ]
        return sorted(ready, key=lambda model: self._since[model])
