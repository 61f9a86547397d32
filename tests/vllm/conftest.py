"""The configuration is afterwards as it was."""

from collections.abc import Iterator

import pytest

from tests.job.house import CONFIG, configure, write_gguf
from tests.vllm.rig import standin


@pytest.fixture(scope="package", autouse=True)
def _configuration() -> Iterator[None]:
    before = CONFIG.read_text()
    yield
    configure(before)


@pytest.fixture(scope="module")
def standin_and_devstral() -> Iterator[None]:
    """The stand-in for vLLM, and a model of llama-server's beside it."""
    with standin():
        write_gguf("devstral")
        yield
