"""Each test has Telegram's servers of its own, a bot that knows nothing yet, and two models that must swap."""

from collections.abc import Iterator

import pytest

from tests.job import house
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats
from tests.lab.failing import pytest_runtest_makereport
from tests.telegram.installed import rig

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture(scope="package", autouse=True)
def _models() -> Iterator[None]:
    before = rig.CONFIG.read_text()
    for name in ("alpha", "beta", "gamma"):
        house.write_gguf(name)
    house.reset()
    house.configure(rig.MODELS)
    yield
    rig.clean()
    rig.CONFIG.write_text(before)
    house.reset()


@pytest.fixture
def telegram(request: pytest.FixtureRequest) -> Iterator[BotApi]:
    """Telegram's servers, and a bot that is configured for them. `indirect` with False: without drafts."""
    rig.clean()
    with BotApi(drafts=getattr(request, "param", True)).serving() as telegram:
        rig.configure(telegram)
        yield telegram
        rig.clean()


@pytest.fixture
def chats(telegram: BotApi) -> Iterator[Chats]:
    """The people behind them; the bot runs. Nothing that it sends may be wrong."""
    rig.start()
    yield telegram.chats
    assert telegram.refused == []
    assert telegram.exceeded == 0, "the bot keeps Telegram's limits by itself"
