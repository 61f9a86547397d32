"""systemd, the port, polkit and the clock."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from swapper.config import Config
from swapper.ctl.doctor.finding import Finding, Grade, said, shown

SOCKET, ROUTER = "swapper.socket", "swapper.service"
PORT = 8000
LISTENS = "0A"
"""TCP_LISTEN, as /proc/net/tcp has it (proc_net_tcp.txt in the kernel's documentation)."""


def units(_: Config) -> Iterator[Finding]:
    """Whether the socket listens, and the router has not failed."""
    found = shown(SOCKET, "LoadState", "ActiveState", "UnitFileState", "Result")
    if found.get("LoadState") == "masked":
        yield Finding(Grade.WRONG, f"{SOCKET} is masked: nobody can ask", f"systemctl unmask {SOCKET}")
    elif found.get("ActiveState") != "active":
        why = f" ({found['Result']})" if found.get("Result") not in {None, "", "success"} else ""
        yield Finding(Grade.WRONG, f"{SOCKET} does not listen{why}: nobody can ask", f"systemctl start {SOCKET}")
    else:
        yield Finding(Grade.GOOD, f"{SOCKET} listens")
    if found.get("UnitFileState") == "disabled":
        yield Finding(Grade.NOTE, f"{SOCKET} is not started at boot", f"systemctl enable {SOCKET}")
    router = shown(ROUTER, "ActiveState", "Result")
    if router.get("ActiveState") == "failed":
        yield Finding(Grade.WRONG, f"the router has failed ({router.get('Result')})", f"journalctl -u {ROUTER} -n 50")


def port(_: Config) -> Iterator[Finding]:
    """Whether somebody else has the port, where the socket does not listen."""
    if shown(SOCKET, "ActiveState").get("ActiveState") == "active":
        return
    for inode in _listening(PORT):
        process = _holder(inode)
        who = f"process {process} ({_name(process)})" if process else "a process that is not to be seen"
        yield Finding(Grade.WRONG, f"port {PORT} is taken by {who}",
                      f"end it; or another port: systemctl edit {SOCKET}")  # fmt: skip


def polkit(_: Config) -> Iterator[Finding]:
    """Whether the router may start and stop models. Polkit itself is asked, where the router runs."""
    process = shown(ROUTER, "MainPID").get("MainPID", "0")
    if os.geteuid() != 0 or process == "0":
        rule = Path("/usr/share/polkit-1/rules.d/50-swapper.rules")
        if not rule.exists():
            yield Finding(Grade.WRONG, f"{rule} is not there: the router may start nothing",
                          "apt install --reinstall swapper")  # fmt: skip
        else:
            yield Finding(Grade.UNSEEN, "whether polkit lets the router start models: for root, while the router runs")
        return
    answer = said("pkcheck", "--action-id", "org.freedesktop.systemd1.manage-units", "--process", process,
                  "--detail", "unit", "llama@doctor.service", "--detail", "verb", "start")  # fmt: skip
    if answer.status == 127:
        yield Finding(Grade.UNSEEN, "whether polkit lets the router start models: there is no pkcheck here")
    elif answer.status:
        yield Finding(Grade.WRONG, "polkit does not let the router start models",
                      "systemctl status polkit; ls /etc/polkit-1/rules.d (a rule there may come first)")  # fmt: skip
    else:
        yield Finding(Grade.GOOD, "polkit lets the router start models")


def clock(_: Config) -> Iterator[Finding]:
    """Whether something sets the clock: certificates and Telegram want it right."""
    found = said("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if found.status == 0 and found.text == "no":
        yield Finding(Grade.NOTE, "nothing says that the clock is right", "timedatectl set-ntp true")


def _listening(port: int) -> Iterator[str]:
    """Inodes of sockets that listen on a port."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _holder(inode: str) -> str:
    """The process that has a socket open; empty where it may not be seen."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(f"socket:[{inode}]" == os.readlink(file) for file in (process / "fd").iterdir()):  # noqa: PTH115
                return process.name
    return ""


def _name(process: str) -> str:
    with contextlib.suppress(OSError):
        return re.sub(r"\s+", " ", Path(f"/proc/{process}/comm").read_text()).strip()
    return "?"
