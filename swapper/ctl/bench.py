"""`swapperctl bench MODEL`: how long a load takes, cold and warm, how soon it answers, and how fast it writes.

Cold is after the kernel was asked to drop the model's files from its page cache (posix_fadvise(2)), which it does for
files that nobody else has open; warm is right after that. Both are loads by the router, swaps not included: the model
is unloaded before.
"""

import argparse
import contextlib
import json
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from swapper.config import ConfigErrors, load
from swapper.ctl import Failure
from swapper.ctl import options as shared
from swapper.ctl.asking import Host
from swapper.ctl.terminal import columns, plain, span
from swapper.engines import ENGINES

PROMPT = "Tell me a long story about a lighthouse, and do not stop before it is told."


@dataclass(frozen=True, slots=True)
class Written:
    """One answer.

    Attributes:
        first: Seconds to its first token.
        tokens: How many there were, as the engine counts them.
        rate: Tokens a second, from the first one on.
    """

    first: float
    tokens: int
    rate: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        model: Its name.
        cold: Seconds of a load with its files out of the page cache; None where they could not be dropped.
        warm: Seconds of one with them in it.
        answers: Answers, one after the other.
    """

    model: str
    cold: float | None
    warm: float
    answers: Sequence[Written]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Measures a model: loads it twice, with its files out of the page cache and in it, and asks it several times. "
        "Whoever uses it meanwhile waits, and spoils the figures."
    )
    parser.add_argument("model", help="a name or an alias")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="answers (%(default)s)")
    parser.add_argument("--tokens", type=int, default=128, metavar="N", help="of each answer, at most (%(default)s)")
    parser.add_argument("--prompt", metavar="TEXT", default=PROMPT, help="what is asked")
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    host = Host(options.url)
    details = host.get(host.model(options.model))
    name = details["name"]
    if "chat" not in details["capabilities"]:
        raise Failure(f"{name} does not chat", "swapperctl models shows what models can do")
    cold = _load(host, name) if _unloaded(host, name) and _dropped(name) else None
    _unloaded(host, name)
    warm = _load(host, name)
    answers = [_ask(host, name, options.prompt, options.tokens) for _ in range(options.rounds)]
    figures = Figures(name, cold, warm, answers)
    if options.json:
        print(json.dumps(asdict(figures), indent=2))
        return 0
    print("\n".join(_lines(figures)))
    return 0


def _lines(figures: Figures) -> Iterable[str]:
    rows = [plain("load, cold", "not measured: its files cannot be dropped from the page cache")]
    if figures.cold is not None:
        rows = [plain("load, cold", span(figures.cold))]
    rows.append(plain("load, warm", span(figures.warm)))
    firsts, rates = [each.first for each in figures.answers], [each.rate for each in figures.answers]
    if firsts:
        median, far = 1000 * statistics.median(firsts), _range(1000 * each for each in firsts)
        rows.append(plain("first token", f"{median:.0f} ms  {far}"))
        rows.append(plain("writes", f"{statistics.median(rates):.1f} tokens/s  {_range(rates)}"))
    return [f"{figures.model}:", *(f"  {line}" for line in columns(rows))]


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"[{found[0]:.1f} … {found[-1]:.1f}]"


def _unloaded(host: Host, name: str) -> bool:
    host.post(host.model(name, "/unload"))
    return True


def _load(host: Host, name: str) -> float:
    began = time.monotonic()
    host.post(host.model(name, "/load"))
    return time.monotonic() - began


def _dropped(name: str) -> bool:
    """Have the kernel forget the model's files; whether there were any that could be opened."""
    try:
        model = load().resolve(name)
    except ConfigErrors:
        return False
    files = ENGINES[model.engine].cached(model) if model is not None else ()
    return bool(files) and all(map(_drop, files))


def _drop(file: Path) -> bool:
    with contextlib.suppress(OSError):
        opened = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(opened)
        return True
    return False


def _ask(host: Host, name: str, prompt: str, tokens: int) -> Written:
    # A beginning of its own each time: what the engine still has in mind of a prompt is not read again.
    said = [{"role": "user", "content": f"{time.time_ns()}. {prompt}"}]
    body = {"model": name, "messages": said, "max_tokens": tokens, "stream": True,
            "stream_options": {"include_usage": True}}  # fmt: skip
    began = time.monotonic()
    first, last, count = None, began, 0
    with host.events("POST", "/v1/chat/completions", body) as events:
        for event in events:
            if event.name == ":" or event.data == "[DONE]":
                continue
            chunk = json.loads(event.data)
            if error := chunk.get("error"):
                raise Failure(str(error.get("message")), str(error.get("hint") or ""))
            count = (chunk.get("usage") or {}).get("completion_tokens") or count
            if chunk.get("choices") and any((chunk["choices"][0].get("delta") or {}).values()):
                last = time.monotonic()
                first = last if first is None else first
    if first is None:
        raise Failure(f"{name} answers nothing", "swapperctl chat shows what it says")
    return Written(first - began, count, (count - 1) / (last - first) if count > 1 and last > first else 0.0)
