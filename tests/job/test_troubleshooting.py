"""docs/troubleshooting.md, held to the host: each thing is broken, and what the page says is what is said and mends it.

A part of the page has what clients get, a `console` with commands and their answers (`…` stands for anything), and what
to type, if that is a command. Here stands how each is broken, and how it is mended where the page has words for it.
"""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from swapper.router.errors import STATUSES
from tests.job import house
from tests.job.house import CONFIG, MODELS, chat, configure, run, sentence
from tests.job.keys import ALICE, PLAIN, SOCKET_DROPIN, bearer, drop_in, knock, no_keys, restart, result
from tests.test_house import SOURCE

PAGE = (SOURCE / "docs" / "troubleshooting.md").read_text()
PARTS: dict[str, str] = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
WITHOUT = {"Somewhere else"}
"""Parts in which nothing is broken."""

(MODELS_OF_THE_PAGE,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
DEVSTRAL = MODELS / "devstral.gguf"
ELSEWHERE = Path("/srv/models")
POLKIT = Path("/etc/polkit-1/rules.d/00-test.rules")
OUTSIDE = "192.0.2.9"  # of the block for documentation (RFC 5737)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A thing that is broken.

    Attributes:
        breaks: Breaks it; for as long as that lasts, if it gives something to be left again.
        mends: Does what the page has no command for.
        asks: What a client does who meets it; its code, or status.
    """

    breaks: Callable[[], object]
    mends: Callable[[], object] = lambda: None
    asks: Callable[[], str | int] = lambda: result(chat("devstral"))


def edited(*changes: tuple[str, str]) -> None:
    """The configuration with other words in it, and nobody has had it taken."""
    text = MODELS_OF_THE_PAGE
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    CONFIG.write_text(text)


def taken(*changes: tuple[str, str]) -> None:
    edited(*changes)
    configure(CONFIG.read_text())


def away() -> None:
    run("systemctl", "stop", "swapper.socket", "swapper.service")


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Another server has the port. It goes at the end."""
    away()
    server = "import socket; s = socket.create_server(('127.0.0.1', 8000)); print(flush=True); s.accept()"
    with subprocess.Popen(["python3", "-c", server], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        run("systemctl", "start", "swapper.socket", check=False)
        yield
        process.kill()


def not_configured() -> None:
    chat("mistral")
    edited()
    CONFIG.write_text(re.sub("  devstral.*\n", "", MODELS_OF_THE_PAGE))
    run("systemctl", "reload", "swapper")
    edited()


def without_permission() -> None:
    DEVSTRAL.chmod(0o600)


def behind_a_closed_folder() -> None:
    ELSEWHERE.mkdir()
    shutil.copy(DEVSTRAL, ELSEWHERE)
    ELSEWHERE.chmod(0o700)
    taken(("model: devstral.gguf", f"model: {ELSEWHERE}/devstral.gguf"))


def broken() -> None:
    DEVSTRAL.write_bytes(b"nothing")
    assert result(chat("devstral")) == "model_failed"


def whole() -> None:
    DEVSTRAL.unlink()
    house.write_gguf("devstral")
    house.until(lambda: chat("devstral").status == 200, "it is tried again")


def denied() -> None:
    POLKIT.write_text('polkit.addRule(function (a, s) { if (s.user === "swapper") { return polkit.Result.NO; } });\n')
    run("systemctl", "restart", "polkit")
    knock("GET", "/health")


def allowed() -> None:
    POLKIT.unlink()
    run("systemctl", "restart", "polkit")


def wide() -> None:
    drop_in(SOCKET_DROPIN, "[Socket]\nListenStream=\nListenStream=8000\n")
    run("systemctl", "stop", "swapper.service")
    run("systemctl", "restart", "swapper.socket")


def keys() -> None:
    PLAIN.parent.mkdir(mode=0o700, exist_ok=True)
    PLAIN.write_text(f"alice inference {ALICE}\nops admin\n")
    PLAIN.chmod(0o644)
    restart()


def with_key() -> str | int:
    return result(knock("POST", "/v1/chat/completions", bearer(ALICE), house.question("devstral")))


def parked() -> None:
    more = "  asr: {engine: vllm, model: asr, gpu: 2, on_swap: park}\nrouter: {park_memory: 4000GiB}\n"
    configure(MODELS_OF_THE_PAGE + more)


TROUBLES = {
    "The connection is refused": Trouble(away),
    "The port is somebody else's": Trouble(somebody_else, lambda: run("systemctl", "start", "swapper.socket")),
    "The reload fails": Trouble(
        lambda: edited(("{engine: llama, model: devstral", "{engine: lama, model: devstral"),
                       ("qwen-coder.gguf, context", "qwen-coder.gguf, contex")), edited),
    "A model that was configured is not there": Trouble(not_configured),
    "A model's file is missing": Trouble(DEVSTRAL.unlink, lambda: house.write_gguf("devstral")),
    "A model's file cannot be read": Trouble(without_permission),
    "A folder on the way to it is closed": Trouble(behind_a_closed_folder),
    "A model's file is broken": Trouble(broken, whole),
    "The engine is not installed": Trouble(
        lambda: configure(f"engines: {{llama: {{path: /nowhere/llama-server}}}}\n{MODELS_OF_THE_PAGE}"), taken),
    "A model is disabled": Trouble(lambda: run("systemctl", "mask", "llama@devstral.service")),
    "A change of the configuration has no effect": Trouble(lambda: run("swapperctl", "pin", "devstral", "1")),
    "Nothing can be started": Trouble(denied, allowed),
    "Others in the network are refused": Trouble(
        wide, asks=lambda: result(knock("GET", "/v1/models", address=OUTSIDE))),
    "Keys that were right are refused": Trouble(
        keys, lambda: PLAIN.write_text(f"alice inference {ALICE}\nops admin {ALICE}x\n"), with_key),
    "Models are slow: they run on the CPU": Trouble(lambda: None),
    "Parked models take the host's memory": Trouble(parked, taken),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _three_models(_clean: None) -> Iterator[None]:
    for name in ("devstral", "qwen-coder", "mistral"):
        house.write_gguf(name)
    no_keys()
    configure(MODELS_OF_THE_PAGE)
    run("ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo")
    yield
    run("ip", "address", "del", f"{OUTSIDE}/32", "dev", "lo")
    run("systemctl", "unmask", "llama@devstral.service", check=False)
    for file in (POLKIT, Path("/etc/systemd/system/llama@devstral.service.d/60-pin.conf"), DEVSTRAL):
        file.unlink(missing_ok=True)
    shutil.rmtree(ELSEWHERE, ignore_errors=True)
    no_keys()
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "polkit", "swapper.socket")


def test_every_part_of_the_page_is_here() -> None:
    assert PARTS.keys() - WITHOUT == TROUBLES.keys()
    assert len(TROUBLES) >= 10


def consoles(part: str) -> Iterator[tuple[str, list[str]]]:
    """Commands, and what they answer."""
    (text,) = re.findall(r"^```console\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    for each in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        command, *lines = each.splitlines()
        assert lines, f"{command} says nothing"
        yield command, lines


def said(command: str, lines: list[str]) -> list[str]:
    """Those of the lines that the command does not say; what mends a finding belongs to the line above it."""
    shown = run("bash", "-c", command, check=False)
    if command == "swapperctl doctor":
        findings = re.split(r"\n(?! )", shown)
        wanted = re.split(r"\n(?! )", "\n".join(lines))
    else:
        findings, wanted = shown.splitlines(), lines
    patterns = {each: re.compile(".*".join(map(re.escape, each.split("…")))) for each in wanted}
    return [each for each, pattern in patterns.items() if not any(map(pattern.fullmatch, findings))]


@pytest.mark.parametrize("title", TROUBLES)
def test_the_page_says_what_is_said_and_mends_it(title: str) -> None:
    part, trouble = PARTS[title], TROUBLES[title]
    lasting = trouble.breaks()
    with lasting if isinstance(lasting, contextlib.AbstractContextManager) else contextlib.nullcontext():
        for status, code in re.findall(r"^Clients get `(\d+) (\w+)`", part, re.MULTILINE):
            assert (trouble.asks(), STATUSES[code]) == (code, int(status))
        for command, lines in consoles(part):
            assert said(command, lines) == [], run("bash", "-c", command, check=False)
    trouble.mends()
    words = re.sub(r"^```.*?^```$", "", part, flags=re.MULTILINE | re.DOTALL)
    for command in re.findall(r"^    (.+)$", words, re.MULTILINE):
        run("bash", "-euc", command)
    if title == "Models are slow: they run on the CPU":
        return  # no driver comes to this machine
    for command, lines in consoles(part):
        if command == "swapperctl doctor":
            assert len(said(command, lines)) == len(re.split(r"\n(?! )", "\n".join(lines))), "it is still there"
    if PLAIN.exists():
        return
    # A model that has failed is tried again after a pause.
    house.until(lambda: chat("devstral").status == 200, "it answers")
    assert chat("devstral").content == sentence("devstral")
