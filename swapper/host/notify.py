"""What the service tells systemd of itself: sd_notify(3), by way of sdnotify. Silent where systemd does not ask."""

import os
import time
from typing import Final

import sdnotify

# Where nobody listens, sdnotify opens a socket and forgets to close it: so it is asked only where somebody does.
_notifier: Final = sdnotify.SystemdNotifier() if "NOTIFY_SOCKET" in os.environ else None
if _notifier is not None and _notifier.socket is not None:
    _notifier.socket.setblocking(False)  # when systemd is not listening, the next message has to do


def ready(status: str = "") -> None:
    """The service is ready, after its start or a reload."""
    _tell("READY=1", *_status(status))


def reloading() -> None:
    """It reads its configuration anew; `ready()` has to follow (`Type=notify-reload`)."""
    _tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping(status: str = "") -> None:
    """It is about to end."""
    _tell("STOPPING=1", *_status(status))


def status(text: str) -> None:
    """What `systemctl status` shows."""
    _tell(*_status(text))


def watchdog() -> None:
    """It is alive."""
    _tell("WATCHDOG=1")


def watchdog_interval() -> float | None:
    """Seconds between signs of life: half of what systemd allows. None when it wants none."""
    allowed, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(allowed) / 2e6 if allowed.isdecimal() and process == str(os.getpid()) else None


def _status(text: str) -> tuple[str, ...]:
    return ("STATUS=" + " ".join(text.split()),) if text else ()


def _tell(*lines: str) -> None:
    if _notifier is None:
        return
    message = "\n".join(lines).encode(errors="replace")
    _notifier.notify(message.decode("latin-1"))  # sdnotify encodes so, and drops what it cannot
