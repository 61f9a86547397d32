"""The units as systemd runs them, with the real llama-server: ready when it answers, gone when stopped, sealed off."""

import grp
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.gguf import write_model
from tests.system.look import as_user, ended, engine_socket, get, messages, processes, show, systemctl

if os.geteuid() != 0 or not Path("/usr/lib/systemd/system/llama@.service").exists():
    pytest.skip("needs root in a booted machine with the package installed", allow_module_level=True)

MODELS = Path("/var/lib/swapper/models/test-units")
CONFIG = Path("/etc/swapper/conf.d/zz-units.yaml")
HOME = Path("/home/swapper-test")
UNITS = Path("/run/systemd/system")

SHIPPED = (
    "swapper.socket", "swapper.service", "llama@test.service", "vllm@test.service", "speech@test.service",
    "swapper-models.slice", "swapper-gpus.socket", "swapper-gpus@test.service", "swapper-profile@test.target",
    "swapper-room@test.target", "swapper-pull@test.service",
)  # fmt: skip
TINY = "unit-tiny"
LLAMA = f"""\
models:
  {TINY}: {{engine: llama, model: test-units/tiny.gguf, gpu: [], context: 512}}
  unit-home: {{engine: llama, model: {HOME}/.cache/llama.cpp/tiny.gguf, gpu: [], context: 512}}
  unit-network: {{engine: llama, model: test-units/tiny.gguf, gpu: [], context: 512, network: true}}
  unit-broken: {{engine: llama, model: test-units/broken.gguf, gpu: []}}
  unit-two-gpus: {{engine: llama, model: test-units/tiny.gguf, gpu: [0, 3]}}
  unit-whole: {{engine: vllm, model: test-units/nowhere}}
"""


@pytest.fixture(scope="module", autouse=True)
def configured() -> Iterator[None]:
    """Tiny models, one of them in a home directory that is closed to others."""
    MODELS.mkdir(parents=True, exist_ok=True)
    write_model(MODELS / "tiny.gguf", "Hello from a unit.")
    whole = (MODELS / "tiny.gguf").read_bytes()
    (MODELS / "broken.gguf").write_bytes(whole[: len(whole) // 2])
    cache = HOME / ".cache" / "llama.cpp"
    cache.mkdir(parents=True)
    (cache / "tiny.gguf").write_bytes(whole)
    (cache / "private.txt").write_text("not for engines")
    HOME.chmod(0o700)
    CONFIG.write_text(LLAMA)
    systemctl("daemon-reload")
    yield
    systemctl("stop", "llama@unit-*.service", "vllm@unit-*.service", check=False)
    systemctl("reset-failed", "llama@unit-*.service", "vllm@unit-*.service", check=False)
    CONFIG.unlink()
    subprocess.run(["rm", "-r", str(MODELS), str(HOME)], check=True)
    systemctl("daemon-reload")


@pytest.fixture
def running() -> Iterator[Callable[[str], str]]:
    """Start models by name, and get their units' names; all are stopped in the end."""
    started: list[str] = []

    def start(name: str) -> str:
        started.append(f"llama@{name}.service")
        systemctl("start", started[-1])
        return started[-1]

    yield start
    if started:
        systemctl("stop", *started)


@pytest.fixture
def override() -> Iterator[Callable[[str, str], None]]:
    """Drop-ins as `systemctl edit --runtime` makes them."""
    folders: list[Path] = []

    def edit(unit: str, service: str) -> None:
        folders.append(UNITS / f"{unit}.d")
        folders[-1].mkdir(exist_ok=True)
        (folders[-1] / "override.conf").write_text(f"[Service]\n{service}\n")
        systemctl("daemon-reload")

    yield edit
    for folder in folders:
        subprocess.run(["rm", "-r", str(folder)], check=True)
    systemctl("daemon-reload")


def test_verify_has_nothing_to_say() -> None:
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *SHIPPED], check=False, capture_output=True, text=True
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("unit", "most"),
    [
        ("swapper.service", 1.5),
        ("llama@test.service", 2.0),
        ("vllm@test.service", 2.0),
        ("speech@test.service", 1.2),
        ("swapper-gpus@test.service", 1.0),
        ("swapper-pull@test.service", 1.5),
    ],
)
def test_exposure(unit: str, most: float) -> None:
    report = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", unit], check=True, capture_output=True, text=True
    )
    exposure = re.search(r"Overall exposure level for .*: (\d+\.\d)", report.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= most


def test_a_start_returns_when_the_model_answers(running: Callable[[str], str]) -> None:
    unit = running(TINY)
    assert get(engine_socket(TINY)) == b"HTTP/1.1 200 OK"
    assert re.fullmatch(rf"{TINY} ready after \d+\.\d s \(llama-server, 4 slots\)", show(unit, "StatusText"))
    assert show(unit, "Slice") == "swapper-models.slice"


def test_the_engine_is_the_main_process_and_the_sidecar_is_small(running: Callable[[str], str]) -> None:
    unit = running(TINY)
    members = processes(unit)
    main = int(show(unit, "MainPID"))
    assert members.pop(main) == "llama-server"
    ((sidecar, name),) = members.items()
    assert name == "swapper-sidecar"
    status = Path("/proc", str(sidecar), "status").read_text()
    assert int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) <= 12 * 1024


def test_only_the_routers_group_reaches_an_engine(running: Callable[[str], str]) -> None:
    running(TINY)
    path = engine_socket(TINY)
    assert as_user("swapper", lambda: get(path)) == 0
    assert as_user("nobody", lambda: get(path)) == 13
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o750, 0o770)
    assert path.group() == grp.getgrnam("swapper").gr_name


def test_a_stop_leaves_nothing_and_the_next_start_works(running: Callable[[str], str]) -> None:
    unit = running(TINY)
    sidecar = next(pid for pid, name in processes(unit).items() if name == "swapper-sidecar")
    systemctl("stop", unit)
    assert not engine_socket(TINY).parent.exists()
    assert ended(sidecar, 0)
    assert show(unit, "Result") == "success"
    running(TINY)
    assert get(engine_socket(TINY)) == b"HTTP/1.1 200 OK"


def test_a_hung_engine_is_ended_by_the_watchdog(
    running: Callable[[str], str], override: Callable[[str, str], None]
) -> None:
    override(f"llama@{TINY}.service", "WatchdogSec=5")
    unit = running(TINY)
    main = int(show(unit, "MainPID"))
    assert main > 0
    os.kill(main, signal.SIGSTOP)
    assert ended(main, 60)
    systemctl("stop", unit)
    assert show(unit, "Result") == "watchdog"


def test_a_healthy_engine_outlives_its_watchdogs_time(
    running: Callable[[str], str], override: Callable[[str, str], None]
) -> None:
    override(f"llama@{TINY}.service", "WatchdogSec=5")  # a busy machine may need seconds for an answer
    unit = running(TINY)
    assert not ended(int(show(unit, "MainPID")), 12)
    assert show(unit, "ActiveState") == "active"


def test_the_sidecar_goes_with_a_killed_engine(running: Callable[[str], str]) -> None:
    unit = running(TINY)
    sidecar = next(pid for pid, name in processes(unit).items() if name == "swapper-sidecar")
    os.kill(int(show(unit, "MainPID")), signal.SIGKILL)
    assert ended(sidecar, 60)
    systemctl("stop", unit)
    assert show(unit, "Result") == "signal"
    assert not engine_socket(TINY).parent.exists()


def test_a_file_that_is_cut_short_fails_the_start_with_the_engines_words() -> None:
    unit = "llama@unit-broken.service"
    assert systemctl("start", unit, check=False).returncode != 0
    assert show(unit, "Result") == "exit-code"
    assert show(unit, "NRestarts") == "0"
    assert "broken.gguf" in messages(unit)


def test_a_name_that_nobody_configured_says_so() -> None:
    unit = "llama@unit-unheard-of.service"
    assert systemctl("start", unit, check=False).returncode != 0
    assert show(unit, "ExecMainStatus") == "78"
    assert "no model 'unit-unheard-of' in /etc/swapper" in show(unit, "StatusText")
    assert "no model 'unit-unheard-of' in /etc/swapper" in messages(unit)


def test_an_engine_that_is_not_installed_says_what_to_install() -> None:
    unit = "vllm@unit-whole.service"
    if any(Path(folder, "vllm").exists() for folder in ("/opt/vllm/bin", "/usr/local/bin", "/usr/bin")):
        pytest.skip("vLLM is installed")
    assert systemctl("start", unit, check=False).returncode != 0
    assert show(unit, "ExecMainStatus") == "203"
    assert show(unit, "StatusText").startswith("vllm is not installed: python3 -m venv /opt/vllm")
    assert "vllm is not installed" in messages(unit)


def test_a_model_in_a_closed_home_directory_and_nothing_else_from_there(running: Callable[[str], str]) -> None:
    unit = running("unit-home")
    assert get(engine_socket("unit-home")) == b"HTTP/1.1 200 OK"
    seen = Path("/proc", show(unit, "MainPID"), "root" + str(HOME / ".cache" / "llama.cpp"))
    assert [path.name for path in seen.iterdir()] == ["tiny.gguf"]


def test_network_is_what_a_model_has_only_when_it_says_so(running: Callable[[str], str]) -> None:
    main = {name: show(running(name), "MainPID") for name in ("unit-tiny", "unit-network")}
    space = {name: Path("/proc", pid, "ns", "net").readlink() for name, pid in (main | {"host": "1"}).items()}
    assert space["unit-network"] == space["host"]
    assert space["unit-tiny"] != space["host"]


def test_pins_are_in_the_unit() -> None:
    two, none, usual = "llama@unit-two-gpus.service", "llama@unit-tiny.service", "vllm@unit-whole.service"
    assert "CUDA_VISIBLE_DEVICES=0,3" in show(two, "Environment").split()
    assert "CUDA_VISIBLE_DEVICES=" in show(none, "Environment").split()
    assert "CUDA_VISIBLE_DEVICES=0" in show(usual, "Environment").split()
    cards = {unit: sorted(re.findall(r"/dev/nvidia\d+", show(unit, "DeviceAllow"))) for unit in (two, none, usual)}
    assert cards == {two: ["/dev/nvidia0", "/dev/nvidia3"], none: [], usual: ["/dev/nvidia0"]}
    assert {show(unit, "DevicePolicy") for unit in cards} == {"closed"}


def test_an_administrators_override_counts(override: Callable[[str, str], None]) -> None:
    unit = "llama@unit-two-gpus.service"
    override(unit, "Environment=CUDA_VISIBLE_DEVICES=7\nTimeoutStartSec=33")
    assert "CUDA_VISIBLE_DEVICES=7" in show(unit, "Environment").split()
    assert show(unit, "TimeoutStartUSec") == "33s"


def test_a_bad_configuration_keeps_the_units_and_is_in_the_journal() -> None:
    good = CONFIG.read_text()
    try:
        CONFIG.write_text(good.replace("engine: vllm", "engine: vlm"))
        systemctl("daemon-reload")
        assert "tiny.gguf" in show(f"llama@{TINY}.service", "ExecStart")
    finally:
        CONFIG.write_text(good)
        systemctl("daemon-reload")
    subprocess.run(["journalctl", "--sync"], check=True)
    logged = subprocess.run(
        ["journalctl", "--boot", "--output=cat", "--identifier=swapper-generator"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "model 'unit-whole': 'engine' cannot be 'vlm' (did you mean 'vllm'?)" in logged.stdout


def test_preload_starts_the_router_at_boot() -> None:
    good = CONFIG.read_text()
    try:
        CONFIG.write_text(good.replace("network: true", "network: true, preload: true"))
        systemctl("daemon-reload")
        assert "swapper.service" in show("multi-user.target", "Wants").split()
    finally:
        CONFIG.write_text(good)
        systemctl("daemon-reload")
    assert "swapper.service" not in show("multi-user.target", "Wants").split()


def test_nobody_but_the_router_asks_what_the_gpus_have_in_use() -> None:
    def knock() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect("/run/swapper/gpus.sock")

    assert show("swapper-gpus.socket", "ActiveState") == "active"
    assert as_user("swapper", knock) == 0
    assert (as_user("swapper-engine", knock), as_user("nobody", knock)) == (13, 13)


def test_who_looks_at_the_gpus_reaches_their_driver_and_no_other_device() -> None:
    unit = "swapper-gpus@test.service"
    assert show(unit, "DevicePolicy") == "closed"
    clock = "char-rtc r"  # to read: ProtectClock= adds it
    nodes = {"char-nvidiactl rw", "char-nvidia-frontend rw", "char-nvidia rw"}
    assert set(show(unit, "DeviceAllow").splitlines()) == {clock, *nodes}
    assert (show(unit, "DynamicUser"), show(unit, "PrivateNetwork")) == ("yes", "yes")


def test_the_socket_listens_on_loopback_only() -> None:
    assert show("swapper.socket", "ActiveState") == "active"
    listening = show("swapper.socket", "Listen").splitlines()
    assert listening == ["127.0.0.1:8000 (Stream)", "[::1]:8000 (Stream)"]
    assert int(show("swapper.socket", "Backlog")) == 4096


def test_the_socket_comes_up_where_ipv6_is_switched_off() -> None:
    text = Path("/usr/lib/systemd/system/swapper.socket").read_text().replace(":8000", ":8399")
    switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    before = switch.read_text()
    (UNITS / "test-units.socket").write_text(text)
    (UNITS / "test-units.service").write_text("[Service]\nExecStart=/bin/sleep infinity\n")
    try:
        switch.write_text("1")
        systemctl("daemon-reload")
        systemctl("start", "test-units.socket")
        with socket.create_connection(("127.0.0.1", 8399), timeout=10):
            pass
    finally:
        switch.write_text(before)
        systemctl("stop", "test-units.socket", "test-units.service", check=False)
        for unit in UNITS.glob("test-units.*"):
            unit.unlink()
        systemctl("daemon-reload")


def test_the_launcher_by_hand_is_just_the_engine(tmp_path: Path) -> None:
    launcher = "/usr/share/swapper/swapper/launch.py"
    order = ["--socket", str(tmp_path / "s"), "--health", "/health", "--name", "x", "--", "/bin/echo", "a b", "$c"]
    said = subprocess.run([sys.executable, "-IS", launcher, *order], check=True, capture_output=True, text=True)
    assert said.stdout == "a b $c\n"
    wrong = subprocess.run(
        [sys.executable, "-IS", launcher, "--sockt", "x"], check=False, capture_output=True, text=True
    )
    assert (wrong.returncode, wrong.stderr) == (78, "<3>launch.py: no engine command after '--'\n")
