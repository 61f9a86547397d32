"""A web server on every address of the machine, and the journal for tests that failed."""

from collections.abc import Iterator

import pytest

from tests.job.conftest import pytest_runtest_makereport
from tests.media.web import Web, addresses

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    """The server, at a port of its own."""
    with addresses(), Web({}).serving() as web:
        yield web


@pytest.fixture
def web(server: Web) -> Web:
    """The server, which has not been asked for anything yet."""
    server.forget()
    server.pages.clear()
    return server
