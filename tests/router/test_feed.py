"""When something happened is the host's clock's to say; how long it took is not, for somebody may set that clock."""

import pytest

from swapper.core.actions import Announce
from swapper.core.model import State
from swapper.core.reasons import ASKED, LOADED, UNLOADED
from swapper.router.feed import Feed

DAY = 86_400.0


class Clocks:
    """The host's clock, and one that nobody sets."""

    def __init__(self) -> None:
        self.host = 1_800_000_000.0
        self.measured = 5.0

    def passes(self, seconds: float) -> None:
        self.host += seconds
        self.measured += seconds


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set_changes_when_it_was_and_not_how_long_it_took(jump: float) -> None:
    clocks = Clocks()
    feed = Feed(lambda: clocks.host, lambda: clocks.measured)
    feed.note(Announce("a", State.STOPPED, State.STARTING, ASKED))
    began = clocks.host
    clocks.passes(4.0)
    clocks.host += jump
    feed.note(Announce("a", State.STARTING, State.READY, LOADED))
    clocks.passes(60.0)
    feed.note(Announce("a", State.READY, State.DRAINING, UNLOADED))
    assert [change.lasted for change in feed.changes] == [None, 4.0, 60.0]
    assert [change.at for change in feed.changes] == [began, began + 4.0 + jump, began + 64.0 + jump]
    assert feed.load_seconds("a") == 4.0
    assert feed.since("a") == clocks.host
