"""A request's body on its way in: counted or in chunks, kept, and read for the model's name."""

from collections.abc import Callable
from typing import Protocol, assert_never

from swapper.router.errors import ApiError
from swapper.router.routes import NameIn, Route
from swapper.router.wire.body import Spool, Store
from swapper.router.wire.chunks import Chunks
from swapper.router.wire.found import Found, model_invalid, model_missing, model_twice
from swapper.router.wire.http1 import ProtocolError, RequestHead
from swapper.router.wire.scan import JsonScanner, inspect

_FORMS = (b"multipart/", b"application/x-www-form-urlencoded")
_IN_BODY = frozenset({NameIn.JSON, NameIn.MULTIPART})


class Scanner(Protocol):
    """Reads a body as it comes in."""

    def feed(self, data: bytes) -> None:
        """The next piece. Raises ApiError."""

    def finish(self) -> Found:
        """The end. Raises ApiError."""


def refusal(exc: ProtocolError) -> ApiError:
    """The answer for a client that does not speak HTTP/1.1 as it should."""
    return ApiError(exc.code, exc.message, "Send HTTP/1.1 as RFC 9112 has it.")


def where(route: Route, head: RequestHead) -> NameIn:
    """Where this request names its model: where forms are taken, JSON is too, unless it says it is another form."""
    is_form = head.content_type.lower().startswith(_FORMS)
    return NameIn.JSON if route.name_in is NameIn.MULTIPART and not is_form else route.name_in


def _form_scanner(content_type: bytes) -> Scanner:
    from swapper.router.wire.form import FormScanner  # noqa: PLC0415 - its parser costs every start otherwise

    return FormScanner(content_type)


def _in_query(target: bytes) -> Found:
    from urllib.parse import parse_qsl  # noqa: PLC0415 - few requests name their model there

    try:
        query = target.partition(b"?")[2].decode()
        names = [value for name, value in parse_qsl(query, errors="strict", max_num_fields=100) if name == "model"]
    except ValueError as exc:
        raise model_invalid() from exc
    if len(names) > 1:
        raise model_twice()
    if not names or not names[0]:
        raise model_missing("Name it in the query, as in ?model=NAME; GET /v1/models lists the names.")
    return Found(names[0])


def find_model(head: RequestHead, data: bytes, name_in: NameIn) -> Found:
    """What a request says whose body is held in memory.

    Raises:
        ApiError: 400.
    """
    match name_in:
        case NameIn.JSON:
            return inspect(data)
        case NameIn.MULTIPART:
            scanner = _form_scanner(head.content_type)
            if data:
                scanner.feed(data)
            return scanner.finish()
        case NameIn.QUERY:
            return _in_query(head.target)
        case NameIn.PATH:
            return Found("")
        case _:
            assert_never(name_in)


class Intake:
    """Takes the bytes of one body.

    Attributes:
        store: Where they are kept.
        ended: All have come.
    """

    __slots__ = ("_chunks", "_head", "_left", "_max_body", "_name_in", "_scanner", "_spool", "ended", "store")

    def __init__(
        self, head: RequestHead, spool: Spool, max_body: int, notify: Callable[[], None], name_in: NameIn
    ) -> None:
        """Expect a body.

        Args:
            head: What says how it is framed.
            spool: Keeps it if it is large.
            max_body: Most bytes it may have.
            notify: Called when some of it has been written to disk, and when that failed.
            name_in: Where the model's name stands.

        Raises:
            ApiError: 413: it is announced to be too large.
        """
        self._head = head
        self._spool = spool
        self._max_body = max_body
        self._name_in = name_in
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
        if size > self._spool.memory_limit and self._name_in in _IN_BODY:
            if self._scanner is None:
                is_form = self._name_in is NameIn.MULTIPART
                self._scanner = _form_scanner(self._head.content_type) if is_form else JsonScanner()
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
        if not self.store.in_memory:
            return find_model(self._head, b"", self._name_in), None
        data = self.store.held()
        return find_model(self._head, data, self._name_in), data

    def close(self) -> None:
        """Forget it."""
        self.store.close()
