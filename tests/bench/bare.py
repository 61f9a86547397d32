"""The floor: the same llama-server with the same flags, started by hand, with nothing around it."""

import contextlib
import http.client
import json
import os
import resource
import select
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from swapper.config import Config, Model
from swapper.engines import ENGINES

POLL_MS = 1
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class BareStart:
    """One start of an engine, in seconds from the order to start it.

    Attributes:
        speaks: It logs its first line: the program is loaded and linked.
        healthy: It answers its health check with 200.
        answered: The first answer is complete.
        cpu: Processor time of the engine, until it had ended.
    """

    speaks: float
    healthy: float
    answered: float
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
            speaks, healthy = _wait(engine.stdout, path, begun)
            content = _ask(path, question)
            answered = time.monotonic()
            engine.terminate()
            engine.stdout.read()
    assert content == wanted, content
    return BareStart(speaks - begun, healthy - begun, answered - begun, _children() - used)


def _wait(output: IO[bytes], path: str, begun: float) -> tuple[float, float]:
    """When the first line came, and when health was answered; asked every millisecond."""
    poller = select.poll()
    poller.register(output, select.POLLIN)
    speaks = 0.0
    while time.monotonic() < begun + PATIENCE:
        if poller.poll(POLL_MS):
            speaks = speaks or time.monotonic()
            os.read(output.fileno(), 1 << 16)
        if speaks and _healthy(path):
            return speaks, time.monotonic()
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
