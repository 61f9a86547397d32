"""Ways to break a host, and what `swapperctl doctor` says to each."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import chat, configure, run

KEYS = Path("/etc/credstore/swapper.keys")
RULE = Path("/etc/polkit-1/rules.d/00-test.rules")
SOCKET = Path("/etc/systemd/system/swapper.socket.d/10-test.conf")


@pytest.fixture(autouse=True)
def _mended() -> Iterator[None]:
    yield
    for file in (KEYS, RULE, SOCKET, Path("/etc/systemd/system/llama@alpha.service.d/60-pin.conf")):
        file.unlink(missing_ok=True)
    run("systemctl", "unmask", "llama@beta.service", check=False)
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "swapper.socket")


def found(grade: str = "wrong") -> dict[str, str]:
    """What is wrong, with what mends it."""
    done = subprocess.run(["swapperctl", "doctor", "--json"], check=False, capture_output=True, text=True)
    findings = json.loads(done.stdout)
    assert done.returncode == any(each["grade"] == "wrong" for each in findings), done
    return {each["what"]: each["mend"] for each in findings if each["grade"] == grade}


def test_a_host_that_is_well() -> None:
    chat("alpha")
    assert found() == {}
    good = found("good")
    for what in ("the configuration has no mistakes: 3 models", "swapper.socket listens",
                 "polkit lets the router start models", "3 of 3 models are whole, and can be read"):  # fmt: skip
        assert what in good
    assert any(what.startswith("/usr/bin/llama-server: ") for what in good)
    said = run("swapperctl", "doctor")
    assert "0 things wrong, " in said
    assert "! no NVIDIA driver is loaded: models run on the CPU" in said
    assert "root sees more" in run("runuser", "-u", "nobody", "--", "swapperctl", "doctor")


def test_mistakes_in_the_configuration() -> None:
    house.CONFIG.write_text("models: {a: {engine: lama}}\n")
    assert found() == {"the configuration has 2 mistakes; models are not looked at": "swapperctl check"}


def test_a_configuration_that_nobody_applied() -> None:
    house.CONFIG.write_text(f"{house.BASIC}  delta: {{engine: llama, model: alpha.gguf}}\n")
    assert found() == {"systemd does not know delta yet": "swapperctl apply"}


def test_a_socket_that_does_not_listen_and_a_port_that_is_taken() -> None:
    run("systemctl", "stop", "swapper.socket", "swapper.service")
    assert found() == {"swapper.socket does not listen: nobody can ask": "systemctl start swapper.socket"}
    taken = "import socket; s = socket.create_server(('127.0.0.1', 8000)); print(flush=True); s.accept()"
    with subprocess.Popen(["python3", "-c", taken], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wrong = found()
        process.kill()
    assert f"port 8000 is taken by process {process.pid} (python3)" in wrong


def test_polkit_that_says_no() -> None:
    RULE.write_text('polkit.addRule(function (a, s) { if (s.user === "swapper") { return polkit.Result.NO; } });\n')
    run("systemctl", "restart", "polkit")
    chat("alpha")
    assert list(found()) == ["polkit does not let the router start models"]
    RULE.unlink()
    run("systemctl", "restart", "polkit")
    assert found() == {}


def test_engines_and_files_that_are_not_there_or_closed() -> None:
    house.configure(f"engines: {{llama: {{path: /nowhere/llama-server}}}}\n{house.BASIC}")
    assert list(found()) == ["llama-server is not found, which 3 models want"]
    house.configure(house.BASIC)
    (house.MODELS / "beta.gguf").unlink()
    file = house.MODELS / "gamma.gguf"
    file.chmod(0o600)
    assert found() == {f"gamma: engines may not read {file}": f"chmod a+rX {file}"}
    file.chmod(0o644)
    assert "beta is incomplete: file /var/lib/swapper/models/beta.gguf is not there" in found("note")


def test_units_that_are_masked_overridden_and_failed() -> None:
    run("systemctl", "mask", "llama@beta.service")
    run("swapperctl", "pin", "alpha", "1")
    (house.MODELS / "gamma.gguf").write_bytes(b"nothing")
    chat("gamma")
    notes = found("note")
    assert notes["llama@beta.service is masked: beta is disabled"] == "systemctl unmask llama@beta.service"
    override = "/etc/systemd/system/llama@alpha.service.d/60-pin.conf"
    assert notes[f"llama@alpha.service is overridden by {override}"] == "systemctl cat llama@alpha.service"
    (house.MODELS / "gamma.gguf").unlink()
    (what,) = found()
    assert what.startswith("gamma has failed (exit-code)")


def test_keys_that_cannot_be_used_and_a_port_for_all_without_any() -> None:
    KEYS.parent.mkdir(mode=0o700, exist_ok=True)
    KEYS.write_text("ops admin\n")
    KEYS.chmod(0o644)
    assert list(found()) == [
        "swapper.keys:1: a line is NAME SCOPE KEY, and this one has 2 words (comments begin with #): nobody is let in",
        f"others may read {KEYS}",
    ]
    KEYS.write_text("alice inference 0123456789abcdef\n")
    KEYS.chmod(0o600)
    assert "no key has the scope admin: nobody can load, unload, or read journals in /ui" in found("note")
    KEYS.unlink()
    SOCKET.parent.mkdir(exist_ok=True)
    SOCKET.write_text("[Socket]\nListenStream=\nListenStream=8000\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "stop", "swapper.service")
    run("systemctl", "restart", "swapper.socket")
    assert list(found()) == ["swapper.socket listens on [::]:8000, and there are no keys"]


def test_what_models_want_of_memory() -> None:
    text = house.BASIC.replace("models:", "gpus: {0: {policy: pack}}\nrouter: {park_memory: 4000GiB}\nmodels:")
    parked = "  asr: {engine: vllm, model: asr, gpu: 2, gpu_memory: 99%, on_swap: park}\n"
    configure(f"{text}{parked}")
    assert any(what.startswith("park_memory is 4000.0 GiB") for what in found())
    notes = found("note")
    assert "GPU 0 is packed, and no model says what it takes of it" in notes
    assert "asr takes more than 95 % of GPU 2: vLLM may not start" in notes
