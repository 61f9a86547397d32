"""The installed router in front of an engine that stands in: a model whose unit runs that instead of vLLM.

Not instead of llama-server, which gets no more than 256 requests at once.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.job.house import CONFIG, MODELS, chat, configure, reset, run, show

NAME = "fast"
UNIT = f"vllm@{NAME}"
SOCKET = f"/run/swapper/{UNIT}/http.sock"
DROPIN = Path(f"/run/systemd/system/{UNIT}.service.d/90-fast.conf")
FAST = Path(__file__).parents[1] / "lab" / "fast_engine.py"
STEADY = FAST.with_name("steady_engine.py")
LAUNCH = "/usr/share/swapper/swapper/launch.py"


@dataclass(frozen=True, slots=True)
class Installed:
    """Where it is.

    Attributes:
        address: Of the router.
        socket: Of the engine.
        pid: The router's process.
    """

    address: str
    socket: str
    pid: int


@contextlib.contextmanager
def installed(engine: Path = FAST, *options: str) -> Iterator[Installed]:
    """Configure the model, have it started by a request, and give the router and the engine a core each."""
    before = CONFIG.read_text()
    (MODELS / NAME).mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        (MODELS / NAME / name).write_bytes(b"not read by anybody")
    DROPIN.parent.mkdir(parents=True, exist_ok=True)
    DROPIN.write_text(
        "[Service]\nExecStart=\n"
        f"ExecStart=/usr/bin/python3 -IS {LAUNCH} --socket {SOCKET} --health /health --name {NAME} -- "
        f"/usr/bin/python3 {' '.join([str(engine), *options, SOCKET])}\n"
    )
    try:
        configure(f"models:\n  {NAME}: {{engine: vllm, model: {NAME}}}\n")
        answer = chat(NAME, max_tokens=1)
        assert answer.status == 200, answer.body
        pid = int(show("swapper.service", "MainPID"))
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(pid, {0})
            os.sched_setaffinity(int(show(UNIT, "MainPID")), {1})
        yield Installed("127.0.0.1:8000", SOCKET, pid)
    finally:
        DROPIN.unlink()
        shutil.rmtree(MODELS / NAME)
        CONFIG.write_text(before)
        reset()
        run("systemctl", "daemon-reload")
