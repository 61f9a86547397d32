"""An error as an HTTP/1.1 answer."""

from functools import cache

from swapper.router.errors import ApiError


@cache
def _reason(status: int) -> bytes:
    from http import HTTPStatus  # noqa: PLC0415 - a start without errors does not need it

    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Error"


def render(error: ApiError, request_id: bytes, *, keep: bool, with_body: bool, extra: bytes = b"") -> bytes:
    """The whole answer.

    Args:
        error: What to say.
        request_id: Of the request that is answered.
        keep: Whether the connection is kept; if not, the answer says so.
        with_body: False for an answer to HEAD.
        extra: Further lines of the header, each with its CRLF.
    """
    body = error.body
    extra += b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in error.headers.items())
    if not keep:
        extra += b"Connection: close\r\n"
    return b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%bX-Request-Id: %b\r\n\r\n%b" % (
        error.status, _reason(error.status), len(body), extra, request_id, body if with_body else b""
    )  # fmt: skip
