"""Models for each kind of question; the configuration is afterwards as it was."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.clients.rig import CONFIG, write_models
from tests.job import house

CLIENTS = os.environ.get("SWAPPER_TEST_CLIENTS_PYTHON", "")
if CLIENTS:
    sys.path.append(CLIENTS)  # behind the machine's own packages, which the installed Swapper uses


@pytest.fixture(scope="package", autouse=True)
def _configured() -> Iterator[None]:
    write_models()
    with house.configured(CONFIG):
        yield
