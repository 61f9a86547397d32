"""Runs in swapper-gpus@.service, once for each connection: what nvidia-smi says, with units in place of processes.

    nvidia.py        (its standard output is the connection)

The answer is a line of JSON, `{"gpus": […], "shares": […]}` with memory in bytes, or `{"error": "what was said"}`. The
router may reach neither the driver nor other processes, so both are looked at here, and only for those who ask.
nvidia-smi is asked in its query form, with named columns (nvidia-smi(1), `--query-gpu`, `--query-compute-apps`). Values
that a card does not have come as words, such as `[N/A]` or `[Not Supported]`: they are null here.

Rule of this file: standard library only, and nothing is decided. `host/gpus.py` reads what it writes.
"""

import json
import subprocess
import sys
from pathlib import Path

MIB = 1 << 20
"""nvidia-smi's unit of memory."""

CARD = ("index", "uuid", "memory.total", "memory.used", "utilization.gpu", "name")
"""The name comes last: it is the only one that might have a comma in it."""

SHARE = ("gpu_uuid", "pid", "used_gpu_memory")

SECONDS = 8.0
"""How long nvidia-smi may take: it waits for the driver, which takes seconds to wake where nothing keeps it awake."""

type Row = dict[str, str]


class Silent(Exception):  # noqa: N818 — it names what happened
    """nvidia-smi did not answer; the sentence is for people."""


class Query:
    """One run of nvidia-smi, under way."""

    def __init__(self, what: str, columns: tuple[str, ...]) -> None:
        """Start it.

        Raises:
            Silent: It is not there, or cannot be run.
        """
        self._columns = columns
        argv = ["nvidia-smi", f"--query-{what}={','.join(columns)}", "--format=csv,noheader,nounits"]
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace",
            )  # fmt: skip
        except OSError as error:
            raise Silent(f"nvidia-smi cannot be run: {error.strerror}") from error

    def rows(self) -> list[Row]:
        """Its lines.

        Raises:
            Silent: It failed, or took too long.
        """
        try:
            said, _ = self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            raise Silent(f"nvidia-smi did not answer within {SECONDS:g} s") from error
        if self._process.returncode:
            first = next((line.strip() for line in said.splitlines() if line.strip()), "nothing said")
            raise Silent(f"nvidia-smi ended with status {self._process.returncode}: {first}")
        lines = (line.split(",", len(self._columns) - 1) for line in said.splitlines())
        return [
            dict(zip(self._columns, map(str.strip, words), strict=True))
            for words in lines
            if len(words) == len(self._columns)
        ]


def number(text: str, unit: int = 1) -> int | None:
    """A whole number, times `unit`; None for the words that stand for none."""
    return int(text) * unit if text.isascii() and text.isdecimal() else None


def unit_in(cgroup: str) -> str:
    """The unit of a process, from its /proc/PID/cgroup (cgroups(7)): the innermost service or scope; empty for none."""
    path = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), "")
    names = [name for name in path.split("/") if name.endswith((".service", ".scope"))]
    return names[-1] if names else ""


def unit_of(pid: str) -> str:
    """The unit of a process that runs; empty for one that has ended, or runs elsewhere."""
    try:
        return unit_in(Path("/proc", pid, "cgroup").read_text()) if pid.isdecimal() else ""
    except OSError:
        return ""


def card(row: Row) -> dict[str, object]:
    """One GPU."""
    return {
        "index": number(row["index"]),
        "name": row["name"],
        "total": number(row["memory.total"], MIB),
        "used": number(row["memory.used"], MIB),
        "utilization": number(row["utilization.gpu"]),
    }


def shares(rows: list[Row], indexes: dict[str, int | None]) -> list[dict[str, object]]:
    """What each unit has of each GPU: the sum of its processes; null where one of them is not told."""
    found: dict[tuple[int, str], int | None] = {}
    for row in rows:
        index, used = indexes.get(row["gpu_uuid"]), number(row["used_gpu_memory"], MIB)
        if index is not None:
            key = (index, unit_of(row["pid"]))
            before = found.get(key, 0)
            found[key] = None if used is None or before is None else before + used
    return [{"gpu": gpu, "unit": unit, "used": used} for (gpu, unit), used in found.items()]


def main() -> int:
    """Ask twice at the same time, and answer once."""
    try:
        cards, processes = Query("gpu", CARD), Query("compute-apps", SHARE)
        rows = cards.rows()
        indexes = {row["uuid"]: number(row["index"]) for row in rows}
        answer: dict[str, object] = {"gpus": list(map(card, rows)), "shares": shares(processes.rows(), indexes)}
    except Silent as silent:
        answer = {"error": str(silent)}
    try:
        print(json.dumps(answer), flush=True)
    except BrokenPipeError:
        sys.stdout = None  # whoever asked has left
    return 0


if __name__ == "__main__":
    sys.exit(main())
