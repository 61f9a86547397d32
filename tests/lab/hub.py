"""Stands in for huggingface.co, which tests cannot reach: repositories of models, as `huggingface_hub` asks for them.

It serves what https://huggingface.co/docs/hub/api and the library's own code say of the hub: the list of files with
their sizes and checksums, and the files, small ones from itself and those of Git LFS by a redirect to another host, in
ranges. `tests/pull/test_hub.py` holds it to the library's own downloads. What can go wrong is told to it: `Trouble`.
"""

import contextlib
import hashlib
import http.server
import json
import re
import socket
import struct
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

COMMIT = "5" * 40
TOKEN = "hf_secret"  # noqa: S105 - of repositories that are gated here

LFS = (".gguf", ".safetensors", ".bin")
"""What is kept in Git LFS, as hubs have it by their .gitattributes."""

_BLOCK = 64 << 10
_MODEL = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?")
_TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Trouble:
    """What goes wrong with a file.

    Attributes:
        breaks: How many answers break off.
        reset: Whether they do so by a reset, which costs what was on its way, or by an early end.
        after: Bytes of an answer that come before it breaks, or is held.
        statuses: Answers instead of the file.
        wrong: Whether one of its bytes is not what it should be.
        ranges: Whether it is served in ranges.
        held: Whether answers stand still after `after` bytes until `go` is set.
    """

    breaks: int = 0
    reset: bool = False
    after: int = 0
    statuses: list[int] = field(default_factory=list)
    wrong: bool = False
    ranges: bool = True
    held: bool = False
    go: threading.Event = field(default_factory=threading.Event)
    standing: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    range: str
    token: str
    host: str


@dataclass
class Hub:
    """A hub that runs.

    Attributes:
        url: Its address.
        repositories: Files by repository and name.
        gated: Repositories that want `TOKEN`.
        troubles: By the name of a file; may be changed at any time.
        asked: Requests so far.
        sent: Bytes of files that were sent.
    """

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, repo: str, files: Mapping[str, bytes]) -> None:
        """Have a repository."""
        self.repositories[repo] = dict(files)

    def trouble(self, name: str, trouble: Trouble) -> Trouble:
        """Have something go wrong with a file."""
        self.troubles[name] = trouble
        return trouble

    def ranges(self, name: str) -> list[str]:
        """What was asked of a file, by GET where the bytes are."""
        end = f"/{urllib.parse.quote(name)}"
        return [each.range for each in self.asked if each.method == "GET" and "/resolve/" not in each.path
                and each.path.partition("?")[0].endswith(end)]  # fmt: skip


@contextlib.contextmanager
def serve(port: int = 0) -> Iterator[Hub]:
    """A hub on loopback."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", port), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        for trouble in hub.troubles.values():
            trouble.go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def blob(content: bytes) -> str:
    """Git's name for a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is nothing to be told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Nobody reads it."""

    def _answer(self, *, body: bool) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with self.hub.lock:
            asked = Asked(self.command, self.path, self.headers.get("Range", ""), token, self.headers.get("Host", ""))
            self.hub.asked.append(asked)
        try:
            if found := _MODEL.fullmatch(path):
                self._model(found[1], token)
            elif found := _TREE.fullmatch(path):
                self._tree(found[1], token)
            elif found := _FILE.fullmatch(path):
                self._resolve(found[1], found[3], token, body=body)
            elif path.startswith("/cdn/"):
                _, _, organisation, repo, name = path.split("/", 4)
                self._content(f"{organisation}/{repo}", name, body=body)
            else:
                self._refuse(404, "NotFound", "there is nothing here")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _files(self, repo: str, token: str) -> Mapping[str, bytes] | None:
        files = self.hub.repositories.get(repo)
        if files is None:
            self._refuse(401, "RepoNotFound", "Repository not found")
        elif repo in self.hub.gated and token != TOKEN:
            self._refuse(401 if not token else 403, "GatedRepo", "Access to this model is restricted.")
            return None
        return files

    def _model(self, repo: str, token: str) -> None:
        # A gated repository tells everybody what is in it.
        files = self.hub.repositories.get(repo)
        if files is None:
            self._refuse(401, "RepoNotFound", "Repository not found")
            return
        siblings: list[dict[str, Any]] = []
        for name, content in files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob(content)}
            if name.endswith(LFS):
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        del token
        self._json({"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "siblings": siblings, "tags": []})

    def _tree(self, repo: str, token: str) -> None:
        if (files := self._files(repo, token)) is None:
            return
        entries: list[dict[str, Any]] = []
        for name, content in files.items():
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob(content)}
            if name.endswith(LFS):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
            entries.append(entry)
        self._json(entries)

    def _resolve(self, repo: str, name: str, token: str, *, body: bool) -> None:
        if (files := self._files(repo, token)) is None:
            return
        if name not in files:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        if not name.endswith(LFS):
            self._content(repo, name, body=body)
            return
        content = files[name]
        self.send_response(HTTPStatus.FOUND)
        port = self.hub.url.rpartition(":")[2]
        self.send_header("Location", f"http://localhost:{port}/cdn/{repo}/{urllib.parse.quote(name)}?signature=x")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _content(self, repo: str, name: str, *, body: bool) -> None:
        content = self.hub.repositories[repo][name]
        trouble = self.hub.troubles.get(name, Trouble())
        with self.hub.lock:
            status = trouble.statuses.pop(0) if trouble.statuses and body else 0
            breaks = body and trouble.breaks > 0
            trouble.breaks -= breaks
        if status:
            self._refuse(status, "", "something is wrong here")
            return
        if trouble.wrong:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        asked = _RANGE.fullmatch(self.headers.get("Range", "")) if trouble.ranges else None
        start, end = 0, len(content)
        if asked:
            start, end = int(asked[1]), min(int(asked[2] or end) + bool(asked[2]), end)
            self.send_response(HTTPStatus.PARTIAL_CONTENT)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        else:
            self.send_response(HTTPStatus.OK)
        self.send_header("ETag", f'"{blob(self.hub.repositories[repo][name])}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if body:
            self._send(content[start:end], trouble, breaks=breaks)

    def _send(self, content: bytes, trouble: Trouble, *, breaks: bool) -> None:
        for start in range(0, len(content), _BLOCK):
            block = content[start : start + _BLOCK]
            if start >= trouble.after:
                if breaks:
                    self._break(reset=trouble.reset)
                    return
                if trouble.held and not trouble.go.is_set():
                    self.wfile.flush()
                    trouble.standing.set()
                    trouble.go.wait()
                    self._see_whether_the_client_is_there()
            # Counted before: a client that has it all may be gone before this thread comes to count.
            with self.hub.lock:
                self.hub.sent += len(block)
            try:
                self.wfile.write(block)
            except OSError:
                with self.hub.lock:
                    self.hub.sent -= len(block)
                raise

    def _see_whether_the_client_is_there(self) -> None:
        """What is sent to one that has gone meanwhile fails only at the second block, and the first would be counted.

        Raises:
            ConnectionResetError: It has gone.
        """
        try:
            gone = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            gone = False  # it is there, and waits
        if gone:
            raise ConnectionResetError

    def _break(self, *, reset: bool) -> None:
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
