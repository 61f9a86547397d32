"""What a client is told of an engine that failed, with the real parts and a journal that the test plays."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from swapper.config import Config, Model
from swapper.core.events import ActiveState, ConfigApplied, RequestArrived, UnitChanged
from swapper.core.model import Failure, ModelSpec
from swapper.core.scheduler import Scheduler
from swapper.router.errors import ApiError
from swapper.router.explain import Explainer, Tail
from swapper.router.feed import Feed
from swapper.router.places import Places

FAILED = Failure("model_failed", "llama@a.service failed.", "journalctl -u llama@a")


def explained(tail: Tail) -> ApiError:
    """What is said of a model that failed while it started."""
    scheduler = Scheduler()
    places = Places(Config(), scheduler)
    places.apply(Config(models=(Model("a", "llama", Path("/a.gguf")),)))
    scheduler.handle(ConfigApplied((ModelSpec("a"),), ()), 0.0)
    scheduler.handle(RequestArrived(1, "a"), 1.0)
    for active, failure in ((ActiveState.ACTIVATING, None), (ActiveState.FAILED, FAILED)):
        scheduler.handle(UnitChanged("a", active, "1f" * 16, failure), 2.0)
    return asyncio.run(_explain(Explainer(places, scheduler, Feed(), tail)))


async def _explain(explainer: Explainer) -> ApiError:
    return await explainer(FAILED, "a")


def test_an_error_has_the_last_lines_of_the_run_that_failed() -> None:
    def tail(unit: str, invocation: str, lines: int) -> Sequence[str]:
        assert (unit, invocation, lines > 3) == ("llama@a.service", "1f" * 16, True)
        return ("no such file",)

    error = explained(tail)
    assert (error.code, error.journal) == ("model_failed", ("no such file",))


def test_a_journal_that_cannot_be_read_does_not_hide_what_happened() -> None:
    def tail(*_: object) -> Sequence[str]:
        raise OSError(74, "Bad message")

    error = explained(tail)
    assert (error.code, error.message, error.journal) == ("model_failed", FAILED.message, ())
