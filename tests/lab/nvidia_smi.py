#!/usr/bin/python3 -IS
"""A double for nvidia-smi, as no machine of the tests has a GPU: prints in its format what a file says that there is.

Copied to /usr/local/bin/nvidia-smi, it answers the two queries that swapper asks, `--query-gpu=…` and
`--query-compute-apps=…`, with `--format=csv,noheader,nounits`; anything else is a defect of who asks. The format is
that of nvidia-smi(1) and of NVIDIA's "Useful nvidia-smi Queries": a line for each GPU or process, values in the order
of the columns asked for, separated by ", ", memory in MiB, `[N/A]` for what a card does not tell.

    {"gpus": [{"uuid": "GPU-1", "name": "NVIDIA A", "memory.total": 24576, "memory.used": 300, "utilization.gpu": 7}],
     "apps": [{"gpu_uuid": "GPU-1", "pid": 4711, "used_gpu_memory": 8000}]}

`"apps": {"llama-server": 8000}` stands for every process of that name, on the first GPU, for tests that cannot know
process ids beforehand. `"fails": "text"` is said on the way out with status 9, as it is without a driver;
`"hangs": true` never answers.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

WORLD = Path(os.environ.get("TEST_GPUS", "/run/test-gpus.json"))
"""What there is; the variable is for tests outside of the machine."""

COLUMNS = {
    "gpu": {"index", "uuid", "name", "memory.total", "memory.used", "utilization.gpu"},
    "compute-apps": {"gpu_uuid", "pid", "process_name", "used_gpu_memory"},
}


def named(memory: dict[str, object], uuid: object) -> Iterator[dict[str, object]]:
    """All processes of these names."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        if name in memory:
            yield {"gpu_uuid": uuid, "pid": int(process.name), "used_gpu_memory": memory[name]}


def main() -> int:
    """Answer one query."""
    world = json.loads(WORLD.read_text())
    if world.get("hangs"):
        time.sleep(3600)
    if "fails" in world:
        print(world["fails"])
        return 9
    query, form = sys.argv[1:]
    kind, _, columns = query.removeprefix("--query-").partition("=")
    wanted = columns.split(",")
    if form != "--format=csv,noheader,nounits" or not set(wanted) <= COLUMNS[kind]:
        print(f"Invalid combination of input arguments: {sys.argv[1:]}")
        return 2
    gpus = [{"index": number, **gpu} for number, gpu in enumerate(world["gpus"])]
    apps = world.get("apps", [])
    rows = gpus if kind == "gpu" else list(named(apps, gpus[0]["uuid"])) if isinstance(apps, dict) else apps
    for row in rows:
        print(", ".join(str(row.get(column, "[N/A]")) for column in wanted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
