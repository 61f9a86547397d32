"""Telegram calls, instead of being asked."""

import pytest

from tests.job.house import journal, run, sentence, show, until
from tests.lab.bot_api import TOKEN, BotApi
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, SERVICE

PATH = "/telegram/updates"
WEBHOOK = f"webhook: https://bot.example.com{PATH}\n"
HEADER = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
def webhook(telegram: BotApi) -> BotApi:
    """A bot that Telegram calls."""
    rig.configure(telegram, WEBHOOK)
    rig.start()
    until(lambda: bool(telegram.webhook), "Telegram knows where to call")
    return telegram


def test_a_webhook(webhook: BotApi) -> None:
    headers = {"Content-Type": "application/json", HEADER: webhook.webhook["secret_token"]}
    webhook.chats.text(ADA, "Hello!")
    update = webhook.chats.updates.pop()
    assert rig.post(PATH, update, headers) == 200
    assert rig.post(PATH, update, headers) == 200, "as Telegram does when it was not sure"
    webhook.chats.answered(ADA, sentence("alpha"))
    until(lambda: '"waiting": 0' in rig.get("/health")[1], "nothing waits")
    assert len(webhook.chats.all(ADA)) == 1
    assert all(method != "getupdates" for method, _ in webhook.calls)


def test_a_forged_webhook(webhook: BotApi) -> None:
    webhook.chats.text(ADA, "Hello!")
    update = webhook.chats.updates.pop()
    for headers in ({}, {HEADER: ""}, {HEADER: "x" * 43}, {HEADER: webhook.webhook["secret_token"][:-1]}):
        assert rig.post(PATH, update, {"Content-Type": "application/json", **headers}) == 403
    good = {HEADER: webhook.webhook["secret_token"]}
    assert rig.post(PATH, {"update_id": "x"}, good) == 400
    assert rig.post("/telegram/elsewhere", update, good) == 404
    assert rig.get("/health")[1] == '{"status": "ok", "waiting": 0}'
    assert webhook.chats.all(ADA) == []


def test_calls_that_are_too_large(webhook: BotApi) -> None:
    good = {HEADER: webhook.webhook["secret_token"]}
    assert rig.post(PATH, {"update_id": 1, "message": "x" * (1 << 20)}, good) == 413
    assert rig.post(PATH, {"update_id": 1, "message": "x" * (1 << 20)}, {}) == 403, "nobody reads that"
    assert rig.get("/health")[1] == '{"status": "ok", "waiting": 0}'


def test_a_webhook_that_telegram_refuses(telegram: BotApi) -> None:
    telegram.webhook_refused = "Failed to resolve host: Name or service not known"
    rig.configure(telegram, WEBHOOK)
    rig.start()
    until(lambda: "refuses the webhook" in show(SERVICE, "StatusText"), "the status says it")
    assert "failed to resolve host" in show(SERVICE, "StatusText")
    assert rig.get("/health") == (503, '{"status": "Telegram refuses the webhook", "waiting": 0}')
    words = journal(SERVICE)
    assert "its name has to resolve there" in words
    telegram.webhook_refused = ""
    until(lambda: show(SERVICE, "StatusText") == "@swapper_test_bot listens", "it tries again")
    assert rig.get("/health")[0] == 200


def test_a_webhook_that_telegram_does_not_get_through_to(telegram: BotApi) -> None:
    telegram.webhook_failed = "SSL error {error:0A000086:SSL routines::certificate verify failed}"
    rig.configure(telegram, WEBHOOK)
    rig.start()
    until(lambda: "does not get through" in show(SERVICE, "StatusText"), "the status says it")
    assert "certificate verify failed" in show(SERVICE, "StatusText")
    assert "one that everybody trusts" in journal(SERVICE)
    telegram.chats.text(ADA, "Hello!")
    update = telegram.chats.updates.pop()
    telegram.webhook_failed = ""  # what gets through has got through: the bot asks again, perhaps before we look
    assert rig.post(PATH, update, {HEADER: telegram.webhook["secret_token"]}) == 200
    telegram.chats.answered(ADA, sentence("alpha"))
    assert show(SERVICE, "StatusText") == "@swapper_test_bot listens"


def ended() -> None:
    """The service has ended because of its token, and says so; started with one that holds, it works."""
    until(lambda: show(SERVICE, "ActiveState") == "failed", "it has ended")
    assert show(SERVICE, "ExecMainStatus") == "78"
    assert "Telegram does not know the token" in show(SERVICE, "StatusText")
    assert "Telegram does not know the token" in journal(SERVICE)
    assert TOKEN not in rig.words()


def test_a_token_that_is_revoked_ends_it(telegram: BotApi, webhook: BotApi) -> None:
    webhook.revoked = True
    webhook.chats.text(ADA, "Hello!")
    update = webhook.chats.updates.pop()
    assert rig.post(PATH, update, {HEADER: webhook.webhook["secret_token"]}) == 200
    ended()
    telegram.revoked = False
    run("systemctl", "start", SERVICE)
    webhook.chats.answered(ADA, sentence("alpha"))
    assert len(webhook.chats.all(ADA)) == 1, "what it could not say before"


def test_a_token_that_is_revoked_ends_it_where_it_asks_itself(telegram: BotApi) -> None:
    rig.start()
    telegram.revoked = True
    telegram.chats.text(ADA, "Hello!")  # ends the question that is open
    ended()
