"""What llama-server's own sleep would save: an answer after it, beside one after a start of the process, in turns.

    tests/run --command python3 -m tests.bench.sleeping [--calm] [--rounds 5] [--size-mb 2500]

With `--sleep-idle-seconds` it frees the weights and keeps the process, as `on_swap: park` has it for vLLM; the next
request reads the model again, from the page cache here. Both are the bare engine, with nothing around it.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from swapper import config as configuration
from swapper.engines import ENGINES
from tests.bench import calm, figures
from tests.bench.bare import UnixConnection
from tests.bench.figures import Series
from tests.job import house

NAME = "sleeping"
CONFIG = f"models: {{{NAME}: {{engine: llama, model: {NAME}.gguf, context: 2048}}}}\n"
PAUSE = 0.005
"""Seconds between two questions whether it is there, or asleep."""


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size-mb", type=int, default=2500)
    options = parser.parse_args()
    house.reset()
    file = house.write_gguf(NAME, size_mb=options.size_mb)
    house.configure(CONFIG)
    figures.heading(f"llama-server with {options.size_mb} MB, {options.rounds} times")
    with calm.calm(options.calm):
        rounds = [_round() for _ in range(options.rounds)]
    starts, wakes, awake = (Series.of(values) for values in zip(*rounds, strict=True))
    figures.table([
        ("start of the process → answer, ms", starts.text(1e3, 0)),
        ("asleep → answer, ms", wakes.text(1e3, 0)),
        ("awake → answer, ms", awake.text(1e3, 0)),
        ("asleep beside a start", (wakes / starts).text(digits=2)),
    ])  # fmt: skip
    house.reset()
    file.unlink()


def _round() -> tuple[float, float, float]:
    """Seconds to an answer: from a start, from sleep, and when it is awake."""
    config = configuration.load()
    model = replace(config.models[0], args=("--sleep-idle-seconds", "1"))
    launch = ENGINES[model.engine].launch(model, config)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "http.sock")
        command = [path if word == str(model.socket) else word for word in launch.argv]
        begun = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=os.environ | dict(launch.environment)) as engine:  # fmt: skip
            while _get(path, "/health") is None:
                time.sleep(PAUSE)
            start = time.monotonic() - begun + _answer(path)
            while not (_get(path, "/props") or {}).get("is_sleeping"):
                time.sleep(PAUSE)
            wake, awake = _answer(path), _answer(path)
            engine.terminate()
    return start, wake, awake


def _answer(path: str) -> float:
    """Seconds until a question is answered."""
    asked = time.monotonic()
    with contextlib.closing(UnixConnection(path)) as connection:
        body = json.dumps(house.question(NAME))
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
    return time.monotonic() - asked


def _get(path: str, what: str) -> dict[str, object] | None:
    """What it answers; None unless that is good."""
    with contextlib.closing(UnixConnection(path)) as connection:
        try:
            connection.request("GET", what)
            response = connection.getresponse()
            found: dict[str, object] = json.loads(response.read())
        except OSError:
            return None
    return found if response.status == 200 else None


if __name__ == "__main__":
    main()
