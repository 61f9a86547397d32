"""Heads and chunks: what is taken, what is refused, and that it does not matter where the bytes are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapper.router.wire.chunks import Chunks
from swapper.router.wire.http1 import ProtocolError, parse_request, parse_response


def _request(*lines: bytes, first: bytes = b"POST /v1/x HTTP/1.1", host: bool = True) -> bytes:
    return b"\r\n".join([first, *([b"Host: x"] if host else []), *lines]) + b"\r\n\r\n"


def test_a_head_becomes_facts() -> None:
    head = parse_request(
        _request(
            b"content-length:  7 ", b"X-Mine: 1", b"Authorization: Bearer k", b"Content-Type: application/json; x=1",
            b"Connection: Close, X-Hop", b"X-Hop: 2", b"X-Request-Id: mine_1.a-b", b"Expect: 100-Continue",
            b"Proxy-Authorization: s", b"TE: trailers", b"Upgrade: h2c",
        )
    )  # fmt: skip
    assert head.fields == b"X-Mine: 1\r\nContent-Type: application/json; x=1\r\n"
    assert (head.method, head.target, head.version, head.length) == (b"POST", b"/v1/x", 1, 7)
    assert head.close
    assert head.expects
    assert not head.chunked
    assert head.content_type == b"application/json; x=1"
    assert head.request_id == b"mine_1.a-b"


def test_what_a_proxy_passes_on_is_known_by_its_word() -> None:
    assert not parse_request(_request()).passed_on
    for line in (b"X-Forwarded-For: 192.0.2.1", b"forwarded: for=192.0.2.1", b"X-REAL-IP:", b"X-Forwarded-For: ::1"):
        head = parse_request(_request(line))
        assert (head.passed_on, head.fields) == (True, line + b"\r\n")


@pytest.mark.parametrize("value", [b"a b", b"\xff", b"", b"a" * 65, b"a/b"])
def test_a_request_id_that_is_not_sane_is_not_taken(value: bytes) -> None:
    assert parse_request(_request(b"X-Request-Id: " + value)).request_id is None


REFUSED = {
    "two lengths": ("invalid_request", [b"Content-Length: 1", b"Content-Length: 2"]),
    "a list of lengths": ("invalid_request", [b"Content-Length: 1, 1"]),
    "a signed length": ("invalid_request", [b"Content-Length: +1"]),
    "a negative length": ("invalid_request", [b"Content-Length: -1"]),
    "a hexadecimal length": ("invalid_request", [b"Content-Length: 0x1"]),
    "an empty length": ("invalid_request", [b"Content-Length:"]),
    "an endless length": ("invalid_request", [b"Content-Length: 9999999999999999"]),
    "length and coding": ("invalid_request", [b"Content-Length: 1", b"Transfer-Encoding: chunked"]),
    "coding and length": ("invalid_request", [b"Transfer-Encoding: chunked", b"Content-Length: 1"]),
    "another coding": ("unknown_coding", [b"Transfer-Encoding: gzip, chunked"]),
    "a coding that is nearly it": ("unknown_coding", [b"Transfer-Encoding: xchunked"]),
    "the coding twice": ("unknown_coding", [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"]),
    "identity": ("unknown_coding", [b"Transfer-Encoding: identity"]),
    "a folded line": ("invalid_request", [b"X-A: 1", b" folded"]),
    "a space before the colon": ("invalid_request", [b"Content-Length : 1"]),
    "a space before the name": ("invalid_request", [b" Content-Length: 1"]),
    "no colon": ("invalid_request", [b"X-A"]),
    "no name": ("invalid_request", [b": 1"]),
    "a bare line feed": ("invalid_request", [b"X-A: 1\nContent-Length: 1"]),
    "a bare carriage return": ("invalid_request", [b"X-A: 1\rContent-Length: 1"]),
    "a null byte": ("invalid_request", [b"X-A: \0"]),
    "a name that is no token": ("invalid_request", [b"X(A): 1"]),
    "a name with high bytes": ("invalid_request", [b"X\xc4: 1"]),
    "another expectation": ("unknown_expectation", [b"Expect: 200-ok"]),
    "two hosts": ("invalid_request", [b"Host: y"]),
}


@pytest.mark.parametrize(("code", "lines"), REFUSED.values(), ids=REFUSED.keys())
def test_what_could_be_read_in_two_ways_is_refused(code: str, lines: list[bytes]) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_request(_request(*lines))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"POST http://x/ HTTP/1.1", "invalid_request"),
        (b"POST * HTTP/1.1", "invalid_request"),
        (b"POST  / HTTP/1.1", "invalid_request"),
        (b"POST / HTTP/1.1 ", "invalid_request"),
        (b"POST /a b HTTP/1.1", "invalid_request"),
        (b"POST /\xe9 HTTP/1.1", "invalid_request"),
        (b"POST /#x HTTP/1.1", "invalid_request"),
        (b"POST /\t HTTP/1.1", "invalid_request"),
        (b"POST / http/1.1", "invalid_request"),
        (b"POST /", "invalid_request"),
        (b"PO(ST / HTTP/1.1", "invalid_request"),
        (b"POST / HTTP/2.0", "unknown_version"),
        (b"POST / HTTP/0.9", "unknown_version"),
        (b"\x16\x03\x01", "invalid_request"),
    ],
)
def test_a_wrong_request_line_is_refused(first: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_request(_request(first=first))
    assert caught.value.code == code


def test_hosts_and_codings_of_http_1_0() -> None:
    assert parse_request(_request(first=b"GET / HTTP/1.0", host=False)).close
    with pytest.raises(ProtocolError):
        parse_request(_request(host=False))
    with pytest.raises(ProtocolError):
        parse_request(_request(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"))
    assert not parse_request(_request(b"Expect: 100-continue", first=b"POST / HTTP/1.0")).expects


def test_the_same_length_twice_is_one_length() -> None:
    assert parse_request(_request(b"Content-Length: 3", b"content-length: 3")).length == 3


RESPONSES = {
    "length": (b"HTTP/1.1 200 OK", [b"Content-Length: 5"], b"POST", 5, False, False),
    "chunks": (b"HTTP/1.1 200 OK", [b"transfer-encoding: Chunked"], b"POST", None, True, False),
    "until closed": (b"HTTP/1.1 200 OK", [], b"POST", None, False, True),
    "closing": (b"HTTP/1.1 200 OK", [b"Content-Length: 5", b"Connection: close"], b"POST", 5, False, True),
    "1.0": (b"HTTP/1.0 200 OK", [b"Content-Length: 5"], b"POST", 5, False, True),
    "1.0 kept": (b"HTTP/1.0 200 OK", [b"Content-Length: 5", b"Connection: keep-alive"], b"POST", 5, False, False),
    "204": (b"HTTP/1.1 204 No Content", [], b"POST", 0, False, False),
    "304": (b"HTTP/1.1 304 Not Modified", [b"Content-Length: 5"], b"GET", 0, False, False),
    "HEAD": (b"HTTP/1.1 200 OK", [b"Content-Length: 5"], b"HEAD", 0, False, False),
    "HEAD chunked": (b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], b"HEAD", 0, False, False),
}


@pytest.mark.parametrize("case", RESPONSES.values(), ids=RESPONSES.keys())
def test_where_a_response_ends(case: tuple[bytes, list[bytes], bytes, int | None, bool, bool]) -> None:
    first, lines, method, length, chunked, close = case
    head = parse_response(b"\r\n".join([first, *lines]) + b"\r\n\r\n", method)
    assert (head.length, head.chunked, head.close) == (length, chunked, close)
    announced = any(line.lower().startswith(b"content-length") for line in lines)
    assert (b"Content-Length: 5\r\n" in head.fields) is announced


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    ],
)
def test_a_wrong_response_is_refused(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_response(head, b"POST")


def test_hop_by_hop_fields_of_a_response_stay_here() -> None:
    head = parse_response(
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nServer: llama.cpp\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
        b"X-Request-Id: theirs\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Length: 0\r\n\r\n",
        b"POST",
    )
    lines = [b"Server: llama.cpp", b"Content-Type: text/event-stream; charset=utf-8", b"Content-Length: 0", b""]
    assert head.fields == b"\r\n".join(lines)
    assert head.events


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


pieces = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
cuts = st.lists(st.integers(min_value=0, max_value=1000), max_size=30)
extensions = st.sampled_from([b"", b";x", b" ;x=\"y\"", b";a=1;b"])
trailers = st.sampled_from([b"", b"X-Sum: 1\r\n", b"A: 1\r\nB:\r\n"])


@given(pieces, cuts, extensions, trailers, st.binary(max_size=10))
def test_chunks_are_read_alike_wherever_they_are_cut(
    payloads: list[bytes], places: list[int], extension: bytes, trailer: bytes, after: bytes
) -> None:
    chunks = [b"%x%b\r\n%b\r\n" % (len(data), extension, data) for data in payloads]
    coded = b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"
    reader = Chunks()
    sink: list[bytes] = []
    used = 0
    for piece in _cut(coded + after, places):
        used += reader.feed(piece, sink)
    assert reader.done
    assert used == len(coded)
    assert b"".join(sink) == b"".join(payloads)


@given(pieces, cuts)
def test_a_boundary_is_where_a_chunk_has_ended(payloads: list[bytes], places: list[int]) -> None:
    whole = [b"%X\r\n%b\r\n" % (len(data), data) for data in payloads]
    boundaries = {sum(map(len, whole[:count])) for count in range(len(whole) + 1)}
    reader = Chunks()
    position = 0
    for piece in _cut(b"".join(whole), places):
        position += reader.feed(piece)
        assert reader.between is (position in boundaries)


@pytest.mark.parametrize(
    "coded",
    [
        b"g\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\na\r\n", b"1_0\r\n", b" 1\r\n", b"\r\n", b"1\n", b"1\r\nab",
        b"1\r\na\n\n", b"ffffffffffffffff\r\n", b"1;\0\r\n", b"0\r\nno trailer\r\n", b"0\r\n\n",
        b"0\r\n bad: 1\r\n", b"1;" + b"x" * 2000,
        b"0\r\n" + b"A: " + b"x" * 9000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 1 << 16])
def test_what_is_not_chunked_coding_is_refused(coded: bytes, step: int) -> None:
    reader = Chunks()
    with pytest.raises(ProtocolError):
        all(reader.feed(coded[start : start + step]) for start in range(0, len(coded), step))
