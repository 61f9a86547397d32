"""GPUs for machines that have none: the double of nvidia-smi, put where the real one would be."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.job.house import run, show
from tests.lab import nvidia_smi

PROGRAM = Path("/usr/local/bin/nvidia-smi")
GPU = "GPU-5d1f0000-0000-0000-0000-000000000000"
MIB = 1 << 20


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """The double is installed; `there_are` says what it shows."""
    shutil.copyfile(nvidia_smi.__file__, PROGRAM)
    PROGRAM.chmod(0o755)
    try:
        yield
    finally:
        PROGRAM.unlink()
        nvidia_smi.WORLD.unlink(missing_ok=True)


def there_are(*, used: int = 500, total: int = 24576, apps: object = (), **more: object) -> None:
    """One GPU, with so many MiB, and these processes on it."""
    card = {"uuid": GPU, "name": "NVIDIA Double", "memory.total": total, "memory.used": used, "utilization.gpu": 50}
    put({"gpus": [card], "apps": apps, **more})


def put(world: Mapping[str, object]) -> None:
    """This is what there is, from now on and never in parts."""
    fresh = nvidia_smi.WORLD.with_name("test-gpus.new")
    fresh.write_text(json.dumps(world))
    fresh.chmod(0o644)
    fresh.replace(nvidia_smi.WORLD)


def process(model: str, used: int) -> dict[str, object]:
    """The engine of a llama model that runs, with so many MiB."""
    return {"gpu_uuid": GPU, "pid": int(show(f"llama@{model}", "MainPID")), "used_gpu_memory": used}


def looks() -> Sequence[str]:
    """Units that look at this moment."""
    listed = run("systemctl", "list-units", "--all", "--plain", "--no-legend", "swapper-gpus@*")
    return [line.split()[0] for line in listed.splitlines()]
