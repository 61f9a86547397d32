"""A web server on every address of the machine; the configuration is afterwards as it was."""

from collections.abc import Iterator

import pytest

from tests.job.house import CONFIG, configure
from tests.media.web import Web, addresses


@pytest.fixture(scope="package", autouse=True)
def _configuration() -> Iterator[None]:
    before = CONFIG.read_text()
    yield
    configure(before)


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
