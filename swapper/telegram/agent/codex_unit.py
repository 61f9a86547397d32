"""`python3 -m swapper.telegram.agent.codex_unit`: runs in swapper-codex@.service, for each connection of the bot's.

Its first line is an order: for which chat, and what of its things. To answer there it becomes Codex's app server, which
speaks with the bot by the same connection from then on. Before that it takes from itself what belongs to other chats:
also what a person allows Codex outside of its own sandbox must not read them. So it goes into a user and a mount
namespace of its own, mounts this chat's directory at one place and nothing over all of them (user_namespaces(7),
mount_namespaces(7): who has no capability out there cannot take that off again).

What Codex is told stands in the configuration, and not in the order: the bot cannot have it run anything else.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from swapper.telegram.settings import Settings, load

CHATS, CHAT = "chats", "chat"
"""In the state directory: each chat's own, and where one process sees its chat's."""

HOME, WORK, LOCK = "home", "work", "lock"
"""In a chat's directory: Codex's own things, which are in memory and end with it; the chat's files; what holds it."""

MCP = "http://127.0.0.1:4000/mcp"
LONGEST_ORDER = 4096
MISSING = "missing"
"""The refusal of who finds no Codex."""

INSTALL = "npm install --global @openai/codex"
"""What is to be typed, by root."""

KEY = "SWAPPER_KEY"
"""The variable that hands the router's key to Codex; it holds for the tools too."""

_NAME = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_REC, _BIND, _SLAVE, _READ_ONLY, _NOSUID, _NODEV = 0x4000, 0x1000, 0x80000, 0x1, 0x2, 0x4  # sys/mount.h


@dataclass(frozen=True, slots=True)
class Order:
    """What the bot wants.

    Attributes:
        chat: For which chat.
        key: The router's API key; empty for none.
        context: Tokens that the model sees; 0: not known.
        forget: Only to delete all that there is of the chat.
    """

    chat: str
    key: str = ""
    context: int = 0
    forget: bool = False

    @classmethod
    def read(cls, line: bytes) -> "Order":
        """Of a line.

        Raises:
            ValueError: It is none.
        """
        fields = json.loads(line)
        if not isinstance(fields, dict) or not _NAME.fullmatch(str(fields.get("chat"))):
            raise ValueError("an order names a chat")
        key, context = str(fields.get("key") or ""), int(fields.get("context") or 0)
        return cls(str(fields["chat"]), key, context, bool(fields.get("forget")))

    @property
    def line(self) -> bytes:
        """As it is sent."""
        fields = {"chat": self.chat, "key": self.key, "context": self.context, "forget": self.forget}
        return json.dumps(fields).encode() + b"\n"


def main() -> int:
    """Carry out an order; the exit status. Does not return where it becomes Codex."""
    try:
        order = Order.read(_line())
    except ValueError as error:
        print(f"there was no order: {error}", file=sys.stderr)
        return 1
    state = Path(os.environ["STATE_DIRECTORY"])
    folder = state / CHATS / order.chat
    holding = hold(folder)
    if order.forget:
        shutil.rmtree(folder)
        _say({"forgotten": True})
        return 0
    settings = load()
    program = shutil.which(settings.codex.program)
    if program is not None:
        become(program, settings, order, holding)
    _say({"refused": MISSING})
    return 0


def become(program: str, settings: Settings, order: Order, holding: int) -> Never:
    """Be Codex, for one chat."""
    state = Path(os.environ["STATE_DIRECTORY"])
    folder, seen = state / CHATS / order.chat, state / CHAT
    for name in (HOME, WORK):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    seen.mkdir(mode=0o700, exist_ok=True)
    alone(folder, seen, state / CHATS)
    os.chdir(seen / WORK)
    os.set_inheritable(holding, True)
    _say({"folder": str(seen / WORK)})
    options = [word for setting in told(settings, order, seen) for word in ("-c", setting)]
    os.execve(program, [program, "app-server", *options], environment(seen / HOME, order))  # noqa: S606


def hold(folder: Path) -> int:
    """Make a chat's directory, and wait until nothing else works in it; what holds it, as long as it is open.

    That is a file, since whatever has the directory open can go up from it to all the others, wherever it is mounted.
    """
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = folder / LOCK
        with contextlib.suppress(FileNotFoundError):  # somebody has it deleted right now
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
            os.close(descriptor)


def alone(folder: Path, seen: Path, all_of_them: Path) -> None:
    """See one chat's directory at `seen`, and none of the others any more.

    Nothing of what Codex notes for itself, such as a log with parts of the conversation, is left on disk.
    """
    user, group = os.getuid(), os.getgid()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount(None, Path("/"), None, _REC | _SLAVE)
    _mount(folder, seen, None, _BIND)
    _mount("none", seen / HOME, "tmpfs", _NOSUID | _NODEV, "mode=0700,size=1g")
    _mount("none", all_of_them, "tmpfs", _READ_ONLY | _NOSUID | _NODEV, "mode=0500,size=4k")


def told(settings: Settings, order: Order, seen: Path) -> Sequence[str]:
    """Codex's configuration, as `-c` takes it (developers.openai.com/codex: "Configuration Reference")."""
    provider = {"name": "Swapper", "base_url": f"{settings.router}/v1", "wire_api": "responses"}
    tools: dict[str, str | int] = {"url": MCP, "tool_timeout_sec": 900}
    if order.key:
        provider["env_key"] = tools["bearer_token_env_var"] = KEY
    found = {
        "model_provider": "swapper",
        "web_search": "disabled",
        "analytics.enabled": False,
        "check_for_update_on_startup": False,
        # Commands write in the chat's directory and in /tmp, and have no network.
        "sandbox_mode": "workspace-write",
        "sandbox_workspace_write.network_access": False,
        "shell_environment_policy.inherit": "core",
        "shell_environment_policy.exclude": ["SWAPPER_*"],
        "shell_environment_policy.set": {"HOME": str(seen / WORK)},
        **{f"model_providers.swapper.{name}": value for name, value in provider.items()},
        **{f"mcp_servers.swapper.{name}": value for name, value in tools.items()},
        # The only one that reaches out to the internet, to which a page's address could carry the chat's files.
        "mcp_servers.swapper.tools.fetch_page.approval_mode": "prompt",
        **({"model_context_window": order.context} if order.context else {}),
    }
    return [f"{name}={_toml(value)}" for name, value in found.items()]


def environment(home: Path, order: Order) -> Mapping[str, str]:
    """All of Codex's: nothing of the bot's, and of this unit's only where programs are."""
    keys = {KEY: order.key} if order.key else {}
    path = os.environ.get("PATH", os.defpath)
    return {"HOME": str(home), "CODEX_HOME": str(home), "PATH": path, "LANG": "C.UTF-8", **keys}


def _toml(value: object) -> str:
    """JSON's texts, numbers and lists are TOML's too; tables are not."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _mount(what: Path | str | None, where: Path, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    arguments = [None if one is None else os.fsencode(one) for one in (what, where, kind)]
    if ctypes.CDLL(None, use_errno=True).mount(*arguments, ctypes.c_ulong(flags), data.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(where))


def _line() -> bytes:
    """The first line of what comes in, and not a byte more: the rest is Codex's."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte or len(line) >= LONGEST_ORDER:
            raise ValueError(f"{len(line)} bytes, and no line")
        line += byte
    return line


def _say(fields: Mapping[str, object]) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
