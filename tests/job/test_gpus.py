"""What the GPUs really have in use: shown, measured against what was declared, and never in the way.

The machine has no GPU: nvidia-smi is a double (tests/lab/nvidia_smi.py), everything around it is real.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.job import gpus
from tests.job.gpus import MIB, looks, process, put, there_are
from tests.job.house import ask, chat, configure, journal, run, sentence, show, until
from tests.lab.exposition import Scraped

TWO = """
gpus: {0: {memory: 24GiB, policy: pack}}
models:
  alpha: {engine: llama, model: alpha.gguf, context: 2048, gpu_memory: 8GiB}
  beta: {engine: llama, model: beta.gguf, context: 2048, gpu_memory: 25%}
"""

NO_DRIVER = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."


@pytest.fixture
def _double(_clean: None) -> Iterator[None]:
    with gpus.installed():
        there_are()
        configure(TWO)
        yield


def gpu() -> dict[str, Any]:
    """GPU 0 as operators see it."""
    found: dict[str, Any] = ask("GET", "/api/models").json["gpus"][0]
    return found


def memory(model: str) -> dict[str, Any]:
    """What a model declared and has of its GPU."""
    found: dict[str, Any] = ask("GET", f"/api/models/{model}").json["memory"][0]
    return found


def said(*more: str) -> list[str]:
    """What the router that runs has said."""
    return journal("swapper", f"_SYSTEMD_INVOCATION_ID={show('swapper', 'InvocationID')}", *more).splitlines()


def warnings(*more: str) -> list[str]:
    """What it has warned of."""
    return [line for line in said("--priority=warning", *more) if "GiB" in line]


def test_without_nvidia_smi_nothing_is_known_and_nobody_complains() -> None:
    assert chat("alpha").content == sentence("alpha")
    assert [gpu()[key] for key in ("name", "total", "used", "utilization", "measured_at")] == [None] * 5
    assert memory("alpha") == {"gpu": 0, "declared": None, "measured": None, "exceeds": False}
    assert "swapper_gpu_memory_bytes{" not in ask("GET", "/metrics").body.decode()
    assert not any("not known" in line for line in said())
    assert looks() == []
    assert run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "swapper*") == ""


@pytest.mark.usefixtures("_double")
def test_gpus_and_models_are_shown_with_what_they_have() -> None:
    assert chat("alpha").content == sentence("alpha")
    assert chat("beta").content == sentence("beta")
    there_are(used=12000, apps=[process("alpha", 7000), process("beta", 5000)])
    until(lambda: bool(gpu()["used"] == 12000 * MIB), "the new figures are seen")
    shown = gpu()
    assert (shown["name"], shown["total"], shown["utilization"]) == ("NVIDIA Double", 24576 * MIB, 50)
    assert abs(shown["measured_at"] - time.time()) < 60
    assert {holder["model"]: holder["measured"] for holder in shown["residents"]} == {
        "alpha": 7000 * MIB, "beta": 5000 * MIB,
    }  # fmt: skip
    assert memory("alpha") == {"gpu": 0, "declared": 8 << 30, "measured": 7000 * MIB, "exceeds": False}
    assert memory("beta") == {"gpu": 0, "declared": 6 << 30, "measured": 5000 * MIB, "exceeds": False}
    found = Scraped.read(ask("GET", "/metrics").body.decode())
    assert found.value("swapper_gpu_memory_bytes", gpu="0") == 24576 * MIB
    assert found.value("swapper_gpu_memory_used_bytes", gpu="0") == 12000 * MIB
    assert found.value("swapper_gpu_utilization_ratio", gpu="0") == 0.5
    assert found.value("swapper_model_gpu_memory_bytes", gpu="0", model="beta") == 5000 * MIB
    assert found.value("swapper_model_gpu_memory_declared_bytes", gpu="0", model="beta") == 6 << 30
    assert warnings() == []


@pytest.mark.usefixtures("_double")
def test_who_takes_more_than_declared_is_warned_of_once_a_load() -> None:
    there_are(used=9200, apps={"llama-server": 9000})
    for loads in (1, 2):
        assert chat("alpha").content == sentence("alpha")
        until(lambda: bool(memory("alpha")["exceeds"]), "it is seen that alpha has more than it declared")
        for _ in range(3):
            gpu()
        until(lambda: len(warnings("MODEL=alpha")) >= loads, "the router warns of it")  # noqa: B023
        warned = warnings("MODEL=alpha")
        assert len(warned) == loads, warned
        hint = ask("GET", "/api/models/alpha").json["memory_hint"]
        assert hint == "8.8 GiB of GPU 0 in use, and declared 8.0 GiB: say 'gpu_memory: 37%'."
        assert warned[-1] == f"alpha has {hint.removesuffix('.')}"
        ask("POST", "/api/models/alpha/unload")
    assert memory("alpha")["exceeds"] is False


@pytest.mark.usefixtures("_double")
def test_a_little_more_than_declared_is_no_matter() -> None:
    there_are(used=8400, apps={"llama-server": 8400})
    assert chat("alpha").content == sentence("alpha")
    until(lambda: bool(memory("alpha")["measured"] == 8400 * MIB), "it is measured")
    assert memory("alpha")["exceeds"] is False
    assert warnings() == []


@pytest.mark.usefixtures("_double")
def test_more_memory_configured_than_there_is_is_a_warning() -> None:
    there_are(total=16384)
    until(lambda: bool(gpu()["total"] == 16384 * MIB), "the GPU is seen")
    for _ in range(2):
        gpu()
    until(lambda: bool(warnings()), "the router warns of it")
    assert warnings() == ["GPU 0 has 16.0 GiB of memory, not the 24.0 GiB that 'gpus:' says: correct 'memory' there"]


@pytest.mark.usefixtures("_double")
def test_a_driver_that_fails_is_told_of_once_and_models_go_on() -> None:
    put({"fails": NO_DRIVER})
    assert chat("alpha").content == sentence("alpha")
    assert gpu()["total"] is None
    ask("POST", "/api/models/alpha/unload")
    assert chat("beta").content == sentence("beta")

    def complaints() -> list[str]:
        return [line for line in said() if "not known" in line]

    until(lambda: bool(complaints()), "the look is over, which nobody waits for")
    assert complaints() == [f"what the GPUs have in use is not known: nvidia-smi ended with status 9: {NO_DRIVER}"]


@pytest.mark.usefixtures("_double")
def test_nobody_waits_for_a_driver_that_hangs() -> None:
    there_are(hangs=True)
    assert chat("alpha").content == sentence("alpha")
    began = time.monotonic()
    assert gpu()["total"] is None
    assert chat("alpha").content == sentence("alpha")
    assert time.monotonic() - began < 5
    until(lambda: len(looks()) == 1, "somebody looks")
    until(lambda: looks() == [], "the look is given up")
    told = "not known: nvidia-smi did not answer within 8 s"
    until(lambda: any(told in line for line in said()), "the router tells of it")


@pytest.mark.usefixtures("_double")
def test_looks_leave_no_trace_in_the_journal() -> None:
    until(lambda: bool(gpu()["total"]), "the GPU is seen")
    until(lambda: looks() == [], "the look is over")
    run("journalctl", "--sync")
    logged = run("journalctl", "--boot", "--output=cat", "--unit=swapper-gpus@*", "--since=-5s")
    # This machine has no controllers, of which systemd complains; it does not where there are any.
    assert [line for line in logged.splitlines() if "pids.max" not in line and line != "-- No entries --"] == []
