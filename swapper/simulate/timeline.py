"""What each model did when, kept for a picture (`simulate.picture`)."""

import enum


class Phase(enum.StrEnum):
    """What a lane shows."""

    GONE = "gone"
    LOADING = "loading"
    IDLE = "idle"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPING = "stopping"


class Recorder:
    """Notes changes.

    Attributes:
        phases: Of each model: when what began.
        waits: Of each model: from when to when somebody waited for it; the last one may not have ended.
    """

    __slots__ = ("phases", "waiting")

    def __init__(self) -> None:
        self.phases: dict[str, list[tuple[float, Phase]]] = {}
        self.waiting: dict[str, list[tuple[float, bool]]] = {}

    def does(self, model: str, phase: Phase, now: float) -> None:
        """A model does this from now on; what it did for no time at all is forgotten."""
        _note(self.phases.setdefault(model, [(0.0, Phase.GONE)]), now, phase)

    def waits(self, model: str, now: float, *, waiting: bool) -> None:
        """Somebody waits for a model from now on, or nobody does."""
        _note(self.waiting.setdefault(model, [(0.0, False)]), now, waiting)


def _note[What](changes: list[tuple[float, What]], now: float, what: What) -> None:
    if changes[-1][0] == now:
        changes.pop()
    if not changes or changes[-1][1] != what:
        changes.append((now, what))
