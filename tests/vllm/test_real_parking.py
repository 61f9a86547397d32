"""The real vLLM is parked and woken by the router: `tests/run --vllm`.

On a CPU it refuses `--enable-sleep-mode`, which makes it give memory of a GPU back; its paths do the rest there too. So
a wrapper takes that argument away, and what is seen here is all of parking but the memory.
"""

import contextlib
import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import ask, chat, configure, run, sentence, show, state, until
from tests.vllm.rig import engine, unit

VLLM = os.environ.get("SWAPPER_TEST_VLLM", "")
if not VLLM:
    pytest.skip("the real vLLM is not here: run tests/run --vllm", allow_module_level=True)

WRAPPER = Path("/usr/local/bin/vllm-on-cpu")
SCRIPT = f"""#!/bin/bash
for argument; do
    [[ $argument == --enable-sleep-mode ]] || arguments+=("$argument")
done
exec {VLLM} "${{arguments[@]}}"
"""
CONFIG = f"""
engines: {{vllm: {{path: {WRAPPER}}}}}
models:
  glm-47-flash: {{engine: llama, model: glm-47-flash.gguf, context: 2048}}
  text:
    {{engine: vllm, model: {os.environ.get("SWAPPER_TEST_VLLM_TEXT")}, on_swap: park, context: 1024,
     load_timeout: 10min, args: [--enforce-eager], env: {{VLLM_CPU_KVCACHE_SPACE: "1"}}}}
"""


@pytest.fixture(scope="module", autouse=True)
def _real() -> Iterator[None]:
    WRAPPER.write_text(SCRIPT)
    WRAPPER.chmod(0o755)
    house.write_gguf("glm-47-flash")
    house.reset()
    configure(CONFIG)
    yield
    house.reset()
    WRAPPER.unlink()


def say() -> str:
    """What the model says, which is always the same."""
    return chat("text", temperature=0, max_tokens=8).content


def sleeps() -> bool:
    """What the engine itself says."""
    said: bool = engine("text", "GET", "/is_sleeping").json["is_sleeping"]
    return said


def test_it_is_parked_by_a_swap_and_woken_by_the_next_request() -> None:
    began = time.monotonic()
    with contextlib.closing(house.connect(timeout=600.0)) as connection:
        connection.request("POST", "/api/models/text/load")
        assert connection.getresponse().status == 200
    loaded = time.monotonic() - began
    first = say()
    invocation = show(unit("text"), "InvocationID")
    assert "--enable-sleep-mode" in show(unit("text"), "ExecStart")
    assert not sleeps()
    assert chat("glm-47-flash").content == sentence("glm-47-flash")
    assert state("text") == "parked"
    assert sleeps()
    assert engine("text", "GET", "/health").status == 200, "why nobody may be sent there: it looks well"
    began = time.monotonic()
    assert say() == first
    print(f"{loaded:.1f} s for a start, {time.monotonic() - began:.2f} s to the first answer after a wake")
    assert not sleeps()
    assert show(unit("text"), "InvocationID") == invocation
    assert state("glm-47-flash") == "stopped"


def test_a_router_that_comes_back_asks_it() -> None:
    assert chat("glm-47-flash").content == sentence("glm-47-flash")
    run("systemctl", "kill", "--signal=KILL", "swapper.service")
    until(lambda: state("text") == "parked", "what sleeps is taken over as parked")
    assert say()
    run("systemctl", "kill", "--signal=KILL", "swapper.service")
    until(lambda: state("text") == "ready", "what is awake is taken over as ready")


def test_a_request_past_the_router_hangs_while_it_sleeps() -> None:
    """If one day it does not, the router needs less care."""
    assert say()
    assert chat("glm-47-flash").content == sentence("glm-47-flash")
    body = json.dumps(house.question("text", max_tokens=1)).encode()
    with pytest.raises((TimeoutError, http.client.RemoteDisconnected)):
        engine("text", "POST", "/v1/chat/completions", body, timeout=3.0)
    assert ask("POST", "/api/models/text/unload").status == 200
    assert show(unit("text"), "ActiveState") == "inactive"
