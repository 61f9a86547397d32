"""The bot on Debian 13, with its python-telegram-bot 21.10: installed, used, upgraded, removed and purged."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job.house import run, show, until
from tests.lab.bot_api import BotApi
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, SERVICE, SOCKET

DEBS = Path(os.environ.get("SWAPPER_TEST_DEBS", "/opt/swapper-debs"))


def debs(*, upgrade: bool = False) -> list[str]:
    """Both packages, or the same of a later version."""
    return sorted(str(path) for path in DEBS.glob("*.deb") if ("+upgrade" in path.name) == upgrade)


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    run("dpkg", "--install", *debs())
    yield
    rig.clean()
    run("dpkg", "--purge", "swapper-telegram", "swapper")


@pytest.fixture
def telegram() -> Iterator[BotApi]:
    with BotApi().serving() as telegram:
        rig.configure(telegram)
        run("systemctl", "start", SERVICE)
        yield telegram
        run("systemctl", "stop", SERVICE, SOCKET, check=False)


def test_it_is_off_until_it_has_a_token() -> None:
    for unit in (SERVICE, SOCKET):
        assert show(unit, "ActiveState") == "inactive"
        assert show(unit, "UnitFileState") == "disabled"


def test_it_answers(telegram: BotApi) -> None:
    telegram.chats.text(ADA, "/models")
    assert "devstral" in telegram.chats.answered(ADA, "qwen3-vl-4b").text
    telegram.chats.text(ADA, "Hello!")
    assert telegram.chats.answered(ADA, "⚠️").text.startswith("⚠️ glm-47-flash is not completely downloaded yet.")
    telegram.chats.text(1, "Hello!")
    telegram.chats.answered(1, "Your number is 1.")
    assert telegram.refused == []


def test_an_upgrade_restarts_it_and_leaves_its_socket(telegram: BotApi) -> None:
    socket, service = show(SOCKET, "InvocationID"), show(SERVICE, "InvocationID")
    run("dpkg", "--install", *debs(upgrade=True))
    until(lambda: show(SERVICE, "ActiveState") == "active", "it runs again")
    assert show(SERVICE, "InvocationID") != service
    assert show(SOCKET, "InvocationID") == socket
    telegram.chats.text(ADA, "/status")
    telegram.chats.answered(ADA, "Remembered")


def test_a_removal_stops_it_and_a_purge_leaves_nothing(telegram: BotApi) -> None:
    telegram.chats.text(ADA, "/status")
    telegram.chats.answered(ADA, "Remembered")
    run("dpkg", "--remove", "swapper-telegram")
    assert show(SERVICE, "ActiveState") == show(SOCKET, "ActiveState") == "inactive"
    assert (rig.STATE / "bot.sqlite3").exists()
    run("dpkg", "--purge", "swapper-telegram")
    for path in (rig.STATE, rig.PLAIN, rig.CONFIG, Path("/usr/share/swapper/swapper/telegram")):
        assert not path.exists(), path
    assert Path("/etc/swapper/swapper.yaml").exists()
