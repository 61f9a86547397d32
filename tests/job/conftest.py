"""Each test starts with nothing running but the socket, and two tiny models configured on GPU 0."""

from collections.abc import Iterator

import pytest

from tests.job import house
from tests.lab.failing import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    for name in ("alpha", "beta", "gamma"):
        house.write_gguf(name)
    house.reset()
    house.configure(house.BASIC)
    yield
    house.reset()
