"""The floor: the same llama-server with the same flags, started by hand, with nothing around it."""

import contextlib
import http.client
import json
import os
import re
import resource
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from swapper.config import Config, Model
from swapper.engines import ENGINES

POLL_MS = 1
PATIENCE = 120.0
LOADED = "model loaded"

_ELAPSED = re.compile(r"(\d+)\.(\d\d)\.(\d{3})\.(\d{3}) ")
"""Minutes, seconds, milliseconds, microseconds."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The engine's own clock: its log says in each line how long it has run. A log may arrive late, but never early.

    Attributes:
        zero: When it started, on our clock.
        loaded: When the model was loaded, on the engine's.
    """

    zero: float
    loaded: float

    @classmethod
    def of(cls, log: Iterable[tuple[float, str]]) -> Self:
        """From lines, each with the time at which it arrived."""
        lines = [(at, _elapsed(match), line) for at, line in log if (match := _ELAPSED.match(line))]
        return cls(min(at - elapsed for at, elapsed, _ in lines), next(e for _, e, line in lines if LOADED in line))


def _elapsed(match: re.Match[str]) -> float:
    minutes, seconds, milliseconds, microseconds = map(int, match.groups())
    return minutes * 60 + seconds + milliseconds / 1e3 + microseconds / 1e6


@dataclass(frozen=True, slots=True)
class BareStart:
    """One start of an engine, in seconds from the order to start it.

    Attributes:
        begins: Its clock starts: the program is linked.
        loaded: It says that the model is loaded.
        healthy: It answers its health check with 200.
        answered: The first answer is complete.
        leaves: From SIGTERM to its end.
        cpu: Processor time of the engine, until it had ended.
    """

    begins: float
    loaded: float
    healthy: float
    answered: float
    leaves: float
    cpu: float


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def start_to_answer(model: Model, config: Config, question: object, wanted: str) -> BareStart:
    """Start the model's engine, ask it as soon as it is healthy, and end it.

    Args:
        model: As it is configured; its own unit may be running meanwhile.
        config: Where its engine is found.
        question: The body of a chat request.
        wanted: What it has to answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "http.sock")
        launch = ENGINES[model.engine].launch(model, config)
        command = [path if word == str(model.socket) else word for word in launch.argv]
        environment = os.environ | dict(launch.environment)
        used = _children()
        begun = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as engine:
            assert engine.stdout is not None
            log, healthy = _wait(engine.stdout, path, begun)
            content = _ask(path, question)
            answered = time.monotonic()
            engine.terminate()
            engine.stdout.read()
            engine.wait()
            gone = time.monotonic()
    assert content == wanted, content
    clock = Clock.of(log)
    begins = clock.zero - begun
    return BareStart(
        begins, begins + clock.loaded, healthy - begun, answered - begun, gone - answered, _children() - used
    )


def _wait(output: IO[bytes], path: str, begun: float) -> tuple[list[tuple[float, str]], float]:
    """What it logged, and when health was answered; asked every millisecond."""
    poller = select.poll()
    poller.register(output, select.POLLIN)
    log: list[tuple[float, str]] = []
    rest = b""
    while time.monotonic() < begun + PATIENCE:
        if poller.poll(POLL_MS):
            *lines, rest = (rest + os.read(output.fileno(), 1 << 16)).split(b"\n")
            now = time.monotonic()
            log += [(now, line.decode(errors="replace")) for line in lines]
        if any(LOADED in line for _, line in log) and _healthy(path):
            return log, time.monotonic()
    raise AssertionError("the bare engine did not become healthy")


def _healthy(path: str) -> bool:
    with contextlib.closing(UnixConnection(path)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False


def _ask(path: str, question: object) -> str:
    with contextlib.closing(UnixConnection(path)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(question), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        content: str = answer["choices"][0]["message"]["content"]
        return content


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
