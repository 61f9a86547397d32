"""Runs inside an engine's unit: leaves a sidecar that speaks sd_notify(3), then becomes the engine.

    launch.py --socket /run/swapper/llama@devstral/http.sock --health /health --name devstral -- llama-server …
    launch.py … --ready /slots …             (asked once, after the first healthy answer: any answer counts)
    launch.py --unconfigured devstral        (what the template units start when no drop-in says otherwise)

The engine is the unit's main process (exec, no parent in between), so systemd sees, signals and accounts the engine
itself. The sidecar stays behind in the same cgroup. It asks for the engine's health over its unix socket, sends
`READY=1` at the first 200, `STATUS=` for people, and `WATCHDOG=1` for as long as answers come. It ends with the engine.

Rule of this file: standard library only, and as little of it as possible. Every import is paid for at each start of a
model and stays in memory beside it; so `_socket` instead of `socket`, and no argparse, dataclasses or typing.
"""

import _socket
import os
import select
import sys
import time

PROBE_SECONDS = 2.0
"""How long one question for health may take before it counts as unanswered."""

SHORTEST_WAIT, LONGEST_WAIT = 0.002, 0.25
"""Seconds between questions while the engine loads."""

PATIENCE = 1 / 250
"""In between, such a part of the time that passed: readiness is noticed 0.4 % late at most, and an engine that takes
minutes is not asked a hundred times a second."""

STATUS_SECONDS = 5.0
"""Seconds between two `STATUS=` while loading: each of them wakes whoever watches the unit on D-Bus."""

OK = (b"HTTP/1.1 200", b"HTTP/1.0 200")

EX_CONFIG = 78
"""The command line is not one that swapper's generator writes (sysexits.h(3))."""

NOT_CONFIGURED = "add it under 'models:' and run 'systemctl reload swapper'"

EXIT_EXEC = 203
"""What systemd itself uses for a binary that cannot be run, shown as 203/EXEC (systemd.exec(5))."""


class Order:
    """What to start and how to ask for its health, as parsed from the command line."""

    __slots__ = ("argv", "health", "name", "ready", "socket")

    def __init__(self, words: list[str]) -> None:
        """Parse `--socket S --health H [--ready R] --name N -- ARGV…`.

        Raises:
            ValueError: With the sentence to print; nothing else is wrong with the machine.
        """
        if "--" not in words:
            raise ValueError("no engine command after '--'")
        middle = words.index("--")
        options, self.argv = words[:middle], words[middle + 1 :]
        values = dict(zip(options[::2], options[1::2], strict=False))
        self.ready = values.pop("--ready", None)
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

    __slots__ = ("_alive", "_manager", "_order", "_started")

    def __init__(self, order: Order, manager: Manager, engine: int) -> None:
        """Watch the process `engine`; its pidfd becomes readable when it is gone (pidfd_open(2))."""
        self._order = order
        self._manager = manager
        self._started = time.monotonic()
        self._alive = select.poll()
        self._alive.register(os.pidfd_open(engine), select.POLLIN)

    def run(self, watchdog: float | None) -> None:
        """Report readiness, then feed a watchdog of that many seconds; return when the engine is gone."""
        if self._load() and watchdog is not None:
            self._watch(watchdog)

    def _load(self) -> bool:
        """Wait for the first healthy answer. False: the engine ended before."""
        reported = 0.0
        while not (self._healthy(PROBE_SECONDS) and self._works()):
            passed = time.monotonic() - self._started
            if passed - reported >= STATUS_SECONDS:
                reported = passed
                self._manager.tell(f"STATUS=loading {self._order.name}, {passed:.0f} s")
            if self._ended(min(max(passed * PATIENCE, SHORTEST_WAIT), LONGEST_WAIT)):
                return False
        passed = time.monotonic() - self._started
        engine = self._order.argv[0].rpartition("/")[2]
        self._manager.tell("READY=1", "WATCHDOG=1", f"STATUS={self._order.name} ready after {passed:.1f} s ({engine})")
        return True

    def _watch(self, watchdog: float) -> None:
        """Feed the watchdog while health answers. Silence is the message otherwise: systemd ends the unit."""
        silent_since = None
        # Half, as sd_watchdog_enabled(3) advises, then one patient question: an answer that comes late still counts.
        while not self._ended(watchdog * (0.5 if silent_since is None else 0.05)):
            asked = time.monotonic()
            if self._healthy(watchdog * 0.45):
                news = () if silent_since is None else (f"STATUS={self._order.name} ready",)
                self._manager.tell("WATCHDOG=1", *news)
                silent_since = None
            else:
                silent_since = asked if silent_since is None else silent_since
                silence = time.monotonic() - silent_since
                self._manager.tell(f"STATUS={self._order.name} has not answered its health check for {silence:.0f} s")

    def _ended(self, seconds: float) -> bool:
        """Sleep, but no longer than the engine lives; whether it has ended."""
        return bool(self._alive.poll(seconds * 1000))

    def _healthy(self, seconds: float) -> bool:
        """Whether health is good. Refused connections, silence and 503 are a no: loading engines do all of these."""
        return self._ask(self._order.health, seconds).startswith(OK)

    def _works(self) -> bool:
        """Whether the engine answers what its health check does not need, if there is such a question."""
        return self._order.ready is None or bool(self._ask(self._order.ready, PROBE_SECONDS))

    def _ask(self, path: str, seconds: float) -> bytes:
        """The first bytes of an answer; none if there is no answer in time."""
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(seconds)
            connection.connect(self._order.socket)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64)
        except OSError:
            return b""
        finally:
            connection.close()


def leave_sidecar(order: Order, notify: str, watchdog: float | None) -> None:
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
        Sidecar(order, Manager(notify), engine).run(watchdog)
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
    if manager is not None and notify is not None:
        manager.tell(f"STATUS=loading {order.name}")
        leave_sidecar(order, notify, int(microseconds) / 1_000_000 if microseconds else None)
    try:
        os.execvp(order.argv[0], order.argv)  # noqa: S606 — becoming the engine is the purpose; no shell wanted
    except FileNotFoundError:
        return refuse(EXIT_EXEC, f"{order.argv[0]} is not installed: {hint}", manager)
    except OSError as error:
        return refuse(EXIT_EXEC, f"{order.argv[0]} cannot be run: {error.strerror}", manager)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
