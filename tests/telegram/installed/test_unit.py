"""The units: the token, the port, the sandbox, what the bot costs."""

import re

import pytest

from swapper.telegram.__main__ import START, STORE
from tests.bench.memory import Held
from tests.bench.telegram import fill
from tests.job.house import journal, main_pid, run, sentence, show, until
from tests.lab.bot_api import TOKEN, BotApi
from tests.lab.bot_chats import Chats
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, SERVICE, SOCKET

EXPOSURE = 1.5
IDLE_MIB = 80


def fails() -> str:
    """Start it in vain; its exit status."""
    run("systemctl", "start", SERVICE, check=False)
    until(lambda: show(SERVICE, "ActiveState") == "failed", "it has ended")
    return show(SERVICE, "ExecMainStatus")


def test_without_a_token_it_says_what_to_type(telegram: BotApi) -> None:
    rig.PLAIN.unlink()
    assert fails() == "78"
    words = journal(SERVICE)
    assert STORE in words
    assert START in words
    assert "There is no token" in show(SERVICE, "StatusText")
    assert telegram.calls == []


def test_what_it_says_to_type_works(telegram: BotApi) -> None:
    rig.PLAIN.unlink()
    assert fails() == "78"
    typed = [line.strip() for line in journal(SERVICE).splitlines() if line.startswith("    ")]
    store, start = typed[-2:]
    run("sh", "-c", store.replace('systemd-ask-password -n "Token of the bot:"', f"printf %s {TOKEN}"))
    try:
        run("sh", "-c", start)
        assert show(SERVICE, "ActiveState") == "active"
        assert show(SERVICE, "UnitFileState") == show(SOCKET, "UnitFileState") == "enabled"
        telegram.chats.text(ADA, "Hello!")
        telegram.chats.answered(ADA, sentence("alpha"))
    finally:
        run("systemctl", "disable", SERVICE, SOCKET)


def test_a_token_that_telegram_does_not_know(telegram: BotApi) -> None:
    rig.PLAIN.write_text(f"{TOKEN}x")
    assert fails() == "78"
    assert "Telegram does not know the token" in journal(SERVICE)
    assert TOKEN not in rig.words()
    assert telegram.calls == []


def test_every_mistake_in_the_configuration_is_told(telegram: BotApi) -> None:
    rig.configure(telegram, "voice: loud\nsytem: x\n")
    assert fails() == "78"
    words = journal(SERVICE)
    assert f"{rig.CONFIG}:3: 'voice' cannot be 'loud'" in words
    assert f"{rig.CONFIG}:4: the configuration has no 'sytem' (did you mean 'system'?)" in words
    assert run("systemctl", "is-active", SOCKET, check=False).strip() in {"active", "inactive", "failed"}


def test_the_token_appears_nowhere(telegram: BotApi) -> None:
    rig.start()
    telegram.chats.text(ADA, "Hello!")
    telegram.chats.answered(ADA, sentence("alpha"))
    telegram.floods.append(("getupdates", 1))
    with telegram.chats.at_once():
        telegram.chats.file(ADA, "document", b"x", file_name="a.txt")
        telegram.chats.files.clear()
    telegram.chats.answered(ADA, "not to be had")
    process = show(SERVICE, "MainPID")
    seen = rig.words() + run("systemctl", "show", SERVICE) + run("ps", "-p", process, "-o", "args=", "e")
    assert TOKEN not in seen
    assert TOKEN.partition(":")[2] not in seen


def test_it_is_exposed_as_little_as_the_router() -> None:
    verdict = run("systemd-analyze", "security", SERVICE, "--no-pager").splitlines()[-1]
    found = re.search(r"(\d+\.\d+)", verdict)
    assert found is not None
    assert float(found[1]) <= EXPOSURE, verdict


def test_health_and_metrics(chats: Chats) -> None:
    chats.text(ADA, "Hello!")
    chats.answered(ADA, sentence("alpha"))
    until(lambda: rig.get("/health") == (200, '{"status": "ok", "waiting": 0}'), "all is well")
    metrics = rig.get("/metrics")[1]
    assert 'swapper_telegram_answers_total{outcome="finished"} 1.0' in metrics
    assert "swapper_telegram_connected 1.0" in metrics
    assert rig.get("/telegram/updates")[0] == 404, "there is no webhook"


@pytest.mark.parametrize("stored", [0, 10_000])
def test_idle_it_takes_little_memory(telegram: BotApi, stored: int) -> None:
    rig.start()
    run("systemctl", "stop", SERVICE)
    fill(stored)
    rig.start()
    telegram.chats.text(ADA, "Hello!")
    telegram.chats.answered(ADA, sentence("alpha"))
    until(lambda: '"waiting": 0' in rig.get("/health")[1], "it has nothing to do")
    held = {"Rss": Held.by(main_pid(SERVICE)).rss}
    if (current := show(SERVICE, "MemoryCurrent")).isdecimal():  # where there is a memory controller
        held["MemoryCurrent"] = int(current)
    print({name: f"{size / 2**20:.1f} MiB" for name, size in held.items()})
    assert max(held.values()) <= IDLE_MIB << 20, held
