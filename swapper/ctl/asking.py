"""Asking the router over its HTTP API, as any client may. For commands: quick to import, and one question at a time.

Failures are a `Failure`, which says what happened and what to do about it, and has the exit status that goes with it.
"""

import contextlib
import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from swapper.ctl import FAILED, UNREACHABLE, WRONG, Failure, once

URL = "http://127.0.0.1:8000"

KEYS, ENCRYPTED = Path("/etc/credstore/swapper.keys"), Path("/etc/credstore.encrypted/swapper.keys")
"""Where an administrator keeps keys: root needs no other to look after the router."""

_OK, _CLOSED = 200, {401, 403}
_CONNECT = 10.0
"""Seconds for a connection. An answer may take longer, as loading a model does."""


class Event(NamedTuple):
    """One event of a stream: its name, empty where that is not said, and its data. A comment has the name `:`."""

    name: str
    data: str


class Host:
    """The router at an address."""

    def __init__(self, url: str | None = None, key: str | None = None) -> None:
        """Know where to ask.

        Args:
            url: Such as `http://127.0.0.1:8000`; None for `SWAPPER_URL`, or this machine.
            key: An API key; None for `SWAPPER_API_KEY`, or one that root finds where the router's keys are.

        Raises:
            Failure: That is no address.
        """
        self.url = (url or os.environ.get("SWAPPER_URL") or URL).rstrip("/")
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not _numbered(parts):
            raise Failure(f"{self.url} is no address", "http://127.0.0.1:8000 is one", WRONG)
        self._parts = parts
        self._key = key or os.environ.get("SWAPPER_API_KEY") or _admin()

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """What is at a path.

        Raises:
            Failure: There is no answer, or it is an error.
        """
        return self._whole("GET", path)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Have something done; waits for as long as that takes.

        Raises:
            Failure: Likewise.
        """
        return self._whole("POST", path, body)

    @contextlib.contextmanager
    def events(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Iterator[Iterator[Event]]:
        """A stream of server-sent events (HTML Standard, 9.2), comments included.

        Raises:
            Failure: Likewise; also in the middle of the stream.
        """
        with self._asked(method, path, body) as answer:
            yield _events(self._read(answer))

    @contextlib.contextmanager
    def lines(self, path: str) -> Iterator[Iterator[str]]:
        """Lines of text, as they come.

        Raises:
            Failure: Likewise.
        """
        with self._asked("GET", path) as answer:
            yield (line.rstrip("\n") for line in self._read(answer))

    def model(self, name: str, what: str = "") -> str:
        """The path of a model, or of something below it, in the API."""
        return f"/api/models/{urllib.parse.quote(name, safe='')}{what}"

    def _whole(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
        headers, sent = self._request(body)
        try:
            answer = once.ask(self._parts, method, f"{self._parts.path}{path}", headers, sent, _CONNECT)
        except OSError as error:
            raise self._away(error) from error
        if answer.status != _OK:
            raise _refused(answer.body.decode(errors="replace"), answer.status)
        try:
            return json.loads(answer.body)
        except ValueError as error:
            raise Failure(f"{self.url} answers what is no JSON", "is that swapper?") from error

    def _request(self, body: Mapping[str, object] | None) -> tuple[dict[str, str], bytes | None]:
        """Fields and content."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        if body is None:
            return headers, None
        return {**headers, "Content-Type": "application/json"}, json.dumps(body).encode()

    @contextlib.contextmanager
    def _asked(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Iterator[IO[bytes]]:
        """A stream. One that breaks off is known by its last chunk, which does not come: HTTP/1.1."""
        import http.client  # noqa: PLC0415 - see once.py

        headers, sent = self._request(body)
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        with contextlib.closing(kind(self._parts.netloc.rpartition("@")[2], timeout=_CONNECT)) as connection:
            try:
                connection.connect()
                connection.sock.settimeout(None)
                connection.request(method, f"{self._parts.path}{path}", sent, headers)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._away(error) from error
            if answer.status != _OK:
                raise _refused("".join(self._read(answer)), answer.status)
            yield answer

    def _read(self, answer: IO[bytes]) -> Iterator[str]:
        """Lines of an answer. What goes wrong with who takes them is none of this."""
        import http.client  # noqa: PLC0415 - see once.py

        try:
            for line in answer:
                yield line.decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> Failure:
        hint = "systemctl status swapper.socket swapper.service" if self.url == URL else "is that the address?"
        return Failure(f"the router at {self.url} cannot be asked: {error}", hint, UNREACHABLE)


def _events(lines: Iterator[str]) -> Iterator[Event]:
    name, data = "", list[str]()
    for raw in lines:
        line = raw.rstrip("\r\n")
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "", []
        elif line.startswith(":"):
            yield Event(":", line[1:].strip())
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


def _refused(body: str, status: int) -> Failure:
    """An answer that is an error, in OpenAI's envelope or another's."""
    try:
        found = json.loads(body)
        error = found.get("error", found) if isinstance(found, dict) else {}
        if isinstance(error, str):
            error = {"message": error}
    except ValueError:
        error = {"message": body.strip()[:500]}
    message = str(error.get("message") or f"status {status}")
    code = error.get("code")
    text = f"{message} [{code}]" if isinstance(code, str) else message
    hint = str(error.get("hint") or "")
    if status in _CLOSED:
        hint = hint or "set SWAPPER_API_KEY"
    return Failure(text, hint, FAILED, tuple(map(str, error.get("journal") or ())))


def _numbered(parts: urllib.parse.SplitResult) -> bool:
    """Whether its port, if it has one, is a number that ports have."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _admin() -> str:
    """The first admin key that stands in the files of keys, where they may be read and have one that is no digest."""
    for read in (KEYS.read_text, _decrypted):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in read().splitlines():
                words = line.split()
                if len(words) == 3 and words[1] == "admin" and not words[2].startswith("sha256:"):
                    return words[2]
    return ""


def _decrypted() -> str:
    """The keys that are encrypted at rest, for root (systemd-creds(1))."""
    if os.geteuid() != 0 or not ENCRYPTED.exists():
        return ""
    import subprocess  # noqa: PLC0415 - for the few who encrypt; costs every start otherwise

    words = ["systemd-creds", "decrypt", f"--name={KEYS.name}", str(ENCRYPTED), "-"]
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout
