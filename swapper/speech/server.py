"""The engine's HTTP, over a unix socket: a thread for each connection, and a room for those that speak.

Rules of this file:
  * The head of an answer is sent with its first sound: what fails before that has a status that says so.
  * A stream that fails in the middle is not ended, but cut: nobody takes half a sentence for a whole one.
"""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from types import TracebackType

from swapper.speech.refusal import Refusal
from swapper.speech.sound import ClientGone, Speaking
from swapper.speech.voices import Voices
from swapper.speech.wish import Wish, read_wish

LARGEST_BODY = 256 * 1024
"""Bytes of a request: 4096 characters are at most 48 KiB of JSON, and `instructions` may be long."""

MOST_DIGITS = 15
"""Of a length; Python refuses to read very long numbers."""


class Room:
    """So many may speak at once; others wait outside."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.busy = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.busy < self.slots)
            self.busy += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self.busy -= 1
            self._changed.notify()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The socket, and what all connections share."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, path: str, *, name: str, espeak: str, voices: Voices, slots: int) -> None:
        """Listen; `name` is the model's."""
        self.name = name
        self.espeak = espeak
        self.voices = voices
        self.room = Room(slots)
        super().__init__(path, Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body of a short answer leave together: who reads only the first line may be gone then
    server: Server
    connection: socket.socket

    def handle(self) -> None:
        """All of its requests, until either side has enough."""
        with contextlib.suppress(ClientGone, ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """What only looks."""
        look = _LOOKS.get(self.path.partition("?")[0])
        if look is None:
            self._refuse(self._unknown())
        else:
            self._answer(200, json.dumps(look(self.server)).encode())

    def do_POST(self) -> None:
        """What speaks."""
        try:
            body = self._body()
            if self.path.partition("?")[0] != "/v1/audio/speech":
                raise self._unknown()
            self._speak(read_wish(body, self.server.voices))
        except Refusal as refusal:
            self._refuse(refusal)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the parser has to say, as JSON like everything else."""
        del explain
        self.close_connection = True
        self.request_version = self.protocol_version  # no request is one of 0.9, answered without a head
        kind = "method_not_allowed" if code == 501 else "invalid_request"
        self._refuse(Refusal(kind, f"This is no request that is understood here: {message or code}."))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name in the standard library
        """Nothing: the router records requests."""

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal() or len(length) > MOST_DIGITS:
            self.close_connection = True
            raise Refusal("length_required", "A request needs a Content-Length here.")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            raise Refusal("body_too_large", f"A request may have {LARGEST_BODY} bytes here.")
        return self.rfile.read(int(length))

    def _speak(self, wish: Wish) -> None:
        with self.server.room, Speaking(self.server.espeak, wish) as speaking:
            blocks = speaking.blocks(self.connection.fileno())
            first = next(blocks, b"")
            self.send_response(200)
            self.send_header("Content-Type", wish.format.media_type)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._stream(first, blocks)

    def _stream(self, block: bytes, more: Iterator[bytes]) -> None:
        try:
            while block:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
                self.wfile.flush()
                block = next(more, b"")
        except Refusal as refusal:
            self.close_connection = True
            self.log_failure(refusal)
            return
        self.wfile.write(b"0\r\n\r\n")

    def log_failure(self, refusal: Refusal) -> None:
        """Tell the journal of what the client can only see as a stream that is cut."""
        print(f"<4>{refusal.message}", flush=True)

    def _unknown(self) -> Refusal:
        paths = ", ".join(("POST /v1/audio/speech", *(f"GET {path}" for path in _LOOKS)))
        return Refusal("not_found", f"There is no {self.path[:200]!r} here.", f"There are: {paths}.")

    def _refuse(self, refusal: Refusal) -> None:
        self._answer(refusal.status, refusal.body)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _health(server: Server) -> object:
    del server
    return {"status": "ok"}


def _models(server: Server) -> object:
    return {"object": "list", "data": [{"id": server.name, "object": "model", "created": 0, "owned_by": "espeak-ng"}]}


def _voices(server: Server) -> object:
    voices = server.voices
    return {"voices": voices.named, "languages": sorted(voices.languages), "variants": sorted(voices.variants)}


def _slots(server: Server) -> object:
    """In llama-server's words, which the launcher's sidecar knows."""
    room = server.room
    return [{"id": number, "is_processing": number < room.busy} for number in range(room.slots)]


_LOOKS: dict[str, Callable[[Server], object]] = {
    "/health": _health,
    "/v1/models": _models,
    "/v1/audio/voices": _voices,
    "/slots": _slots,
}
