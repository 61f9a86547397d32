"""Each test starts with nothing running but the socket, models of several kinds configured, and one browser for all."""

from collections.abc import Iterator

import pytest

from tests.job import house
from tests.job.keys import no_keys
from tests.lab.browser import Browser
from tests.lab.failing import pytest_runtest_makereport
from tests.ui import rig

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    house.reset()
    no_keys()
    rig.configure()
    yield
    no_keys()
    house.reset()


@pytest.fixture
def desk(browser: Browser, _clean: None) -> Iterator[rig.Desk]:
    desk = rig.Desk(browser)
    yield desk
    desk.close()
