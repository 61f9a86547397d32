"""Going on with a long conversation after a swap and back, kept and not kept, in turns.

    tests/run --command python3 -m tests.bench.conversations [--calm] [--rounds 5] [--tokens 12000] [--size-mb 0]

A model is told something long, another one is asked for in its place, and the conversation goes on. Measured is how
long the other one waited (it waits for the conversation to be written down), how long the first one took to go on (its
load, reading the conversation or its prompt, the first token), and what the engine says that it read of the prompt.

These models say nothing of absolute times: a token of their conversations takes 256 bytes, where a model of 8e9
parameters has about 128 KiB; and a prompt costs what it does on this machine's processor.
"""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import calm, figures
from tests.bench.figures import Series
from tests.job import house

KEPT, OTHER = "conversations-kept", "conversations-other"
CONFIG = f"""
models:
  {KEPT}: {{engine: llama, model: {KEPT}.gguf, context: 32768, keep_conversations: KEEP}}
  {OTHER}: {{engine: llama, model: {OTHER}.gguf, context: 2048}}
"""


@dataclass(frozen=True, slots=True)
class Round:
    """There and back.

    Attributes:
        away: Seconds until the other model answered.
        back: Seconds until the first token of the conversation that goes on.
        read: Tokens of its prompt that the engine read.
        known: Tokens of its prompt that the engine had in mind.
    """

    away: float
    back: float
    read: int
    known: int


def main() -> None:
    """Parse the command line and measure."""
    parser = calm.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=12_000, help="length of the conversation")
    parser.add_argument("--size-mb", type=int, default=0, help="size of the model that has it")
    options = parser.parse_args()
    house.reset()
    big = house.write_gguf(KEPT, size_mb=options.size_mb)
    house.write_gguf(OTHER)
    figures.heading(f"Going on after {options.tokens} tokens and a swap, {options.rounds} times")
    with calm.calm(options.calm):
        ways: dict[bool, list[Round]] = {False: [], True: []}
        for number in range(options.rounds):
            for keep, rounds in ways.items():
                rounds.append(_round(f"{number} y " * (options.tokens // 4), keep=keep))
    _print(ways)
    house.reset()
    big.unlink()


def _round(text: str, *, keep: bool) -> Round:
    house.configure(CONFIG.replace("KEEP", "true" if keep else "false"))
    assert house.chat(KEPT, text).content == house.sentence(KEPT)
    asked = time.monotonic()
    assert house.chat(OTHER).content == house.sentence(OTHER)
    answered = time.monotonic()
    back, timings = _first_token(f"{text} and more")
    return Round(answered - asked, back, timings["prompt_n"], timings["cache_n"])


def _first_token(text: str) -> tuple[float, dict[str, int]]:
    """Seconds until something is said, and what the engine tells of the prompt in the end."""
    first, timings = 0.0, dict[str, int]()
    with contextlib.closing(house.connect()) as connection:
        body = json.dumps(house.question(KEPT, text, stream=True))
        asked = time.monotonic()
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        while line := response.readline():
            if line.startswith(b"data: {"):
                chunk = json.loads(line[6:])
                timings = chunk.get("timings", timings)
                if not first and any(choice["delta"].get("content") for choice in chunk["choices"]):
                    first = time.monotonic() - asked
    return first, timings


def _print(ways: dict[bool, list[Round]]) -> None:
    def row(label: str, name: str, scale: float = 1.0, digits: int = 1) -> Sequence[str]:
        return (label, *(_series(rounds, name).text(scale, digits) for rounds in ways.values()))

    figures.table([
        ("", "not kept", "kept"),
        row("request to the other model → its answer, ms", "away", 1e3, 0),
        row("request that goes on → its first token, ms", "back", 1e3, 0),
        row("of its prompt read, tokens", "read", digits=0),
        row("of its prompt in mind, tokens", "known", digits=0),
    ])  # fmt: skip
    print()
    figures.table(
        (label, (_series(ways[True], name) / _series(ways[False], name)).text(digits=2))
        for label, name in (("the wait away, beside not kept", "away"), ("the wait back, beside not kept", "back"))
    )


def _series(rounds: list[Round], name: str) -> Series:
    return Series.of(getattr(one, name) for one in rounds)


if __name__ == "__main__":
    main()
