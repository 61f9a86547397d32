"""A request's body on its way in: counted or in chunks, kept, and read for the model's name."""

from collections.abc import Callable
from typing import Protocol

from swapper.router.errors import ApiError
from swapper.router.wire.body import Spool, Store
from swapper.router.wire.chunks import Chunks
from swapper.router.wire.found import Found
from swapper.router.wire.http1 import ProtocolError, RequestHead
from swapper.router.wire.scan import JsonScanner, inspect


class Scanner(Protocol):
    """Reads a body as it comes in."""

    def feed(self, data: bytes) -> None:
        """The next piece. Raises ApiError."""

    def finish(self) -> Found:
        """The end. Raises ApiError."""


def refusal(exc: ProtocolError) -> ApiError:
    """The answer for a client that does not speak HTTP/1.1 as it should."""
    return ApiError(exc.code, exc.message, "Send HTTP/1.1 as RFC 9112 has it.")


def is_form(content_type: bytes) -> bool:
    """Whether a Content-Type announces a multipart form."""
    return content_type[:19].lower() == b"multipart/form-data"


def _form_scanner(content_type: bytes) -> Scanner:
    from swapper.router.wire.form import FormScanner  # noqa: PLC0415 - its parser costs every start otherwise

    return FormScanner(content_type)


def find_model(head: RequestHead, data: bytes, *, form: bool) -> Found:
    """What a body in memory says.

    Raises:
        ApiError: 400.
    """
    if not form:
        return inspect(data)
    scanner = _form_scanner(head.content_type)
    if data:
        scanner.feed(data)
    return scanner.finish()


class Intake:
    """Takes the bytes of one body.

    Attributes:
        store: Where they are kept.
        ended: All have come.
    """

    __slots__ = ("_chunks", "_form", "_head", "_left", "_max_body", "_scanner", "_spool", "ended", "store")

    def __init__(
        self, head: RequestHead, spool: Spool, max_body: int, notify: Callable[[], None], *, form: bool
    ) -> None:
        """Expect a body.

        Args:
            head: What says how it is framed.
            spool: Keeps it if it is large.
            max_body: Most bytes it may have.
            notify: Called when some of it has been written to disk, and when that failed.
            form: It is a multipart form, else JSON.

        Raises:
            ApiError: 413: it is announced to be too large.
        """
        self._head = head
        self._spool = spool
        self._max_body = max_body
        self._form = form
        self._left = head.length or 0
        if self._left > max_body:
            raise self._too_large()
        self._chunks = Chunks() if head.chunked else None
        self._scanner: Scanner | None = None
        self.store = Store(spool, notify)
        self.ended = False

    def _too_large(self) -> ApiError:
        return ApiError("body_too_large", f"The request body is larger than {self._max_body} bytes.",
                        "Send less, or raise `router.max_body`.")  # fmt: skip

    def feed(self, data: bytes) -> int:
        """Take the next bytes; returns how many of them belong to this body.

        Raises:
            ApiError: 400, 413, 500 or 507; it must be closed then.
        """
        if self._chunks is None:
            used = min(self._left, len(data))
            payload = data if used == len(data) else data[:used]
            self._left -= used
            self.ended = self._left == 0
        else:
            sink: list[bytes] = []
            try:
                used = self._chunks.feed(data, sink)
            except ProtocolError as exc:
                raise refusal(exc) from exc
            payload = b"".join(sink)
            self.ended = self._chunks.done
        if payload:
            self._keep(payload)
        return used

    def _keep(self, payload: bytes) -> None:
        """Keep a piece, and scan it if the body has become too large to be scanned at its end."""
        size = self.store.size + len(payload)
        if size > self._max_body:
            raise self._too_large()
        if size > self._spool.memory_limit:
            if self._scanner is None:
                self._scanner = _form_scanner(self._head.content_type) if self._form else JsonScanner()
                if self.store.size:
                    self._scanner.feed(self.store.held())
            self._scanner.feed(payload)
        self.store.write(payload)

    def finish(self) -> tuple[Found, bytes | None]:
        """It has ended and the store is settled: what it says, and all of it where it is held in memory.

        Raises:
            ApiError: 400.
        """
        if self._scanner is not None:
            return self._scanner.finish(), None
        data = self.store.held()
        return find_model(self._head, data, form=self._form), data

    def close(self) -> None:
        """Forget it."""
        self.store.close()
