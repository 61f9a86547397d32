"""The installed system as an administrator and a client meet it: systemctl, configuration, port 8000."""

import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.lab.gguf import write_model

MODELS = Path("/var/lib/swapper/models")
CONFIG = Path("/etc/swapper/swapper.yaml")
TEMPLATES = ("llama@*.service", "vllm@*.service", "speech@*.service")
BASIC = """
models:
  alpha: {engine: llama, model: alpha.gguf, context: 65536, aliases: [first]}
  beta: {engine: llama, model: beta.gguf, context: 2048}
  gamma: {engine: llama, model: gamma.gguf, context: 2048, gpu: 1}
"""
PATIENCE = 60.0
"""Seconds after which a test that waits for something has failed; far more than anything here takes."""


def run(*argv: str, check: bool = True, text: str | None = None) -> str:
    """Run a command; its output, both streams together."""
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, input=text)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def show(unit: str, name: str) -> str:
    """One property of a unit."""
    return run("systemctl", "show", "--value", "--property", name, unit).strip()


def main_pid(unit: str) -> int:
    """The engine's process."""
    return int(show(unit, "MainPID"))


def journal(unit: str, *more: str) -> str:
    """What the journal has of a unit."""
    run("journalctl", "--sync")
    return run("journalctl", "--unit", unit, "--boot", "--output=cat", *more)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back on port 8000."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in the envelope."""
        error: dict[str, Any] = self.json["error"]
        return error

    @property
    def content(self) -> str:
        """What a chat answered; the test fails when it is no good answer."""
        assert self.status == 200, self.body
        content: str = self.json["choices"][0]["message"]["content"]
        return content


def connect(timeout: float = PATIENCE) -> http.client.HTTPConnection:
    """A connection to port 8000."""
    return http.client.HTTPConnection("127.0.0.1", 8000, timeout=timeout)


def ask(method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    """One request on a connection of its own."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with contextlib.closing(connect()) as connection:
        connection.request(method, path, data, dict(headers or {"Content-Type": "application/json"}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


def question(model: str, content: object = "Hello!", **more: object) -> dict[str, object]:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 40, **more}


def chat(model: str, content: object = "Hello!", **more: object) -> Answer:
    """Ask a model something."""
    return ask("POST", "/v1/chat/completions", question(model, content, **more))


@contextlib.contextmanager
def stream(model: str) -> Iterator[http.client.HTTPResponse]:
    """An answer that fills the context, of which the first words have been read: a minute for one of 65,536 tokens."""
    with contextlib.closing(connect()) as connection:
        body = question(model, "LOOP", stream=True, max_tokens=2_000_000)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        assert response.readline().startswith(b"data: ")
        yield response


def rest_of(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """Everything that still comes, and whether it ended as it should (the last chunk came)."""
    data = b""
    try:
        while block := response.read1(1 << 16):
            data += block
    except (http.client.IncompleteRead, ConnectionError) as broken:
        return data + (broken.partial if isinstance(broken, http.client.IncompleteRead) else b""), False
    return data, True


def state(model: str) -> str:
    """The model's state as the API has it."""
    value: str = ask("GET", f"/api/models/{model}").json["state"]
    return value


@contextlib.contextmanager
def watching(model: str, wanted: str) -> Iterator[Callable[[], None]]:
    """Listen to the feed from now on; call what is given to wait until the model has reached the state."""
    with contextlib.closing(connect()) as connection:
        connection.request("GET", "/api/events")
        # Closed by itself: the connection lets go of an answer that ends it.
        with contextlib.closing(connection.getresponse()) as response:
            present = _next_event(response)["states"][model]

            def wait() -> None:
                now = present
                while now != wanted:
                    event = _next_event(response)
                    now = event.get("new", now) if event.get("model") == model else now

            yield wait


def wait_for(model: str, wanted: str) -> None:
    """Wait until the model is in this state."""
    with watching(model, wanted) as wait:
        wait()


def _next_event(response: http.client.HTTPResponse) -> dict[str, Any]:
    while line := response.readline():
        if line.startswith(b"data: "):
            event: dict[str, Any] = json.loads(line[6:])
            return event
    raise AssertionError("the stream of events ended")


@dataclass
class Load:
    """Clients that ask without pause, each on a new connection, and note what they got.

    `by` is how they ask, where that is not port 8000 itself.
    """

    model: str
    clients: int = 4
    by: Callable[[str], Answer] | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _answered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def answers(self, count: int) -> None:
        """Wait for this many further answers."""
        while self._answered.acquire(blocking=False):
            pass
        for _ in range(count):
            assert self._answered.acquire(timeout=PATIENCE), f"no answers any more: {self.statuses} {self.failures}"

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                status = str((self.by or chat)(self.model).status)
            except OSError as broken:
                status = type(broken).__name__
                self.failures.append(repr(broken))
            except http.client.HTTPException as broken:
                status = type(broken).__name__
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self._answered.release()


def write_gguf(name: str, *, size_mb: int = 0) -> Path:
    """A model that says who it is."""
    path = MODELS / f"{name}.gguf"
    if not path.exists():
        write_model(path, f"Hello! This is {name} speaking.", size_mb=size_mb)
    return path


def sentence(name: str) -> str:
    """What such a model says."""
    return f"Hello! This is {name} speaking."


def configure(text: str) -> None:
    """Put a configuration in force, as an administrator does."""
    CONFIG.write_text(text)
    run("systemctl", "daemon-reload")
    if show("swapper.service", "ActiveState") == "active":
        run("systemctl", "reload", "swapper")


@contextlib.contextmanager
def configured(text: str) -> Iterator[None]:
    """Another configuration, with nothing running but the socket at first; afterwards the one that was there."""
    before = CONFIG.read_text()
    reset()
    try:
        configure(text)
        yield
    finally:
        reset()
        configure(before)


def reset() -> None:
    """Nothing runs but the socket."""
    run("systemctl", "stop", *TEMPLATES, "swapper.service", check=False)
    run("systemctl", "reset-failed", check=False)
    run("systemctl", "start", "swapper.socket")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something of which no event tells."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"it never came to be: {what}"
        time.sleep(0.05)
