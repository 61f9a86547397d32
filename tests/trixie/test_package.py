"""The package on Debian 13, where apt found all that it needs: installed, used, upgraded, removed and purged."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job.house import CONFIG, MODELS, ask, chat, configure, run, show, until

DEBS = Path(os.environ.get("SWAPPER_TEST_DEBS", "/opt/swapper-debs"))
NOT_OURS = ("/dev/", "/opt/", "/proc/", "/run/systemd/", "/sys/", "/tmp/", "/var/cache/apt/", "/var/log/", "/var/tmp/")
"""What changes whatever is installed, and where the tests themselves are."""

ENGINE = Path("/run/systemd/system/llama@alpha.service.d/60-standin.conf")
STANDIN = """
[Service]
Type=exec
WatchdogSec=0
ExecStart=
ExecStart=/usr/bin/sleep infinity
"""
"""Debian 13 has no llama.cpp; what is tested with this is what becomes of a running unit, whatever runs in it."""


def deb(*, upgrade: bool = False) -> str:
    """The package under test, or the same of a later version."""
    return next(str(path) for path in DEBS.glob("swapper_*.deb") if ("+upgrade" in path.name) == upgrade)


def files() -> set[str]:
    """Everything in the machine that a package could have left behind."""
    found: set[str] = set()
    for folder, folders, names in Path("/").walk():
        folders[:] = [name for name in folders if not f"{folder / name}/".startswith(NOT_OURS)]
        found |= {str(folder / name) for name in (*folders, *names)}
    return found


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    run("dpkg", "--purge", "swapper-telegram")  # which is nowhere without the same version of this one
    run("dpkg", "--install", deb())
    yield
    run("systemctl", "stop", "llama@*.service", "speech@*.service", check=False)
    ENGINE.unlink(missing_ok=True)
    run("dpkg", "--purge", "swapper")


def start_engine() -> str:
    """Run a unit of a model; what systemd calls this run of it."""
    configure("models: {alpha: {engine: llama, model: alpha.gguf}}")
    ENGINE.parent.mkdir(exist_ok=True)
    ENGINE.write_text(STANDIN)
    (MODELS / "alpha.gguf").touch()
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "llama@alpha")
    return show("llama@alpha", "InvocationID")


def test_the_socket_listens_and_the_router_waits_for_the_first_connection() -> None:
    assert show("swapper.socket", "ActiveState") == "active"
    assert show("swapper.socket", "UnitFileState") == "enabled"
    assert show("swapper.service", "ActiveState") == "inactive"
    listening = run("ss", "--listening", "--tcp", "--numeric", "--no-header")
    assert "127.0.0.1:8000" in listening
    assert "[::1]:8000" in listening


def test_the_first_request_starts_the_router_with_the_models_of_the_shipped_file() -> None:
    answer = ask("GET", "/v1/models")
    assert answer.status == 200, answer.body
    named = {model["id"] for model in answer.json["data"]}
    assert {"devstral", "glm-47-flash", "qwen3-asr-0.6b", "qwen3-vl-4b"} <= named
    assert show("swapper.service", "ActiveState") == "active"


def test_a_missing_engine_is_an_answer_that_says_what_to_install() -> None:
    (MODELS / "alpha.gguf").write_bytes(b"GGUF")
    configure("models: {alpha: {engine: llama, model: alpha.gguf}}")
    answer = chat("alpha")
    assert answer.status == 503, answer.body
    assert "apt install llama.cpp-tools" in answer.body.decode()
    (MODELS / "alpha.gguf").unlink()


def test_it_speaks_with_what_apt_installed_along() -> None:
    configure("models: {espeak: {engine: speech, aliases: [tts]}}")
    for form, starts in (("opus", b"OggS"), ("flac", b"fLaC"), ("mp3", b"\xff"), ("wav", b"RIFF"), ("aac", b"\xff")):
        answer = ask("POST", "/v1/audio/speech", {"model": "tts", "input": "Hello!", "response_format": form})
        assert answer.status == 200, answer.body
        assert answer.body.startswith(starts)
        assert len(answer.body) > 2000
    run("dpkg", "--remove", "swapper")
    assert show("speech@espeak.service", "ActiveState") == "inactive"


def test_an_upgrade_restarts_a_running_router_and_nothing_else() -> None:
    engine = start_engine()
    ask("GET", "/v1/models")
    socket, router = show("swapper.socket", "InvocationID"), show("swapper.service", "InvocationID")
    run("dpkg", "--install", deb(upgrade=True))
    assert show("swapper.socket", "InvocationID") == socket
    assert show("llama@alpha", "InvocationID") == engine
    until(lambda: show("swapper.service", "ActiveState") == "active", "the router runs again")
    assert show("swapper.service", "InvocationID") != router
    assert ask("GET", "/v1/models").status == 200


def test_an_upgrade_starts_no_router() -> None:
    run("dpkg", "--install", deb(upgrade=True))
    assert show("swapper.service", "ActiveState") == "inactive"
    assert show("swapper.socket", "ActiveState") == "active"


def test_a_pull_says_what_to_install_where_debian_has_no_library_for_it() -> None:
    said = run("swapperctl", "pull", "hf:org/repo", check=False)
    assert "huggingface_hub is not installed" in said
    assert "python3 -m venv /opt/huggingface-hub && /opt/huggingface-hub/bin/pip install huggingface_hub" in said
    assert show("swapper-pull@hf:org@2frepo.service", "Result") == "exit-code"


def test_a_removal_stops_everything_and_keeps_the_configuration() -> None:
    start_engine()
    ask("GET", "/v1/models")
    run("dpkg", "--remove", "swapper")
    for unit in ("llama@alpha.service", "swapper.service", "swapper.socket", "swapper-gpus.socket", "swapper.slice"):
        assert show(unit, "ActiveState") == "inactive", unit
    with pytest.raises(ConnectionRefusedError):
        ask("GET", "/v1/models")
    assert "alpha" in CONFIG.read_text()


def test_a_purge_leaves_nothing_behind() -> None:
    run("dpkg", "--purge", "swapper")
    before = files()
    run("dpkg", "--install", deb())
    ask("GET", "/v1/models")
    (CONFIG.parent / "conf.d" / "more.yaml").write_text("models: {}")
    for folder in ("credstore", "credstore.encrypted"):
        Path(f"/etc/{folder}/swapper.keys").touch()
        Path(f"/etc/{folder}/swapper-pull.token").touch()
    run("swapperctl", "pull", "hf:org/repo", check=False)
    run("systemctl", "reload", "swapper")
    installed = files()
    assert "/usr/share/swapper/swapper/__pycache__" in installed
    assert "/run/swapper" in installed
    run("dpkg", "--purge", "swapper")
    assert sorted(files() - before) == []


def test_a_purge_keeps_model_files() -> None:
    mine = MODELS / "mine.gguf"
    mine.write_bytes(b"days of downloading")
    run("dpkg", "--purge", "swapper")
    assert mine.read_bytes() == b"days of downloading"
    mine.unlink()
