"""The bot as an administrator has it: units, credentials, configuration."""

import contextlib
import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.job import house
from tests.job.house import PATIENCE, ask, journal, main_pid, run, show, until
from tests.lab.bot_api import TOKEN, BotApi

ADA, BOB, STRANGER, GROUP = 42, 43, 66, -1001
USERS = range(ADA, ADA + 24)
CONFIG = Path("/etc/swapper/telegram.yaml")
STATE = Path("/var/lib/swapper-telegram")
PLAIN = Path("/etc/credstore/swapper-telegram.token")
ENCRYPTED = Path("/etc/credstore.encrypted/swapper-telegram.token")
SOCKET, SERVICE = "swapper-telegram.socket", "swapper-telegram.service"


BEGUN = 10 << 20
"""Bytes that an engine has read when it has begun with its model: its libraries are mapped."""

FED = 12.0
"""Seconds: engines feed their watchdogs every ten, and have twenty."""

MODELS = house.BASIC.replace("context: 2048", "context: 65536")
"""A letter is a token to these models, and the agent tells them of its tools: so they are given room."""


def configure(telegram: BotApi, more: str = "") -> None:
    """Put a configuration and the token in place."""
    CONFIG.write_text(f"api: {telegram.url}\nallow: {{users: {list(USERS)}, groups: [{GROUP}]}}\n{more}")
    PLAIN.parent.mkdir(mode=0o700, exist_ok=True)
    PLAIN.write_text(f"{TOKEN}\n")
    PLAIN.chmod(0o600)


def start() -> None:
    """Start it."""
    run("systemctl", "start", SERVICE)


def kill(*, at_once: bool = True) -> None:
    """End it as a power cut would. systemd starts it again, after a second and then later and later: or at once."""
    process = show(SERVICE, "MainPID")
    run("systemctl", "kill", "--signal=KILL", SERVICE)
    assert process != "0"
    if at_once:
        until(lambda: show(SERVICE, "MainPID") != process, "it has ended")
        start()


def clean() -> None:
    """As if it had never run."""
    run("systemctl", "stop", SERVICE, SOCKET, check=False)
    run("systemctl", "reset-failed", SERVICE, SOCKET, check=False)
    shutil.rmtree(STATE, ignore_errors=True)
    for credential in (PLAIN, ENCRYPTED):
        credential.unlink(missing_ok=True)


@contextlib.contextmanager
def running(more: str = "") -> Iterator[BotApi]:
    """A bot that runs, and its Telegram; afterwards both are gone, and the configuration is as it was."""
    before = CONFIG.read_text()
    clean()
    try:
        with BotApi().serving() as telegram:
            configure(telegram, more)
            start()
            yield telegram
    finally:
        clean()
        CONFIG.write_text(before)


@contextlib.contextmanager
def standing_still(model: str) -> Iterator[None]:
    """A load that has begun to read goes no further for a while, however fast this machine is.

    It comes so far by small steps from its beginning, between which there is time for everybody to see it: else it may
    be over before anybody has looked.
    """
    unit = f"llama@{model}.service"
    until(lambda: main_pid(unit) != 0, f"{model} starts")
    with unwatched(), _stopped(unit) as process:
        until(lambda: _read(process) > BEGUN or _step(process, 0.05), f"{model} begins to read")
        until(lambda: bool(ask("GET", f"/api/models/{model}").json["progress"]) or _step(process, 0.02, 0.5),
              f"{model} is seen to read")  # fmt: skip
        yield


def _step(process: int, seconds: float, rest: float = 0.0) -> bool:
    """Let a process that is stopped go on for so long, and give others time to notice; False, for more steps."""
    os.kill(process, signal.SIGCONT)
    time.sleep(seconds)
    os.kill(process, signal.SIGSTOP)
    time.sleep(rest)
    return False


def _read(process: int) -> int:
    """Bytes that a process has read."""
    return int(Path(f"/proc/{process}/io").read_text().split()[1])


@contextlib.contextmanager
def silent(unit: str) -> Iterator[None]:
    """An engine that runs says nothing for a while: what is asked now is answered afterwards at the earliest."""
    with unwatched(), _stopped(unit):
        yield


@contextlib.contextmanager
def _stopped(unit: str) -> Iterator[int]:
    process = main_pid(unit)
    assert process, f"{unit} does not run"
    # All of its threads: what speaks gives each connection one, and the router keeps connections.
    os.kill(process, signal.SIGSTOP)
    try:
        yield process
    finally:
        os.kill(process, signal.SIGCONT)
        until(lambda: _fed(unit), f"{unit} is heard of again, before somebody watches it")


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Nobody ends an engine for saying nothing, however long that takes."""
    before = run("systemctl", "service-watchdogs").strip()
    run("systemctl", "service-watchdogs", "no")
    try:
        yield
    finally:
        run("systemctl", "service-watchdogs", before)


def _fed(unit: str) -> bool:
    """Whether the watchdog has been fed lately, if there is one by now: that of a unit that starts comes later."""
    fed = int(show(unit, "WatchdogTimestampMonotonic"))
    return not fed or time.monotonic() - fed / 1e6 < FED


def words() -> str:
    """All that an administrator sees of it."""
    return journal(SERVICE) + run("systemctl", "status", "--no-pager", SERVICE, check=False)


def get(path: str) -> tuple[int, str]:
    """Ask port 4000."""
    return _ask(urllib.request.Request(f"http://127.0.0.1:4000{path}"))


def post(path: str, body: object, headers: dict[str, str]) -> int:
    """Call port 4000; the status."""
    request = urllib.request.Request(f"http://127.0.0.1:4000{path}", json.dumps(body).encode(), headers)
    return _ask(request)[0]


def _ask(request: urllib.request.Request) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
