"""What Swapper keeps in memory: the router after its start and after requests, a model's sidecar, and nothing at all.

    tests/run --command python3 -m tests.bench.memory [--requests 1000]

RSS counts all pages of a process; PSS divides those that are shared (libraries, the interpreter) among those who share
them.
"""

import argparse
import contextlib
import http.client
import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.bench import figures
from tests.job import house

MODEL = "memory"
CONFIG = f"""
router: {{idle_exit: 1s}}
models: {{{MODEL}: {{engine: llama, model: {MODEL}.gguf, context: 2048, args: [--threads, '1']}}}}
"""


@dataclass(frozen=True, slots=True)
class Held:
    """Memory of a process, in bytes."""

    rss: int
    pss: int
    private: int

    @classmethod
    def by(cls, pid: int) -> "Held":
        """Read from /proc (proc_pid_smaps(5))."""
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        found = {key: int(value) * 1024 for key, value in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
        return cls(found["Rss"], found["Pss"], found["Private_Clean"] + found["Private_Dirty"])


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    house.write_gguf(MODEL)
    house.reset()
    house.configure(CONFIG)
    figures.heading("Memory, MiB")
    rows: list[tuple[str, ...]] = [("", "RSS", "PSS", "private")]
    with contextlib.closing(house.connect()) as connection:  # its being there keeps the router from leaving
        connection.connect()
        house.until(lambda: house.show("swapper.service", "ActiveState") == "active", "the router runs")
        rows.append(_row("router: started, no request yet", _router()))
        house.chat(MODEL)
        rows.append(_row("router: one model loaded", _router()))
        _ask_often(connection, options.requests)
        rows.append(_row(f"router: after {options.requests} requests", _router()))
        house.ask("GET", "/v1/models")
        rows.append(_row("router: after GET /v1/models (with aiohttp)", _router()))
        rows += [_row(f"sidecar of {MODEL}", pid) for pid in _sidecars()]
        rows.append(_row("engine (llama-server, tiny model)", int(house.show(f"llama@{MODEL}.service", "MainPID"))))
    house.run("systemctl", "stop", f"llama@{MODEL}.service")
    house.until(lambda: house.show("swapper.service", "ActiveState") == "inactive", "the router leaves when idle")
    left = _ours()
    rows.append(("left after idle exit: processes", str(len(left))))
    figures.table(rows)
    house.reset()


def _row(label: str, pid: int) -> tuple[str, ...]:
    held = Held.by(pid)
    return (label, *(f"{size / 2**20:.1f}" for size in (held.rss, held.pss, held.private)))


def _router() -> int:
    return int(house.show("swapper.service", "MainPID"))


def _sidecars() -> list[int]:
    return [pid for pid in _ours() if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8") == "swapper-sidecar\n"]


def _ours() -> list[int]:
    """Processes in the cgroups of router and models."""
    folders = [Path("/sys/fs/cgroup/system.slice/swapper.service"), Path("/sys/fs/cgroup/swapper.slice")]
    files = [file for folder in folders for file in folder.rglob("cgroup.procs")]
    return [int(pid) for file in files for pid in file.read_text(encoding="ascii").split()]


def _ask_often(connection: http.client.HTTPConnection, times: int) -> None:
    body = json.dumps(house.question(MODEL) | {"max_tokens": 1})
    for _ in range(times):
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        assert response.status == 200


if __name__ == "__main__":
    main()
