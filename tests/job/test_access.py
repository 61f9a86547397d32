"""Who may do what: the router's user over D-Bus, other users at the engines' sockets."""

import pytest

from tests.job.house import chat, run, show


def as_user(user: str, *command: str) -> str:
    return run("setpriv", f"--reuid={user}", f"--regid={user if user == 'swapper' else 'nogroup'}", "--clear-groups",
               *command, check=False)  # fmt: skip


def test_the_router_starts_and_stops_engines() -> None:
    as_user("swapper", "systemctl", "--no-ask-password", "start", "llama@alpha.service")
    assert show("llama@alpha", "ActiveState") == "active"
    as_user("swapper", "systemctl", "--no-ask-password", "stop", "llama@alpha.service")
    assert show("llama@alpha", "ActiveState") == "inactive"


@pytest.mark.parametrize(
    "command",
    [
        ("start", "systemd-tmpfiles-clean.service"),
        ("stop", "dbus.socket"),
        ("restart", "systemd-journald.service"),
        ("daemon-reload",),
        ("mask", "--runtime", "llama@beta.service"),
        ("set-property", "llama@alpha.service", "MemoryMax=1G"),
        ("kill", "llama@alpha.service"),
        ("reload", "swapper.service"),
        ("poweroff",),
    ],
)
def test_the_router_may_do_nothing_else(command: tuple[str, ...]) -> None:
    chat("alpha")
    out = as_user("swapper", "systemctl", "--no-ask-password", *command)
    assert "denied" in out.lower() or "authentication" in out.lower(), out


def test_another_user_may_not_start_an_engine() -> None:
    out = as_user("nobody", "systemctl", "--no-ask-password", "start", "llama@alpha.service")
    assert "authentication" in out.lower() or "denied" in out.lower(), out
    assert show("llama@alpha", "ActiveState") == "inactive"


def test_no_other_user_reaches_an_engines_socket() -> None:
    chat("alpha")
    socket = "/run/swapper/llama@alpha/http.sock"
    request = ("curl", "--silent", "--show-error", "--max-time", "60", "--unix-socket", socket, "http://x/health")
    assert "ok" in as_user("swapper", *request)
    out = as_user("nobody", *request)
    assert "Couldn't connect" in out or "Could not connect" in out or "ailed to connect" in out, out


def test_an_engine_has_no_network() -> None:
    chat("alpha")
    interfaces = run("nsenter", "--target", show("llama@alpha", "MainPID"), "--net", "ip", "-oneline", "link")
    assert [line.split(": ")[1] for line in interfaces.splitlines()] == ["lo"]
