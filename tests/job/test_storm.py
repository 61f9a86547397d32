"""Two hundred mishaps in a row, while many clients ask for models that take turns: each is answered, or told why not.

The order of things is random. Its seed is printed; to have the same order again:
`tests/run --command env SWAPPER_TEST_SEED=123 python3 -m pytest tests/job/test_storm.py`.
"""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.job.crowd import ANSWERED, Crowd
from tests.job.house import ask, chat, configure, main_pid, run, sentence, show, write_gguf
from tests.job.mishaps import agree, nothing_is_left

EVENTS, CLIENTS = 200, 6
OURS = ("alpha", "beta")
"""They share GPU 0, where the router alone starts models: there are never two."""
FREE = ("gamma", "delta")
"""They share GPU 1, where people start models too, whoever is there."""
MODELS = "models:\n" + "".join(
    f"  {name}: {{engine: llama, model: {name}.gguf, context: 2048, gpu: {gpu}}}\n"
    for gpu, names in enumerate((OURS, FREE))
    for name in names
)
GROUPS = Path("/sys/fs/cgroup/swapper.slice/swapper-models.slice")


class Witness:
    """Looks without pause whether the models of GPU 0 have processes at the same time, as the kernel has it."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.together: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        groups = {name: GROUPS / f"llama@{name}.service" / "cgroup.procs" for name in OURS}
        while not self._stop.wait(0.002):
            here = {name for name, group in groups.items() if _populated(group)}
            self.seen |= here
            if len(here) > 1:
                self.together.append(time.monotonic())


def _populated(group: Path) -> bool:
    try:
        return group.read_bytes() != b""
    except OSError:  # no such group, so nobody in it
        return False


class Storm:
    """What happens, one thing after the other."""

    def __init__(self, choice: random.Random) -> None:
        self.kills: list[tuple[float, float]] = []
        self.happened: Counter[str] = Counter()
        self._choice = choice

    def event(self) -> None:
        """One more."""
        anywhere = (self.kill_engine, self.kill_engine, self.stop, self.unload, self.load)
        by_hand = (self.start, self.restart)
        router = (self.kill_router, self.restart_router, self.reload_router)
        systemd = (self.reload_systemd, self.reexecute_systemd)
        what = self._choice.choices((anywhere, by_hand, router, systemd), (24, 10, 4, 2))[0]
        happens: Callable[[], None] = self._choice.choice(what)
        self.happened[happens.__name__] += 1
        happens()

    def kill_engine(self) -> None:
        # Not by SIGTERM: llama-server then works on no request any more, but waits until those that it has are gone,
        # and answers its health check meanwhile; test_engine_trouble.py has what becomes of such a one.
        pid = main_pid(f"llama@{self._any()}")
        if pid:
            try:
                os.kill(pid, self._choice.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)))
            except ProcessLookupError:
                self.happened["too late to kill"] += 1

    def stop(self) -> None:
        run("systemctl", "stop", *self._maybe_at_once(), f"llama@{self._any()}")

    def unload(self) -> None:
        self._in_background(f"/api/models/{self._any()}/unload")

    def load(self) -> None:
        self._in_background(f"/api/models/{self._any()}/load")

    def start(self) -> None:
        run("systemctl", "start", *self._maybe_at_once(), f"llama@{self._choice.choice(FREE)}", check=False)

    def restart(self) -> None:
        run("systemctl", "restart", *self._maybe_at_once(), f"llama@{self._choice.choice(FREE)}", check=False)

    def kill_router(self) -> None:
        began = time.monotonic()
        run("systemctl", "kill", "--signal=KILL", "swapper.service", check=False)
        self.kills.append((began, time.monotonic()))

    def restart_router(self) -> None:
        run("systemctl", "restart", *self._maybe_at_once(), "swapper.service", check=False)

    def reload_router(self) -> None:
        run("systemctl", "reload", "swapper.service", check=False)

    def reload_systemd(self) -> None:
        run("systemctl", "daemon-reload")

    def reexecute_systemd(self) -> None:
        run("systemctl", "daemon-reexec")

    def _any(self) -> str:
        return self._choice.choice(OURS + FREE)

    def _maybe_at_once(self) -> tuple[str, ...]:
        return self._choice.choice(((), ("--no-block",), ("--no-block",), ("--no-block",)))

    def _in_background(self, path: str) -> None:
        """What an operator asks of the router by HTTP; it takes as long as it likes, or until the router is killed."""
        url = f"http://127.0.0.1:8000{path}"
        run("systemd-run", "--quiet", "--collect", "curl", "--silent", "--max-time", "60", "--request", "POST", url)


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("SWAPPER_TEST_SEED", time.time_ns() % 1_000_000))


@pytest.fixture
def entries() -> Callable[[], list[dict[str, str]]]:
    """What the router itself writes to the journal from now on."""
    cursor = run("journalctl", "--lines=0", "--show-cursor").rpartition("cursor: ")[2].strip()

    def read() -> list[dict[str, str]]:
        run("journalctl", "--sync")
        out = run("journalctl", "--unit=swapper", f"--after-cursor={cursor}", "--output=json")
        found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return [entry for entry in found if entry.get("SYSLOG_IDENTIFIER") == "swapper"]

    return read


def starts(entries: list[dict[str, str]]) -> list[tuple[str, set[str]]]:
    """Each start that the router asked for, and whom it knew to be on that GPU."""
    found: list[tuple[str, set[str]]] = []
    residents: set[str] = set()
    invocation = ""
    for entry in entries:
        if entry.get("_SYSTEMD_INVOCATION_ID", invocation) != invocation:
            invocation, residents = entry["_SYSTEMD_INVOCATION_ID"], set()
        model, new = entry.get("MODEL", ""), entry.get("NEW_STATE")
        if new == "starting" and "(asked for)" in entry["MESSAGE"]:
            found.append((model, residents & set(OURS if model in OURS else FREE) - {model}))
        if new is not None:
            (residents.add if new in {"starting", "ready", "draining", "stopping"} else residents.discard)(model)
    return found


def is_defect(entry: dict[str, str]) -> bool:
    """What the router must not say. One that starts while systemd re-executes says so, and is started again."""
    alone = entry["MESSAGE"].startswith("systemd cannot be reached over D-Bus")
    return "Traceback" in entry["MESSAGE"] or (int(entry["PRIORITY"]) <= 3 and not alone)


def test_every_request_is_accounted_for(seed: int, entries: Callable[[], list[dict[str, str]]]) -> None:
    print(f"seed {seed}")
    write_gguf("delta")
    configure(MODELS)
    choice = random.Random(seed)  # noqa: S311 - an order of events is no secret
    storm = Storm(choice)
    with Witness() as witness:
        with Crowd(OURS + FREE, CLIENTS, seed) as crowd:
            crowd.wait(20)
            for _ in range(EVENTS):
                storm.event()
                crowd.wait(choice.randrange(3))
            happened = len(crowd.outcomes)
            crowd.wait(20)
        print(f"{sum(storm.happened.values())} events: {dict(storm.happened)}")
        print(f"{len(crowd.outcomes)} requests, {happened} meanwhile: {dict(crowd.counts)}")
        for model in OURS + FREE:
            assert chat(model).content == sentence(model)
    assert crowd.unfair(storm.kills) == []
    assert crowd.counts[ANSWERED] > len(crowd.outcomes) / 4
    assert witness.seen == set(OURS)
    assert witness.together == []
    nothing_is_left()
    agree()
    assert ask("GET", "/health").json["status"] == "ok"
    told = entries()
    asked_for = starts(told)
    assert {model for model, _ in asked_for} == set(OURS + FREE)
    assert [(model, beside) for model, beside in asked_for if beside] == []
    assert [entry["MESSAGE"] for entry in told if is_defect(entry)] == []
    assert show("swapper.service", "ActiveState") == "active"
