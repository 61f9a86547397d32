"""Heads that are like the last one are understood as if they were read anew, and others are read anew."""

from itertools import product

import pytest

from swapper.router.wire.http1 import RequestHead, ResponseHead, parse_request, parse_response
from swapper.router.wire.likeness import LONGEST, Likeness

REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
    b"content-length: %b\r\nAccept: */*\r\n\r\n"
)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\nContent-Type: application/json\r\n\r\n"
NUMBERS = [b"0", b"7", b"10", b"4096", b"000000000000012"]
ODD = [b"", b"-1", b"+1", b"1, 1", b" 1", b"1 ", b"0x1", b"1234567890123456", b"1\r\nX: y", b"1\r\nContent-Length: 2"]


def request(raw: bytes, like: Likeness[RequestHead]) -> RequestHead | None:
    alike = like.look(raw)
    return alike[0]._replace(length=alike[1]) if alike is not None else None


@pytest.mark.parametrize(("first", "second"), [*product(NUMBERS, NUMBERS)])
def test_only_the_number_differs(first: bytes, second: bytes) -> None:
    asked, answered = Likeness[RequestHead](), Likeness[ResponseHead]()
    head = parse_request(REQUEST % first)
    asked.keep(REQUEST % first, head, head.length)
    assert request(REQUEST % second, asked) == parse_request(REQUEST % second)
    answer = parse_response(RESPONSE % first, b"POST")
    answered.keep(RESPONSE % first, answer, answer.told_length)
    alike = answered.look(RESPONSE % second)
    assert alike is not None
    assert alike[0].with_length(alike[1]) == parse_response(RESPONSE % second, b"POST")


@pytest.mark.parametrize("number", ODD)
def test_what_is_no_plain_number_is_read_anew(number: bytes) -> None:
    like = Likeness[RequestHead]()
    head = parse_request(REQUEST % b"7")
    like.keep(REQUEST % b"7", head, head.length)
    assert like.look(REQUEST % number) is None


@pytest.mark.parametrize(
    "other",
    [
        REQUEST.replace(b"Bearer k", b"Bearer l") % b"7",
        REQUEST.replace(b"POST", b"GET") % b"7",
        REQUEST.replace(b"Accept: */*\r\n", b"") % b"7",
        REQUEST[: REQUEST.index(b"%b")] + b"7",
        b"",
    ],
)
def test_other_heads_are_read_anew(other: bytes) -> None:
    like = Likeness[RequestHead]()
    head = parse_request(REQUEST % b"7")
    like.keep(REQUEST % b"7", head, head.length)
    assert like.look(other) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:7\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nPad: " + b"x" * LONGEST + b"\r\nContent-Length: 7\r\n\r\n",
    ],
)
def test_what_is_not_kept(raw: bytes) -> None:
    like = Likeness[RequestHead]()
    for known in (REQUEST % b"7", raw):
        head = parse_request(known)
        like.keep(known, head, head.length)
    assert like.look(raw) is None
    assert like.look(REQUEST % b"7") is None, "nor is the one before it"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: content-length\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_answers_of_whose_length_the_client_is_not_told_are_not_kept(raw: bytes) -> None:
    like = Likeness[ResponseHead]()
    head = parse_response(raw, b"POST")
    like.keep(raw, head, head.told_length)
    assert like.look(raw) is None
