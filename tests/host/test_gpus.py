"""What comes back from swapper-gpus.socket, and what is made of it; and the program behind it, with a nvidia-smi."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swapper import nvidia
from swapper.host.gpus import Card, Reading, Unreadable, parse, read
from tests.lab import nvidia_smi

MIB = 1 << 20
CARDS = [
    {"uuid": "GPU-a", "name": "NVIDIA A, with a comma", "memory.total": 24576, "memory.used": 9500,
     "utilization.gpu": 37},
    {"uuid": "GPU-b", "name": "NVIDIA B"},
]  # fmt: skip

type Look = Callable[..., bytes]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Run the program as its unit does, with the double of nvidia-smi in its PATH."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    shutil.copyfile(nvidia_smi.__file__, program)
    program.chmod(0o755)

    def run(path: str = str(program.parent), **world: object) -> bytes:
        (tmp_path / "world.json").write_text(json.dumps(world))
        environment = {"PATH": f"{path}:/usr/bin:/bin", "TEST_GPUS": str(tmp_path / "world.json")}
        command = [sys.executable, "-IS", nvidia.__file__]
        return subprocess.run(command, check=True, capture_output=True, env=environment).stdout

    return run


def test_cards_and_shares(look: Look) -> None:
    mine = {"gpu_uuid": "GPU-a", "pid": os.getpid(), "used_gpu_memory": 100}
    gone = {"gpu_uuid": "GPU-b", "pid": 1 << 22, "used_gpu_memory": 7}
    foreign = {"gpu_uuid": "GPU-z", "pid": 1, "used_gpu_memory": 7}
    reading = parse(look(gpus=CARDS, apps=[mine, mine, gone, foreign]))
    here = nvidia.unit_of(str(os.getpid()))
    assert reading == Reading(
        cards={
            0: Card(0, "NVIDIA A, with a comma", 24576 * MIB, 9500 * MIB, 37),
            1: Card(1, "NVIDIA B", None, None, None),
        },
        shares={(here, 0): 200 * MIB, ("", 1): 7 * MIB},
    )


def test_a_unit_of_which_a_process_is_not_told_is_not_known(look: Look) -> None:
    apps = [{"gpu_uuid": "GPU-a", "pid": os.getpid(), "used_gpu_memory": used} for used in (100, "[N/A]", 100)]
    reading = parse(look(gpus=CARDS, apps=apps))
    assert reading is not None
    assert list(reading.shares.values()) == [None]


def test_what_nvidia_smi_complains_of(look: Look) -> None:
    with pytest.raises(Unreadable, match="nvidia-smi ended with status 9: No devices were found"):
        parse(look(fails="\nNo devices were found\nmore"))
    with pytest.raises(Unreadable, match="nvidia-smi cannot be run: No such file"):
        parse(look("/nowhere"))


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/swapper.slice/swapper-models.slice/vllm@qwen@2fvl.service\n", "vllm@qwen@2fvl.service"),
        ("0::/system.slice/docker.service/workers/3\n", "docker.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/steam.scope\n", "steam.scope"),
        ("12:memory:/x.service\n0::/../../llama@a.service\n", "llama@a.service"),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_the_unit_of_a_process(cgroup: str, unit: str) -> None:
    assert nvidia.unit_in(cgroup) == unit


@pytest.mark.parametrize("answer", [b"x", b"[]", b'{"gpus": []}', b'{"gpus": [{}], "shares": []}', b"\xff", b"7"])
def test_what_makes_no_sense_is_said_so(answer: bytes) -> None:
    with pytest.raises(Unreadable, match="no sense"):
        parse(answer)


def test_no_answer_is_nothing_to_see() -> None:
    assert parse(b"") is None


async def served(tmp_path: Path, answer: bytes | None, patience: float) -> Reading | None:
    """Ask somebody who answers this, or never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read()  # until whoever asks has had enough
        else:
            writer.write(answer)
        writer.close()

    path = tmp_path / "gpus.sock"
    async with await asyncio.start_unix_server(serve, path):
        return await read(path, patience)


def test_asking(tmp_path: Path) -> None:
    nothing = b'{"gpus": [], "shares": []}'
    assert asyncio.run(read(tmp_path / "gpus.sock")) is None
    assert asyncio.run(served(tmp_path, nothing, 10)) == Reading({}, {})
    assert asyncio.run(served(tmp_path, b"", 10)) is None
    with pytest.raises(Unreadable, match="without end"):
        asyncio.run(served(tmp_path, b" " * (3 << 20), 10))
    with pytest.raises(Unreadable, match=r"did not answer within 0\.05 s"):
        asyncio.run(served(tmp_path, None, 0.05))
