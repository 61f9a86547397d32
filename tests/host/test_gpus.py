"""GPUs are listed as nvidia-smi tells them, or as device nodes."""

import asyncio
import os
from pathlib import Path

import pytest

from swapper.host.gpus import GpuInfo, from_nodes, gpus, parse

TABLE = """\
1, GPU-2c6ee94e-e37c-4fd0-8ef0-15aa5b8cd5f1, NVIDIA RTX A5000, 24564, 1
0, GPU-6f0a5b3e-2f0a-4a46-9d0c-8f57f1d0c9a0, NVIDIA H100 80GB HBM3, 81559, 512
"""


def test_a_table_is_read() -> None:
    assert parse(TABLE) == (
        GpuInfo(0, "GPU-6f0a5b3e-2f0a-4a46-9d0c-8f57f1d0c9a0", "NVIDIA H100 80GB HBM3", 81559 * 2**20, 512 * 2**20),
        GpuInfo(1, "GPU-2c6ee94e-e37c-4fd0-8ef0-15aa5b8cd5f1", "NVIDIA RTX A5000", 24564 * 2**20, 2**20),
    )


def test_what_the_driver_does_not_know_is_unknown() -> None:
    (gpu,) = parse("0, GPU-1, NVIDIA GB10, [N/A], [Not Supported]\n")
    assert gpu == GpuInfo(0, "GPU-1", "NVIDIA GB10", None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that it is running.\n",
        "0, GPU-1\n",
    ],
)
def test_other_output_is_no_gpu(text: str) -> None:
    assert parse(text) == ()


def test_device_nodes_are_counted(tmp_path: Path) -> None:
    for name in ("nvidia10", "nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-caps", "null"):
        (tmp_path / name).touch()
    assert from_nodes(tmp_path) == (GpuInfo(0), GpuInfo(10))


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (f"cat <<'END'\n{TABLE}END", 2),
        ("echo 'NVIDIA-SMI has failed'; exit 9", len(from_nodes(Path("/dev")))),
    ],
)
def test_nvidia_smi_is_asked(script: str, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n# A double of nvidia-smi, for machines without a GPU.\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert len(asyncio.run(gpus())) == found


def test_a_machine_without_nvidia_smi_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(gpus()) == from_nodes(Path("/dev"))
