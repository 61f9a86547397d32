"""Runs inside an engine's unit: leaves a sidecar that speaks sd_notify(3), then becomes the engine.

    launch.py --socket /run/swapper/llama@devstral/http.sock --health /health --name devstral -- llama-server …
    launch.py … --ready /slots …             (asked once, after the first healthy answer: any answer counts)
    launch.py … --weights MODEL.gguf …       (what the engine reads, file or directory, for a true percentage)
    launch.py … --needs espeak-ng …          (a program that the engine itself starts: without it there is no start)
    launch.py … --gate FILE --imports M,N --seconds 600 …     (where that file is, the engine waits there: early.py)
    launch.py --unconfigured devstral        (what the template units start when no drop-in says otherwise)

The engine is the unit's main process (exec, no parent in between), so systemd sees, signals and accounts the engine
itself. The sidecar stays behind in the same cgroup. It asks for the engine's health over its unix socket, sends
`READY=1` at the first 200, `STATUS=` for people, and `WATCHDOG=1` for as long as answers come. It ends with the engine.
The router reads two things in what is for people, `UnitStatus.progress` and `.slots`: how much is loaded, and how many
requests the engine works on at once. tests/host/test_status.py holds the two together.

Rule of this file: standard library only, and as little of it as possible. Every import is paid for at each start of a
model and stays in memory beside it; so `_socket` instead of `socket`, and no argparse, dataclasses or typing.
"""

import _socket
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from swapper.progress import Reading

PROBE_SECONDS = 2.0
"""How long one question for health may take before it counts as unanswered."""

SHORTEST_WAIT, LONGEST_WAIT = 0.002, 0.25
"""Seconds between questions while the engine loads."""

PATIENCE = 1 / 250
"""In between, such a part of the time that passed: readiness is noticed 0.4 % late at most, and an engine that takes
minutes is not asked a hundred times a second."""

STATUS_SECONDS, PERCENT_SECONDS = 5.0, 1.0
"""Seconds between two `STATUS=` while loading, the latter if it has another percentage: each of them wakes whoever
watches the unit on D-Bus."""

FIRST_LOOK = 0.3
"""Seconds until the first look at what the engine has read. Loads that end before cost nothing."""

SHORTEST_LOOK, LONGEST_LOOK, LOOK_PART = 0.25, 1.0, 1 / 50
"""Seconds between two looks: a twentieth of the time that passed, within these, and such that looking takes 2 %."""

EXTENSION = 15
"""Seconds by which each `STATUS=` at the gate extends the time for a start: `TimeoutStartSec=` begins when it opens.
What was extended once is not shortened (sd_notify(3)), so a shorter one than this counts as this."""

LONGEST_ANSWER = 1 << 20
"""Bytes that are read of the answer to `--ready`."""

SLOT = b'"is_processing":'
"""What each slot in llama-server's answer to /slots has once (tools/server/README.md)."""

OK = (b"HTTP/1.1 200", b"HTTP/1.0 200")

EX_CONFIG = 78
"""The command line is not one that swapper's generator writes (sysexits.h(3))."""

NOT_CONFIGURED = "add it under 'models:' and run 'systemctl reload swapper'"

EXIT_EXEC = 203
"""What systemd itself uses for a binary that cannot be run, shown as 203/EXEC (systemd.exec(5))."""


class Order:
    """What to start and how to ask for its health, as parsed from the command line."""

    __slots__ = ("argv", "gate", "health", "imports", "name", "needs", "ready", "seconds", "socket", "weights")

    def __init__(self, words: list[str]) -> None:
        """Parse `--socket S --health H [--ready R] [--gate G --imports I --seconds T] … --name N -- ARGV…`.

        In the place of the first dots, any number of `--weights W` and of `--needs P`.

        Raises:
            ValueError: With the sentence to print; nothing else is wrong with the machine.
        """
        if "--" not in words:
            raise ValueError("no engine command after '--'")
        middle = words.index("--")
        options, self.argv = words[:middle], words[middle + 1 :]
        pairs = list(zip(options[::2], options[1::2], strict=False))
        values = dict(pairs)
        self.ready = values.pop("--ready", None)
        self.gate, self.imports = values.pop("--gate", ""), values.pop("--imports", "")
        self.seconds = values.pop("--seconds", "600")
        self.weights = [value for option, value in pairs if option == "--weights"]
        values.pop("--weights", None)
        self.needs = [value for option, value in pairs if option == "--needs"]
        values.pop("--needs", None)
        if len(options) % 2 or values.keys() != {"--socket", "--health", "--name"}:
            raise ValueError(f"wanted --socket, --health and --name, got: {' '.join(options) or 'nothing'}")
        if not self.argv:
            raise ValueError("no engine command after '--'")
        self.socket, self.health, self.name = values["--socket"], values["--health"], values["--name"]


class Manager:
    """The service manager's end of sd_notify(3)."""

    __slots__ = ("_socket",)

    def __init__(self, address: str) -> None:
        """Connect to `NOTIFY_SOCKET`; a leading "@" is the abstract namespace."""
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self._socket.connect("\0" + address[1:] if address.startswith("@") else address)

    def tell(self, *lines: str) -> None:
        """Send one message. A manager that is re-executing is not there for a moment: the next message will do."""
        try:
            self._socket.send("\n".join(lines).encode(errors="surrogateescape"))
        except OSError:
            return


class Sidecar:
    """Watches one engine on behalf of the service manager."""

    __slots__ = ("_alive", "_early", "_engine", "_manager", "_order", "_reading", "_slots", "_started")

    def __init__(self, order: Order, manager: Manager, engine: int, early: "ModuleType | None" = None) -> None:
        """Watch the process `engine`; its pidfd becomes readable when it is gone (pidfd_open(2)).

        Args:
            order: What it is.
            manager: Who is told.
            engine: Its process.
            early: The module `early.py`, if it waits at the gate first.
        """
        self._early = early
        self._order = order
        self._manager = manager
        self._started = time.monotonic()
        self._engine = engine
        self._alive = select.poll()
        self._alive.register(os.pidfd_open(engine), select.POLLIN)
        self._reading: Reading | None = None
        self._slots = ""

    def run(self, watchdog: float | None) -> None:
        """Report readiness, then feed a watchdog of that many seconds; return when the engine is gone."""
        if (self._early is None or self._wait(self._early)) and self._load() and watchdog is not None:
            self._watch(watchdog)

    def _wait(self, early: "ModuleType") -> bool:
        """Say that it waits, until the gate is open. False: the engine ended before, or will."""
        order, told, invocation = self._order, 0.0, os.environ.get("INVOCATION_ID", "")
        while early.waits(order.gate, invocation):
            passed = time.monotonic() - self._started
            if passed >= told:
                told = passed + STATUS_SECONDS
                status = f"STATUS={order.name} waits for its GPU, {passed:.0f} s"
                self._manager.tell(status, f"EXTEND_TIMEOUT_USEC={EXTENSION * 1_000_000}")
            if self._ended(early.PAUSE):
                return False
        self._started = time.monotonic()
        if early.opened(order.gate):
            extension = f"EXTEND_TIMEOUT_USEC={float(order.seconds) * 1_000_000:.0f}"
            self._manager.tell(f"STATUS=loading {order.name}", extension)
            return True
        return False

    def _load(self) -> bool:
        """Wait for the first healthy answer. False: the engine ended before."""
        told, look_at, said, read = 0.0, FIRST_LOOK, "", ""
        while not (self._healthy(PROBE_SECONDS) and self._works()):
            passed = time.monotonic() - self._started
            if passed >= look_at:
                read = self._look()
                looked = time.monotonic() - self._started
                pause = min(max(passed / 20, SHORTEST_LOOK), LONGEST_LOOK)
                look_at = looked + max(pause, (looked - passed) / LOOK_PART)
            if passed - told >= (STATUS_SECONDS if read == said else PERCENT_SECONDS if said else 0.0):
                told, said = passed, read
                self._manager.tell(f"STATUS=loading {self._order.name}, {read}{passed:.0f} s")
            if self._ended(min(max(passed * PATIENCE, SHORTEST_WAIT), LONGEST_WAIT)):
                return False
        passed = time.monotonic() - self._started
        self._manager.tell(
            "READY=1", "WATCHDOG=1", f"STATUS={self._order.name} ready after {passed:.1f} s {self._about()}"
        )
        return True

    def _look(self) -> str:
        """How much of its files the engine has read, for the status; empty while nothing is known."""
        if not self._order.weights:
            return ""
        try:
            if self._reading is None:
                # Found beside this file, whatever else is called so (-I leaves its folder out).
                sys.path.insert(0, __file__.rpartition("/swapper/")[0])
                from swapper.progress import Reading  # noqa: PLC0415 — most loads end before anybody asks

                self._reading = Reading(self._engine, self._order.weights)
            read, size = self._reading.look(), self._reading.size
        except Exception:  # noqa: BLE001 — an upgrade may be replacing that file: no figure is worth a model
            self._order.weights = []
            return ""
        return f"{read * 100 // size} % of {amount(size)}, " if read else ""

    def _watch(self, watchdog: float) -> None:
        """Feed the watchdog while health answers. Silence is the message otherwise: systemd ends the unit."""
        silent_since = None
        name = self._order.name
        # Half, as sd_watchdog_enabled(3) advises, then one patient question: an answer that comes late still counts.
        while not self._ended(watchdog * (0.5 if silent_since is None else 0.05)):
            asked = time.monotonic()
            if self._healthy(watchdog * 0.45):
                news = () if silent_since is None else (f"STATUS={name} ready {self._about()}",)
                self._manager.tell("WATCHDOG=1", *news)
                silent_since = None
            else:
                silent_since = asked if silent_since is None else silent_since
                silence = time.monotonic() - silent_since
                status = f"{name} has not answered its health check for {silence:.0f} s {self._about()}"
                self._manager.tell(f"STATUS={status}")

    def _about(self) -> str:
        """Which engine this is, and how many requests it works on at once if it says so."""
        engine = self._order.argv[0].rpartition("/")[2]
        return f"({engine}{self._slots})"

    def _ended(self, seconds: float) -> bool:
        """Sleep, but no longer than the engine lives; whether it has ended."""
        return bool(self._alive.poll(seconds * 1000))

    def _healthy(self, seconds: float) -> bool:
        """Whether health is good. Refused connections, silence and 503 are a no: loading engines do all of these."""
        return self._ask(self._order.health, seconds, len(OK[0])).startswith(OK)

    def _works(self) -> bool:
        """Whether the engine answers what its health check does not need, if there is such a question.

        llama-server's answer has an object for each slot, unless it was told to keep them to itself (`--no-slots`).
        """
        if self._order.ready is None:
            return True
        answer = self._ask(self._order.ready, PROBE_SECONDS, LONGEST_ANSWER)
        slots = answer.count(SLOT) if answer.startswith(OK) and answer.endswith(b"]") else 0
        self._slots = f", {slots} slot{'s' * (slots > 1)}" if slots else ""
        return bool(answer)

    def _ask(self, path: str, seconds: float, enough: int) -> bytes:
        """An answer, until it has enough bytes, has ended or stays away for so long; none if there is none."""
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        answer = b""
        try:
            connection.settimeout(seconds)
            connection.connect(self._order.socket)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n".encode())
            while len(answer) < enough and (part := connection.recv(4096)):
                answer += part
        except OSError:
            pass
        finally:
            connection.close()
        return answer


def amount(size: int) -> str:
    """A number of bytes as people say it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def at_hand(program: str) -> bool:
    """Whether there is such a program: a path, or a name that is looked for in `PATH`."""
    folders = ("",) if "/" in program else os.get_exec_path()
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in folders)  # noqa: PTH118 — pathlib, again


def find_early(order: Order) -> "ModuleType | None":
    """The module that knows of gates, if there is one at which this start waits."""
    if not os.path.exists(order.gate):  # noqa: PTH110 — pathlib is an import too many
        return None
    sys.path.insert(0, __file__.rpartition("/swapper/")[0])
    from swapper import early  # noqa: PLC0415 — as a rule nobody waits

    return early if early.waits(order.gate, os.environ.get("INVOCATION_ID", "")) else None


def leave_sidecar(order: Order, notify: str, watchdog: float | None, early: "ModuleType | None") -> None:
    """Fork a sidecar whose parent is gone, so that the engine never has a child to reap that it did not start."""
    engine = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        with open("/proc/self/comm", "w") as name:  # noqa: PTH123 — pathlib is an import too many
            name.write("swapper-sidecar")
        Sidecar(order, Manager(notify), engine, early).run(watchdog)
    finally:
        os._exit(0)


def refuse(status: int, message: str, manager: Manager | None) -> int:
    """Say why there will be no engine: to the journal at level error, and to `systemctl status`."""
    print(f"<3>{message}", file=sys.stderr, flush=True)
    if manager is not None:
        manager.tell(f"STATUS={message}")
    return status


def main(words: list[str]) -> int:
    """Start what the command line says; return an exit status only if that fails."""
    # The engine must not inherit these: a library in it that speaks sd_notify would report ready too early.
    notify = os.environ.pop("NOTIFY_SOCKET", None)
    microseconds = os.environ.pop("WATCHDOG_USEC", None)
    os.environ.pop("WATCHDOG_PID", None)
    hint = os.environ.pop("SWAPPER_INSTALL_HINT", "install it, or name its path under 'engines:' in swapper.yaml")
    manager = Manager(notify) if notify else None
    if len(words) == 2 and words[0] == "--unconfigured":
        return refuse(EX_CONFIG, f"no model {words[1]!r} in /etc/swapper/swapper.yaml: {NOT_CONFIGURED}", manager)
    try:
        order = Order(words)
    except ValueError as error:
        return refuse(EX_CONFIG, f"launch.py: {error}", manager)
    for needed in order.needs:
        if not at_hand(needed):
            return refuse(EXIT_EXEC, f"{needed} is not installed: {hint}", manager)
    early = find_early(order)
    if manager is not None and notify is not None:
        manager.tell(f"STATUS=loading {order.name}")
        leave_sidecar(order, notify, int(microseconds) / 1_000_000 if microseconds else None, early)
    try:
        argv = order.argv if early is None else early.command(order.gate, order.imports, order.argv)
        os.execvp(argv[0], argv)  # noqa: S606 — becoming the engine is the purpose; no shell wanted
    except FileNotFoundError:
        return refuse(EXIT_EXEC, f"{order.argv[0]} is not installed: {hint}", manager)
    except OSError as error:
        return refuse(EXIT_EXEC, f"{order.argv[0]} cannot be run: {error.strerror}", manager)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
