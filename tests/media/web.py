"""A web server of the tests' own, on every address of the machine, that knows who connected."""

import contextlib
import secrets
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, socket
from typing import Any, Self

from tests.job.house import PATIENCE, run
from tests.lab import media

type Page = Callable[[BaseHTTPRequestHandler], None]

PUBLIC = "11.22.33.44"
"""An address of the public internet, which in the machine is the machine's own: nothing leaves it."""
PUBLIC_6 = "2a01:4f8::77"
PRIVATE = ("10.20.30.40", "172.16.5.5", "192.168.77.7", "100.64.1.1", "169.254.169.254")
PRIVATE_6 = ("fd00:77::1", "fe80::77")
HOSTS = Path("/etc/hosts")


def file(kind: str, content: bytes, **headers: str) -> Page:
    """A file with its length."""

    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if kind:
            request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return page


def status(code: int, **headers: str) -> Page:
    """An answer with nothing in it."""

    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return page


def endless(request: BaseHTTPRequestHandler) -> None:
    """A picture that goes on until whoever reads it has had enough."""
    request.send_response(200)
    request.send_header("Content-Type", "image/png")
    request.send_header("Connection", "close")
    request.end_headers()
    with contextlib.suppress(OSError):
        while True:
            request.wfile.write(bytes(4096))


@dataclass
class Gate:
    """A picture of which nothing comes before it is opened."""

    content: bytes = media.png()
    asked: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        """Wait to be opened, or for the client to leave."""
        request.send_response(200)
        request.send_header("Content-Type", "image/png")
        request.send_header("Content-Length", str(len(self.content)))
        request.end_headers()
        self.asked.set()
        watching = threading.Thread(target=self._watch, args=(request.connection,))
        watching.start()
        self.opened.wait(PATIENCE)
        with contextlib.suppress(OSError):
            request.wfile.write(self.content)
        watching.join(PATIENCE)

    def _watch(self, connection: socket) -> None:
        with contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            connection.recv(1)
        self.left.set()
        self.opened.set()


class _Server(ThreadingHTTPServer):
    address_family = AF_INET6
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, web: "Web", port: int) -> None:
        self.web = web
        super().__init__(("::", port), _Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[Any, Any]:
        connection, peer = super().get_request()
        self.web.connections.append(connection.getsockname()[0].removeprefix("::ffff:"))
        return connection, peer

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """A client that leaves is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        web = self.server.web
        web.asked.append(self.path)
        web.headers.append(dict(self.headers))
        web.pages.get(self.path.partition("?")[0], status(404))(self)

    def log_message(self, *_: object) -> None:
        """The tests know."""


@dataclass
class Web:
    """The server.

    Attributes:
        pages: What it answers, by path; all else is not found.
        connections: The addresses at which it was reached, one for each connection.
        asked: The paths that were asked for.
        headers: What came with them.
    """

    pages: dict[str, Page]
    connections: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    port: int = 0
    _server: _Server | None = None

    @contextlib.contextmanager
    def serving(self, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Self]:
        """Serve on all addresses, IPv4 and IPv6, at this port or any."""
        with _Server(self, port) as server:
            if tls is not None:
                server.socket = tls.wrap_socket(server.socket, server_side=True)
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def reached_at(self) -> list[str]:
        """The addresses of all connections so far, each of which has been accepted when this returns."""
        # Connections are accepted in their order: behind one of our own there is none that is older.
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/last")
            connection.getresponse().read()
        self.headers.pop(self.asked.index("/last"))
        self.asked.remove("/last")
        return self.connections[: -1 - self.connections[::-1].index("127.0.0.1")]

    def forget(self) -> None:
        """What came so far does not count."""
        for seen in (self.connections, self.asked, self.headers):
            seen.clear()


@contextlib.contextmanager
def addresses() -> Iterator[None]:
    """Public and private addresses at which the machine reaches itself."""
    given = [f"{address}/{128 if ':' in address else 32}" for address in (PUBLIC, PUBLIC_6, *PRIVATE, *PRIVATE_6)]
    for address in given:
        run("ip", "address", "add", address, "dev", "lo", *(["scope", "link"] if address.startswith("fe80") else []))
    try:
        yield
    finally:
        for address in given:
            run("ip", "address", "delete", address, "dev", "lo")


@contextlib.contextmanager
def names(**hosts: str) -> Iterator[None]:
    """Names of hosts, which stand for addresses (several are separated by spaces); `_` in them is a dot."""
    before = HOSTS.read_text()
    lines = [f"{address} {name.replace('_', '.')}" for name, found in hosts.items() for address in found.split()]
    HOSTS.write_text("\n".join([before, *lines, ""]))
    try:
        yield
    finally:
        HOSTS.write_text(before)


@contextlib.contextmanager
def certificate(folder: Path, host: str, *, trusted: bool = True) -> Iterator[ssl.SSLContext]:
    """A certificate for a host, which this machine trusts meanwhile, or not."""
    key, found = folder / "key.pem", folder / "certificate.pem"
    # OpenSSL remembers anchors by their subjects, so each has one of its own.
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", f"/CN={secrets.token_hex(16)}", "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
        "-addext", f"subjectAltName=DNS:{host}", "-keyout", str(key), "-out", str(found))  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found, key)
    # Where OpenSSL looks by itself, by the subject's hash: what update-ca-certificates would do.
    anchor = Path("/etc/ssl/certs", run("openssl", "x509", "-hash", "-noout", "-in", str(found)).strip() + ".0")
    if trusted:
        shutil.copyfile(found, anchor)
    try:
        yield context
    finally:
        anchor.unlink(missing_ok=True)
