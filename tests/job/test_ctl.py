"""`swapperctl` as installed, by root and by an ordinary user, at a host that works and at one that does not."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import chat, configure, run, sentence, show, state, stream, until
from tests.job.mishaps import ENDLESS
from tests.lab import media
from tests.lab.gguf import write_model
from tests.lab.terminal import Shown
from tests.media.sight import EYE, write_models

CONF = Path("/etc/swapper/conf.d")
KEYS, ENCRYPTED = Path("/etc/credstore/swapper.keys"), Path("/etc/credstore.encrypted/swapper.keys")


@pytest.fixture(autouse=True)
def _conf() -> Iterator[None]:
    yield
    for file in CONF.glob("*.yaml"):
        file.unlink()


def ctl(*words: str, status: int = 0, text: str | None = None, user: str = "") -> str:
    """Run it without a terminal; what it printed."""
    before = ("runuser", "-u", user, "--") if user else ()
    argv = [*before, "swapperctl", *words]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, input=text or "")
    assert done.returncode == status, done
    assert "\x1b" not in done.stdout + done.stderr, "colours are for terminals"
    return done.stdout + done.stderr


def test_a_models_day() -> None:
    assert "3 models more, stopped" in ctl("status")
    assert ctl("load", "first").startswith("alpha is ready (llama@alpha.service; its last load was done after ")
    shown = ctl("status")
    assert "swapper at http://127.0.0.1:8000: ok" in shown
    assert "GPU 0  exclusive\n  alpha  ready  0 requests  all of it  for " in shown
    assert "2 models more, stopped" in shown
    assert [line.split()[:3] for line in ctl("models").splitlines()[1:]] == [
        ["alpha", "ready", "llama"], ["beta", "stopped", "llama"], ["gamma", "stopped", "llama"],
    ]  # fmt: skip
    assert ctl("unload", "alpha") == "alpha is stopped\n"
    assert state("alpha") == "stopped"
    ctl("load", "alpha", "gamma")
    assert sorted(ctl("unload", "--all").splitlines()) == ["alpha is stopped", "gamma is stopped"]


def test_whoever_may_only_look_can() -> None:
    chat("alpha")
    for words in (("status",), ("models",), ("check",), ("diff",), ("logs", "alpha"), ("top", "--times", "1")):
        assert ctl(*words, user="nobody"), words
    file = str(house.MODELS / "alpha.gguf")
    assert "this is for root" in ctl("add", file, "--name", "x", status=1, user="nobody")


def test_figures_for_programs() -> None:
    chat("alpha")
    status = json.loads(ctl("status", "--json"))
    assert (status["health"]["status"], status["gpus"][0]["residents"][0]["model"]) == ("ok", "alpha")
    assert [model["name"] for model in json.loads(ctl("models", "--json"))] == ["alpha", "beta", "gamma"]
    assert json.loads(ctl("load", "alpha", "--json"))["state"] == "ready"
    answer = json.loads(ctl("chat", "alpha", "Hello!", "--json"))
    assert answer["choices"][0]["message"]["content"] == sentence("alpha")
    assert json.loads(ctl("top", "--times", "1", "--json"))["models"]
    assert json.loads(ctl("check", "--json")) == {"models": 3, "errors": [], "notes": []}
    assert json.loads(ctl("diff", "--json")) == []
    assert json.loads(ctl("logs", "alpha", "-n", "1", "--json"))["_SYSTEMD_UNIT"] == "llama@alpha.service"
    figures = json.loads(ctl("bench", "alpha", "--rounds", "2", "--json"))
    assert 0 < figures["warm"] < 60
    assert 0 < figures["cold"] < 60
    assert [answer["tokens"] > 0 for answer in figures["answers"]] == [True, True]


def test_a_chat_with_words_with_standard_input_and_with_a_picture(tmp_path: Path) -> None:
    assert ctl("chat", "alpha", "Hello!") == f"{sentence('alpha')}\n"
    assert ctl("chat", "beta", text="Hello!") == f"{sentence('beta')}\n"
    assert sentence("alpha") in ctl("chat", "alpha", "THINK")
    write_models()
    configure(f"{house.BASIC}  eye: {EYE}\n")
    (tmp_path / "a.png").write_bytes(media.png())
    assert ctl("chat", "eye", "What is this?", str(tmp_path / "a.png")) == f"{sentence('eye')}\n"
    (tmp_path / "a.txt").write_text("x")
    assert "neither a picture nor a recording" in ctl("chat", "eye", "-f", str(tmp_path / "a.txt"), "?", status=2)


def test_a_conversation_at_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(["swapperctl", "chat", "alpha"], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = Shown()
        shown.read(ours)

        def hear(what: bytes, times: int) -> None:
            shown.wait(lambda: shown.data.count(what) >= times, house.PATIENCE)

        try:
            for number in (1, 2):
                hear(b"> ", number)
                os.write(ours, b"Hello!\n")
                hear(sentence("alpha").encode(), number)
            os.write(ours, b"\x04")
            assert process.wait(house.PATIENCE) == 0
        finally:
            process.kill()
    os.close(ours)


def test_the_journal_of_a_model() -> None:
    chat("alpha")
    assert "Started" in ctl("logs", "alpha", "-n", "500")
    assert "server" in ctl("logs", "alpha", "--url", "http://127.0.0.1:8000")
    assert "model_not_found" in ctl("logs", "alpa", status=1)
    chat("beta")
    chat("alpha")
    follow = ["swapperctl", "logs", "-f", "-n", "1", "beta"]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "Started" not in process.stdout.readline(), "the last one: from here on it follows"
        chat("beta")
        assert any("Started" in line for line in process.stdout)
        process.terminate()


def test_what_is_wrong_is_told_with_its_place() -> None:
    good = house.CONFIG.read_text()
    house.CONFIG.write_text(f"{good}  delta: {{engine: lama, model: d.gguf, contex: 1}}\n")
    said = ctl("check", status=2)
    assert f"{house.CONFIG}:{len(good.splitlines()) + 1}: " in said
    assert "llama" in said
    assert "context" in said
    assert "2 mistakes" in said
    assert len(json.loads(ctl("check", "--json", status=2))["errors"]) == 2
    assert "the configuration has mistakes" in ctl("diff", status=2)
    assert "the configuration has mistakes" in ctl("apply", status=2)
    assert chat("alpha").content == sentence("alpha")
    house.CONFIG.write_text(f"{good}  delta: {{engine: llama, model: d.gguf}}\n")
    assert "delta is incomplete: file /var/lib/swapper/models/d.gguf is not there" in ctl("check")


def test_a_change_is_told_before_it_is_taken() -> None:
    chat("alpha")
    text = house.BASIC.replace("context: 65536", "context: 4096").replace("  beta", "  delta")
    house.CONFIG.write_text(text.replace("gpu: 1", "gpu: 2"))
    told = ctl("diff")
    for line in ("~ alpha  (if it runs, ", "    context: 65536 → 4096", "+ delta", "- beta", "    gpus: [1] → [2]"):
        assert line in told, told
    assert state("alpha") == "ready", "nothing was changed"
    assert ctl("apply").startswith(told)
    assert ctl("diff") == "nothing would change\n"
    assert [model["name"] for model in json.loads(ctl("models", "--json"))] == ["alpha", "delta", "gamma"]
    until(lambda: state("alpha") == "stopped", "it was stopped for its new context")


def test_a_new_users_path() -> None:
    file = house.MODELS / "Tiny-Llama-Q4_K_M.gguf"
    write_model(file, "I was added.")
    try:
        added = ctl("add", str(file))
        assert added.startswith("tiny-llama: llama, llama, ")
        assert added.endswith("/etc/swapper/conf.d/tiny-llama.yaml\nswapperctl chat tiny-llama 'Hello!'\n")
        assert ctl("chat", "tiny-llama", "Hello!") == "I was added.\n"
        assert "there is a model tiny-llama already" in ctl("add", str(file), status=2)
        assert ctl("add", str(file), "--name", "other", "--print", "--gpu", "1") == (
            'models:\n  "other":\n    engine: llama\n    model: "/var/lib/swapper/models/Tiny-Llama-Q4_K_M.gguf"\n'
            "    context: 32768\n    gpu: [1]\n"
        )
        assert "alias 'alpha' is taken" in ctl("add", str(file), "--name", "other", "--alias", "alpha", status=2)
        assert not (CONF / "other.yaml").exists()
        file.chmod(0o600)
        assert f"chmod a+rX {file}" in ctl("add", str(file), "--name", "other", status=1)
        file.write_bytes(b"GGUF")
        assert "is no GGUF file, or not all there" in ctl("add", str(file), "--name", "other", status=2)
    finally:
        file.unlink()


def test_a_pin_that_counts_and_is_taken_back() -> None:
    chat("alpha")
    assert ctl("pin", "first", "3").endswith("alpha: GPU 3 (/etc/systemd/system/llama@alpha.service.d/60-pin.conf)\n")
    try:
        assert chat("alpha").content == sentence("alpha")
        assert "CUDA_VISIBLE_DEVICES=3" in show("llama@alpha.service", "Environment")
        assert "/dev/nvidia3 rw" in show("llama@alpha.service", "DeviceAllow")
        until(lambda: json.loads(ctl("models", "--json"))[0]["gpus"] == [3], "the pin is known")
    finally:
        assert ctl("pin", "alpha", "--back").endswith("alpha: GPU 0\n")
    chat("alpha")
    until(lambda: json.loads(ctl("models", "--json"))[0]["gpus"] == [0], "the pin is as configured again")
    assert "is it alpha?" in ctl("pin", "alpa", "1", status=2)
    configure(f"{house.BASIC}  voice: {{engine: speech}}\n")
    assert "runs on the CPU" in ctl("pin", "voice", "1", status=2)


def test_root_needs_no_key_and_others_do() -> None:
    KEYS.parent.mkdir(mode=0o700, exist_ok=True)
    KEYS.write_text("alice inference 0123456789abcdef\nops admin fedcba9876543210\n")
    KEYS.chmod(0o600)
    run("systemctl", "restart", "swapper.service")
    try:
        assert "swapper at" in ctl("status")
        assert "set SWAPPER_API_KEY" in ctl("status", status=1, user="nobody") or "Authorization" in ctl(
            "status", status=1, user="nobody"
        )
        KEYS.rename(KEYS.with_suffix(".plain"))
        run("systemd-creds", "encrypt", "--name=swapper.keys", str(KEYS.with_suffix(".plain")), str(ENCRYPTED))
        assert "swapper at" in ctl("status"), "encrypted at rest"
    finally:
        for file in (KEYS, KEYS.with_suffix(".plain"), ENCRYPTED):
            file.unlink(missing_ok=True)
        run("systemctl", "restart", "swapper.service")


def test_who_reads_no_further_is_no_failure() -> None:
    chat("alpha")
    for command in ("logs alpha --url http://127.0.0.1:8000", "models", "top --times 2"):
        said = run("bash", "-c", f"swapperctl {command} | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}")
        assert said == "0\n", (command, said)


def test_top_goes_on_over_a_restart() -> None:
    with subprocess.Popen(["swapperctl", "top", "--json", "--interval", "0.2"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        run("systemctl", "restart", "swapper.service")
        chat("beta")
        assert any(b'"model": "beta"' in line for line in process.stdout), "it shows what is there now"
        process.kill()


def test_what_cannot_be_done_says_why_and_ends_so() -> None:
    assert "[model_not_found]" in ctl("load", "nobody", status=1)
    assert "say which models, or --all" in ctl("unload", status=2)
    assert "is no address" in ctl("status", "--url", "nonsense", status=2)
    run("systemctl", "stop", "swapper.socket", "swapper.service")
    try:
        assert "systemctl status swapper.socket" in ctl("status", status=3)
        assert "Started" in ctl("logs", "alpha", "-n", "500"), "the journal needs no router"
    finally:
        run("systemctl", "start", "swapper.socket")
    file = house.write_gguf("alpha")
    file.write_bytes(b"nothing")
    said = ctl("load", "alpha", status=1)
    file.unlink()
    assert "[model_failed]" in said
    assert "gguf" in said, "the journal's last lines"
    configure(ENDLESS)  # as it is usually, an answer has its end after some seconds
    with stream("beta"):
        assert "1 request" in ctl("status")
