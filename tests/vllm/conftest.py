"""The configuration is afterwards as it was."""

from collections.abc import Iterator

import pytest

from tests.job.house import CONFIG, configure


@pytest.fixture(scope="package", autouse=True)
def _configuration() -> Iterator[None]:
    before = CONFIG.read_text()
    yield
    configure(before)
