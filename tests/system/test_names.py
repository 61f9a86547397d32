"""Names are those of the configuration in force, which the scheduler knows, and not of what was read last."""

import asyncio
from pathlib import Path

import pytest

from swapper.config import Config, Model
from swapper.router.errors import ApiError
from swapper.router.service import Router

ADDED = Config(models=(Model("added", "llama", Path("/m.gguf")),))


def test_a_model_is_found_once_the_scheduler_knows_it() -> None:
    async def play() -> None:
        router = Router()
        router._config = ADDED
        with pytest.raises(ApiError, match="model_not_found"):
            router._directory.find("added")
        router._places.apply(ADDED)
        assert router._directory.find("added") is ADDED.models[0]

    asyncio.run(play())
