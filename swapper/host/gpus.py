"""Which GPUs there are: as nvidia-smi tells, or else the device nodes; nothing on a machine without."""

import asyncio
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_QUERY: Final = ("--query-gpu=index,uuid,name,memory.total,memory.used", "--format=csv,noheader,nounits")
_TIMEOUT: Final = 10.0  # seconds: without the persistence daemon it takes some to wake the driver
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """One GPU of this machine.

    Attributes:
        index: Its place in PCI bus order, as nvidia-smi counts.
        uuid: `GPU-…`; empty while unknown.
        name: Product name; empty while unknown.
        memory_total: Bytes; None while unknown.
        memory_used: Bytes; None while unknown.
    """

    index: int
    uuid: str = ""
    name: str = ""
    memory_total: int | None = None
    memory_used: int | None = None


async def gpus() -> tuple[GpuInfo, ...]:
    """The GPUs of this machine, by index."""
    return parse(await _nvidia_smi()) or await asyncio.to_thread(from_nodes, Path("/dev"))


def parse(table: str) -> tuple[GpuInfo, ...]:
    """Read the output of nvidia-smi; lines that are no GPU's (its error messages go to the same place) are passed over.

    A value that the driver does not know reads `[N/A]` or `[Not Supported]`.
    """
    found = []
    for line in table.splitlines():
        index, *rest = (field.strip() for field in line.split(","))
        if not index.isdecimal() or len(rest) < 4:
            continue
        uuid, *name, total, used = rest
        found.append(GpuInfo(int(index), uuid, ", ".join(name), _mebibytes(total), _mebibytes(used)))
    return tuple(sorted(found, key=lambda gpu: gpu.index))


def from_nodes(folder: Path) -> tuple[GpuInfo, ...]:
    """The GPUs that have a device node `nvidiaN` in a folder."""
    nodes = (re.fullmatch(r"nvidia(\d+)", node.name) for node in folder.glob("nvidia*"))
    return tuple(GpuInfo(index) for index in sorted(int(node[1]) for node in nodes if node))


def _mebibytes(text: str) -> int | None:
    return int(text) * _MIB if text.isdecimal() else None


async def _nvidia_smi() -> str:
    """What nvidia-smi prints; empty without one that works."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nvidia-smi", *_QUERY, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return ""
    try:
        async with asyncio.timeout(_TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:  # it took too long, or nobody waits any more
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                process.kill()
                async with asyncio.timeout(1.0):  # a process that hangs in the driver cannot even be killed
                    await process.wait()
    return output.decode(errors="replace") if process.returncode == 0 else ""
