"""What tests of trouble do to the machine, each undone in the end, and what they look at afterwards."""

import contextlib
import http.client
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.job.house import BASIC, MODELS, PATIENCE, Answer, ask, chat, main_pid, run, show, until
from tests.system.look import processes

AGREES = {
    "stopped": {"inactive", "failed"},
    "starting": {"activating"},
    "ready": {"active"},
    "draining": {"active"},
    "stopping": {"deactivating"},
    "failed": {"failed"},
}
"""What systemd's `ActiveState` is where the router has a model in a state. A unit that the router stopped, and that was
killed since it took too long, is one that failed to systemd, and stopped to the router."""


ENDLESS = BASIC.replace("context: 2048", "context: 131072")
"""The usual models, with room for streams that outlast a test: an engine ends them where its context does."""


@contextlib.contextmanager
def override(unit: str, service: str) -> Iterator[None]:
    """A drop-in as `systemctl edit --runtime` makes it, for as long as that."""
    dropin = Path(f"/run/systemd/system/{unit}.service.d/95-test.conf")
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text(f"[Service]\n{service}\n")
    run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        dropin.unlink()
        run("systemctl", "daemon-reload")


@contextlib.contextmanager
def gate(unit: str, *commands: str) -> Iterator[Callable[[], None]]:
    """Have systemd wait at these commands of a unit (`ExecStartPre`, `ExecStop`) until what is given is called.

    However long that takes: the unit's own `TimeoutStopSec=` would have an end of it after ten seconds.
    """
    fifo = Path(f"/run/{unit}.gate")
    os.mkfifo(fifo)

    def pass_on() -> None:
        fifo.write_text("")  # which waits until somebody reads

    try:
        lines = (f"{command}=+/usr/bin/cat {fifo}" for command in commands)
        with override(unit, "\n".join(("TimeoutStopSec=2min", *lines))):
            yield pass_on
    finally:
        fifo.unlink()


@contextlib.contextmanager
def standing_still(model: str) -> Iterator[Callable[[], None]]:
    """An engine that is started meanwhile is still loading until what is given is called, however fast this machine is.

    It is the real llama-server, which reads the template of chats before it reads the model: here a pipe, so that it
    waits for somebody who writes. An empty template is none, and the model's own counts.
    """
    fifo = MODELS / f"{model}.template"
    os.mkfifo(fifo)

    def go_on() -> None:
        fifo.write_text("")  # which waits until it reads

    try:
        with override(f"llama@{model}", f"Environment=LLAMA_ARG_CHAT_TEMPLATE_FILE={fifo}"):
            yield go_on
    finally:
        fifo.unlink()


def begun(model: str) -> None:
    """Wait until the engine itself runs: not systemd, and not the launcher, in its place."""
    unit = f"llama@{model}"
    until(lambda: processes(unit).get(main_pid(unit)) == "llama-server", "the engine runs")


def out_of_memory(unit: str) -> None:
    """End a unit as systemd-oomd does: a double for it, since it needs the memory controller that the machine lacks.

    It marks the unit's group and kills everybody in it (systemd's src/oom/oomd-util.c); at the end of the processes
    systemd itself looks for the mark, or for the kernel's own count of such kills, and its verdict is `oom-kill`.
    """
    group = Path("/sys/fs/cgroup" + show(unit, "ControlGroup"))
    pids = [int(line) for line in (group / "cgroup.procs").read_text().split()]
    for name, count in (("user.oomd_ooms", 1), ("user.oomd_kill", len(pids))):
        os.setxattr(group, name, str(count).encode())
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Question:
    """A chat under way in a thread of its own."""

    def __init__(self, model: str, content: str = "Hello!") -> None:
        self.model = model
        self._content = content
        self._result: Answer | OSError | http.client.HTTPException | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether there is an answer, or there will be none."""
        return self._result is not None

    @property
    def broke(self) -> bool:
        """Whether the connection broke instead of an answer; waited for."""
        self._thread.join(PATIENCE)
        assert self._result is not None, "neither an answer nor an end"
        return not isinstance(self._result, Answer)

    @property
    def answer(self) -> Answer:
        """The answer, waited for."""
        self._thread.join(PATIENCE)
        assert isinstance(self._result, Answer), self._result
        return self._result

    def _ask(self) -> None:
        try:
            self._result = chat(self.model, self._content)
        except (OSError, http.client.HTTPException) as broken:
            self._result = broken


def detail(model: str, name: str) -> object:
    """What /api/models says of a model."""
    value: object = ask("GET", f"/api/models/{model}").json[name]
    return value


def disagreements() -> dict[str, tuple[str, str]]:
    """Models of which the router says something else than systemd: what either says."""
    models = {model["id"]: (model["state"], model["unit"]) for model in ask("GET", "/api/models").json["models"]}
    said = {name: (state, show(unit, "ActiveState")) for name, (state, unit) in models.items()}
    return {name: (state, active) for name, (state, active) in said.items() if active not in AGREES[state]}


def agree() -> None:
    """Wait until the router says of all models what systemd says of their units."""
    until(lambda: not disagreements(), "router and systemd agree")


def nothing_is_left() -> None:
    """No request holds a lease or waits for one."""
    models = ask("GET", "/api/models").json["models"]
    assert [model for model in models if model["leases"] or model["waiting"]] == []
