"""Very many at once. The engine is a double that speaks to a thousand at an even pace, which no model here does.

Figures of a whole minute: tests/bench/crowd.py.
"""

from collections.abc import Iterator

import pytest

from tests.bench.crowd import MIB, listen, send, watched
from tests.bench.installed import STEADY, Installed, installed


@pytest.fixture
def router() -> Iterator[Installed]:
    with installed(STEADY) as router:
        yield router


def test_a_thousand_streams_are_all_whole(router: Installed) -> None:
    listen(router.address, 50, 10)
    with watched(router.pid) as peak:
        found = listen(router.address, 1000, 200)
    assert (found["whole"], found["broken"]) == (1000, 0)
    assert found["p99"] < 2
    assert peak[0].most - peak[0].before < 64 * MIB


def test_a_hundred_large_uploads_are_not_held_in_memory(router: Installed) -> None:
    assert send(router.address, 4, 2 * MIB) == {"200": 4}
    with watched(router.pid) as peak:
        assert send(router.address, 100, 50 * MIB) == {"200": 100}
    assert peak[0].most - peak[0].before < 256 * MIB
