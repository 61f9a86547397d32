"""The real vLLM starts early: `tests/run --vllm`. With the processes that it has as users run it, on the CPU."""

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator

import pytest

from tests.job import house
from tests.job.house import configure, connect, journal, question, run, show, state, stream, until
from tests.vllm.rig import processes, unit

VLLM = os.environ.get("SWAPPER_TEST_VLLM", "")
if not VLLM:
    pytest.skip("the real vLLM is not here: run tests/run --vllm", allow_module_level=True)

CONFIG = f"""
engines: {{vllm: {{path: {VLLM}}}}}
models:
  glm-47-flash: {{engine: llama, model: glm-47-flash.gguf, context: 2048, args: [--context-shift]}}
  text:
    {{engine: vllm, model: {os.environ.get("SWAPPER_TEST_VLLM_TEXT")}, context: 1024,
     load_timeout: 10min, args: [--enforce-eager], env: {{VLLM_CPU_KVCACHE_SPACE: "1"}}}}
"""


@pytest.fixture(scope="module", autouse=True)
def _real() -> Iterator[None]:
    house.write_gguf("glm-47-flash")
    house.reset()
    configure(CONFIG)
    yield
    house.reset()


def took() -> float:
    """Seconds that the last start took, from its gate on if it was at one."""
    said = re.search(r"ready after ([\d.]+) s", show(unit("text"), "StatusText"))
    assert said is not None
    return float(said[1])


def idle(pid: int) -> bool:
    """Whether a process has used no processor since the last time that this was asked."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 — one line of it
        used = int(file.read().rpartition(")")[2].split()[11])
    was, _USED[pid] = _USED.get(pid), used
    return was is not None and used - was <= 1


_USED: dict[int, int] = {}


def patiently(model: str) -> str:
    """An answer, waited for as long as a start of the real vLLM takes on a busy machine."""
    with contextlib.closing(connect(timeout=600)) as connection:
        body = question(model, temperature=0, max_tokens=8)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        content: str = json.loads(connection.getresponse().read())["choices"][0]["message"]["content"]
        return content


def test_it_imports_at_the_gate_and_its_processes_come_after_it() -> None:
    run("systemctl", "start", unit("text"))
    straight, said = took(), patiently("text")
    names = set(processes(unit("text")).values())
    run("systemctl", "stop", unit("text"))
    answers: list[str] = []
    with stream("glm-47-flash"):
        # The stream is not read any more, which leaves the processor to vLLM.
        asking = threading.Thread(target=lambda: answers.append(patiently("text")))
        with contextlib.ExitStack() as stack:
            draining = stack.enter_context(house.watching("glm-47-flash", "draining"))
            asking.start()
            draining()
        until(lambda: "waits for its GPU" in show(unit("text"), "StatusText"), "it is at the gate")
        pid = house.main_pid(unit("text"))
        until(lambda: "libtorch" in _maps(pid) and idle(pid), "it has imported, and waits")
        assert sorted(processes(unit("text")).values()) == ["swapper-sidecar", "vllm"]
        assert (state("text"), state("glm-47-flash")) == ("starting", "draining")
        assert show(unit("text"), "ActiveState") == "activating"
    asking.join(600)
    assert answers == [said]
    assert state("glm-47-flash") == "stopped"
    print(f"{straight:.1f} s for a start, {took():.1f} s for one from its gate on")
    assert set(processes(unit("text")).values()) == names, journal(unit("text"))
    run("systemctl", "stop", unit("text"))
    assert show(unit("text"), "Result") == "success"


def _maps(pid: int) -> str:
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:  # noqa: PTH123 — likewise
        return file.read()
