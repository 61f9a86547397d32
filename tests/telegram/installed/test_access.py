"""Strangers get their number and nothing else, until they are let in."""

import subprocess

from tests.job.house import run, sentence, until
from tests.lab.bot_api import BotApi
from tests.lab.bot_chats import Chats
from tests.telegram.installed import rig
from tests.telegram.installed.rig import ADA, STRANGER

ELSEWHERE = -2002


def pair() -> str:
    """The code that an administrator gets."""
    done = subprocess.run(["swapperctl", "telegram", "pair"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def quiet(telegram: BotApi) -> None:
    """Wait until everything that was said so far is dealt with."""
    telegram.chats.wait(lambda: not telegram.chats.updates, "everything is taken in")
    until(lambda: '"waiting": 0' in rig.get("/health")[1], "nothing waits")


def test_a_stranger_is_told_a_number_once(telegram: BotApi, chats: Chats) -> None:
    chats.text(STRANGER, "Hello!")
    chats.answered(STRANGER, "Your number is")
    for text in ("/model", "/status", "Hello?", "AAAA-AAAA"):
        chats.text(STRANGER, text)
    chats.file(STRANGER, "photo", b"\xff\xd8\xff", caption="Look")
    quiet(telegram)
    assert [said.text for said in chats.all(STRANGER)] == [f"Your number is {STRANGER}."]
    assert all(method != "getfile" for method, _ in telegram.calls)


def test_a_code_lets_a_stranger_in(telegram: BotApi, chats: Chats) -> None:
    code = pair()
    chats.text(STRANGER, code.lower())
    chats.answered(STRANGER, "You are in.")
    chats.text(STRANGER, "Hello!")
    chats.answered(STRANGER, sentence("alpha"))
    chats.text(STRANGER + 1, code)
    chats.answered(STRANGER + 1, "Your number is")
    run("systemctl", "restart", rig.SERVICE)
    chats.text(STRANGER, "Hello!")
    chats.answered(STRANGER, sentence("alpha"), count=2)
    quiet(telegram)


def test_a_code_lets_a_group_in(telegram: BotApi, chats: Chats) -> None:
    chats.text(ELSEWHERE, "@swapper_test_bot Hello!", sender=7)
    chats.answered(ELSEWHERE, f"This group's number is {ELSEWHERE}.")
    chats.text(ELSEWHERE, f"@swapper_test_bot {pair()}", sender=7)
    chats.answered(ELSEWHERE, "You are in.")
    chats.text(ELSEWHERE, "@swapper_test_bot Hello!", sender=8)
    chats.answered(ELSEWHERE, sentence("alpha"))
    chats.text(8, "Hello!")
    chats.answered(8, "Your number is 8.")
    quiet(telegram)


def ctl(*words: str) -> subprocess.CompletedProcess[str]:
    """An administrator's command."""
    return subprocess.run(["swapperctl", "telegram", *words], capture_output=True, text=True, check=False)


def test_who_was_let_in_can_be_let_out_again(telegram: BotApi, chats: Chats) -> None:
    chats.text(STRANGER, pair())
    chats.answered(STRANGER, "You are in.")
    chats.text(ELSEWHERE, f"@swapper_test_bot {pair()}", sender=7)
    chats.answered(ELSEWHERE, "You are in.")
    for chat, words in ((STRANGER, "Hello!"), (ELSEWHERE, "@swapper_test_bot Hello!")):
        chats.text(chat, words, sender=abs(chat))
        chats.answered(chat, sentence("alpha"))
    listed = ctl("people")
    assert [line.split()[0] for line in listed.stdout.splitlines()][:2] == [str(STRANGER), str(ELSEWHERE)]
    assert f"{ADA}  in {rig.CONFIG}" in listed.stdout
    assert ctl("remove", str(STRANGER), "--forget").returncode == 0
    assert ctl("remove", str(ELSEWHERE)).returncode == 0
    for chat, words in ((STRANGER, "Hello!"), (ELSEWHERE, "@swapper_test_bot Hello!")):
        chats.text(chat, words, sender=abs(chat))
        chats.answered(chat, "number is")
    quiet(telegram)
    assert [said.text for said in chats.all(STRANGER)][2:] == [f"Your number is {STRANGER}."]
    assert [said.text for said in chats.all(ELSEWHERE)][2:] == [f"This group's number is {ELSEWHERE}."]
    again = ctl("remove", str(STRANGER))
    assert (again.returncode, "was not let in by a code" in again.stderr) == (1, True)
    named = ctl("remove", str(ADA))
    assert (named.returncode, f"let in by {rig.CONFIG}" in named.stderr) == (1, True)
    assert str(STRANGER) not in ctl("people").stdout
    owners = {file.owner() for file in rig.STATE.iterdir()}
    assert owners == {"swapper-telegram"}, "root left nothing that the bot could not use"


def test_what_is_for_root_is_refused_to_others(chats: Chats) -> None:
    chats.text(ADA, "/status")
    chats.answered(ADA, "Remembered")
    for action in (["people"], ["remove", str(ADA)], ["pair"]):
        done = subprocess.run(
            ["setpriv", "--reuid=nobody", "--clear-groups", "swapperctl", "telegram", *action],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, "this is for root" in done.stderr) == (1, True), done


def test_who_is_let_in_is_answered_in_any_group(telegram: BotApi, chats: Chats) -> None:
    chats.text(ELSEWHERE, "@swapper_test_bot Hello!", sender=ADA)
    chats.answered(ELSEWHERE, sentence("alpha"))
    chats.text(ELSEWHERE, "nothing for the bot, but a secret", sender=ADA)
    chats.text(ADA, "/status")
    chats.answered(ADA, "Remembered")
    quiet(telegram)
    assert all(b"a secret" not in file.read_bytes() for file in rig.STATE.rglob("*") if file.is_file())


def test_a_button_of_somebody_elses(telegram: BotApi, chats: Chats) -> None:
    chats.text(ADA, "/model")
    listed = chats.answered(ADA, "Choose another")
    query = chats.press(listed, "beta", sender=STRANGER)
    chats.wait(lambda: query in chats.presses, "the button is answered")
    assert chats.presses[query] == ""
    assert chats.said[listed.number].text == listed.text
    quiet(telegram)


def test_a_chat_that_blocked_the_bot_holds_nobody_up(telegram: BotApi) -> None:
    rig.start()
    chats = telegram.chats
    chats.blocked.add(ADA + 1)
    chats.text(ADA + 1, "Hello!")
    chats.text(ADA, "Hello!")
    chats.answered(ADA, sentence("alpha"))
    quiet(telegram)
    assert chats.all(ADA + 1) == []
