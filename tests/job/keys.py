"""API keys as an administrator makes them, and clients that show them."""

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.job.house import PATIENCE, Answer, run, show

PLAIN = Path("/etc/credstore/swapper.keys")
ENCRYPTED = Path("/etc/credstore.encrypted/swapper.keys")
DROPIN = Path("/etc/systemd/system/swapper.service.d/keys.conf")
SOCKET_DROPIN = Path("/etc/systemd/system/swapper.socket.d/wide.conf")
ALICE, ROOT = "alice-a1b2c3d4e5f60718", "root-f0e1d2c3b4a59687"
KEYS = f"# who may\nalice inference {ALICE}\nroot admin {ROOT}\n"


def bearer(key: str) -> dict[str, str]:
    """The usual way to show a key."""
    return {"Authorization": f"Bearer {key}"}


def knock(
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    *,
    address: str = "127.0.0.1",
    host: str | None = None,
) -> Answer:
    """One request, with the headers given and no others; of a stream without end, the first bytes."""
    data = None if body is None else json.dumps(body).encode()
    with contextlib.closing(http.client.HTTPConnection(address, 8000, timeout=PATIENCE)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host if host is not None else f"{address}:8000")
        if data is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders(data)
        with contextlib.closing(connection.getresponse()) as response:
            # What has a length may come in pieces all the same.
            content = response.read1() if response.length is None else response.read()
            return Answer(response.status, dict(response.getheaders()), content)


def result(answer: Answer) -> str | int:
    """The code of an error, or the status."""
    if answer.status < 400 or not answer.headers.get("Content-Type", "").startswith("application/json"):
        return answer.status
    code: str | int = answer.error.get("code") or answer.status
    return code


def encrypt(text: str, path: Path = ENCRYPTED) -> None:
    """Put a file of keys where only this machine can read it."""
    run("systemd-creds", "encrypt", "--name=swapper.keys", "-", str(path), text=text)


def drop_in(path: Path, text: str) -> None:
    """As `systemctl edit` does."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    run("systemctl", "daemon-reload")


def restart() -> None:
    """As one does after a change of keys."""
    run("systemctl", "restart", "swapper")


def no_keys() -> None:
    """Away with all of it."""
    for path in (PLAIN, ENCRYPTED, PLAIN.with_suffix(".keys.team")):
        path.unlink(missing_ok=True)
    changed = [path for path in (DROPIN, SOCKET_DROPIN) if path.exists()]
    for path in changed:
        path.unlink()
    if changed:
        run("systemctl", "daemon-reload")


def memory(unit: str) -> Iterator[bytes]:
    """What the processes of a unit have in their memory, region by region."""
    group = Path("/sys/fs/cgroup" + show(unit, "ControlGroup"))
    for pid in (group / "cgroup.procs").read_text().split():
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as inside:
            for line in maps:
                span, access, *_ = line.split()
                start, end = (int(number, 16) for number in span.split("-"))
                if access.startswith("rw"):
                    with contextlib.suppress(OSError):  # not all of it can be read
                        inside.seek(start)
                        yield inside.read(end - start)
