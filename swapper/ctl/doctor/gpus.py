"""The driver, its device nodes, and whether an engine's unit sees a GPU."""

import os
from collections.abc import Iterator
from pathlib import Path

from swapper.config import Bytes, Config, Share
from swapper.core.model import WHOLE, Policy
from swapper.ctl.doctor.finding import Finding, Grade, said, shown
from swapper.ctl.terminal import size

VERSION = Path("/proc/driver/nvidia/version")
SHARED = ("/dev/nvidiactl", "/dev/nvidia-uvm")
_MIB = 1 << 20
_MOST_SHARE = 0.95


def driver(config: Config) -> Iterator[Finding]:
    """Whether the driver is there, with the device nodes that engines open."""
    wanted = sorted({gpu for model in config.models for gpu in model.gpus})
    if not VERSION.exists():
        if wanted:
            yield Finding(Grade.NOTE, "no NVIDIA driver is loaded: models run on the CPU",
                          "apt install nvidia-driver (Debian: non-free), and reboot")  # fmt: skip
        return
    yield Finding(Grade.GOOD, VERSION.read_text().partition("\n")[0].removeprefix("NVRM version: "))
    missing = [node for node in (*SHARED, *(f"/dev/nvidia{gpu}" for gpu in wanted)) if not Path(node).exists()]
    if missing:
        mend = "nvidia-modprobe -u -c 0, as root, and at each boot; nvidia-smi -L says which GPUs there are"
        yield Finding(Grade.WRONG, f"{', '.join(missing)} is not there", mend)


def memory(config: Config) -> Iterator[Finding]:
    """What is declared of GPUs' memory against what they have."""
    totals = _totals()
    for gpu in config.gpus:
        total = totals.get(gpu.index)
        if total is not None and gpu.memory is not None and gpu.memory > total * 1.01:
            mend = f"'gpus: {{{gpu.index}: {{memory: {total // _MIB}MiB}}}}' in /etc/swapper/swapper.yaml"
            yield Finding(Grade.WRONG, f"GPU {gpu.index} is declared with {size(gpu.memory)}, and has {size(total)}",
                          mend)  # fmt: skip
        here = [model for model in config.models if gpu.index in model.gpus]
        if gpu.policy is Policy.PACK and here and all(model.gpu_memory is None for model in here):
            yield Finding(Grade.NOTE, f"GPU {gpu.index} is packed, and no model says what it takes of it",
                          "a 'gpu_memory' for each: models without take all of it")  # fmt: skip
        for model in here:
            wanted = model.gpu_memory
            if isinstance(wanted, Share) and wanted.parts > WHOLE * _MOST_SHARE and model.engine == "vllm":
                yield Finding(Grade.NOTE, f"{model.name} takes more than 95 % of GPU {gpu.index}: vLLM may not start",
                              "what others have there, a desktop for one, counts too")  # fmt: skip
            if isinstance(wanted, Bytes) and total is not None and wanted.count > total:
                yield Finding(Grade.WRONG, f"{model.name} wants {size(wanted.count)} of GPU {gpu.index}, which has "
                              f"{size(total)}", f"correct 'gpu_memory' in {model.where}")  # fmt: skip


def sandbox(config: Config) -> Iterator[Finding]:
    """Whether a unit's sandbox lets it reach its GPU: the driver is asked in a unit with the same devices."""
    model = next((model for model in config.models if model.gpus), None)
    if model is None or not VERSION.exists():
        return
    if os.geteuid() != 0:
        yield Finding(Grade.UNSEEN, "whether the sandbox of models' units lets them reach the GPU: for root")
        return
    found = shown(model.unit, "DeviceAllow", "DevicePolicy")
    allowed = [f"--property=DeviceAllow={each}" for each in _devices(found.get("DeviceAllow", ""))]
    policy = f"--property=DevicePolicy={found.get('DevicePolicy', 'closed')}"
    answer = said("systemd-run", "--quiet", "--wait", "--pipe", "--property=User=swapper-engine",
                  "--property=SupplementaryGroups=video", policy, *allowed, "nvidia-smi", "-L")  # fmt: skip
    if answer.status:
        yield Finding(Grade.WRONG, f"{model.unit} cannot reach GPU {model.gpus[0]}: {answer.text[:200]}",
                      f"systemctl cat {model.unit} (DeviceAllow=), ls -l /dev/nvidia*")  # fmt: skip
    else:
        yield Finding(Grade.GOOD, f"a unit like {model.unit} reaches its GPU")


def _devices(text: str) -> Iterator[str]:
    """`/dev/a rw /dev/b rw`, as `systemctl show` has it, one by one."""
    words = text.split()
    yield from (f"{node} {access}" for node, access in zip(words[::2], words[1::2], strict=False))


def _totals() -> dict[int, int]:
    """Bytes of each GPU, as nvidia-smi has it; nothing without one."""
    answer = said("nvidia-smi", "--query-gpu=index,memory.total", "--format=csv,noheader,nounits")
    if answer.status:
        return {}
    rows = (line.split(",") for line in answer.text.splitlines())
    return {int(row[0]): int(row[1]) * _MIB for row in rows if len(row) == 2 and row[1].strip().isdecimal()}
