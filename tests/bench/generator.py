"""What the generator costs at every daemon-reload, by how many models are configured.

    tests/run --command python3 -m tests.bench.generator [--calm] [--rounds 10]

The installed generator, run as systemd runs it; and `systemctl daemon-reload` with it and, in turns, without.
"""

import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench import calm, figures
from tests.bench.figures import Series
from tests.job import house

GENERATOR = Path("/usr/lib/systemd/system-generators/swapper-generator")
MASK = Path("/etc/systemd/system-generators/swapper-generator")
"""A link to /dev/null here keeps systemd from running the other (systemd.generator(7))."""

COUNTS = (10, 100, 1000)


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    house.reset()
    rows: list[tuple[str, ...]] = [("models", "generator", "daemon-reload without", "daemon-reload with", "difference")]
    figures.heading(f"The generator, {options.rounds} times, ms")
    try:
        with calm.calm(options.calm):
            rows += [_measure(count, options.rounds) for count in COUNTS]
    finally:
        MASK.unlink(missing_ok=True)
        house.configure(house.BASIC)
    figures.table(rows)


def _measure(count: int, rounds: int) -> tuple[str, ...]:
    house.CONFIG.write_text(_config(count))
    generator, without, with_it = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            generator.append(_timed(str(GENERATOR), folder, folder, folder))
            written = len(list(Path(folder).rglob("50-swapper.conf")))
        assert written == count, written
        MASK.parent.mkdir(parents=True, exist_ok=True)
        MASK.symlink_to("/dev/null")
        without.append(_timed("systemctl", "daemon-reload"))
        MASK.unlink()
        with_it.append(_timed("systemctl", "daemon-reload"))
    columns = [Series.of(times) for times in (generator, without, with_it)]
    columns.append(columns[2] - columns[1])
    return (str(count), *(series.text(1e3, 0) for series in columns))


def _config(count: int) -> str:
    lines = (
        f"  model-{number}: {{engine: {('llama', 'vllm')[number % 2]}, model: model-{number}.gguf, gpu: {number % 4},"
        f" context: 8192, aliases: [alias-{number}], args: [--threads, '2'], env: {{LANG: C.UTF-8}}, ttl: 10min}}\n"
        for number in range(count)
    )
    return "models:\n" + "".join(lines)


def _timed(*command: str) -> float:
    begun = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
