"""Odd heads and framings, cut anywhere: an engine gets what a second reader finds, or nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.fuzz import FUZZ, Fuzz, fuzzing
from tests.router.reader import read_all

CHAT = b'{"model":"a"}'
BODIES = [CHAT, b'{"model":"b","pad":"' + b"x" * 2000 + b'"}', b"", b"{", b'{"model":"nobody"}', b"\r\n\r\n",
          b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n" + CHAT]  # fmt: skip


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    """One lab for all."""
    directory: Path = tmp_path_factory.mktemp("fuzz")
    with fuzzing(directory) as made:
        yield made


LENGTHS = [b"Content-Length: %d", b"content-LENGTH:%d", b"Content-Length:\t%d \t", b"Content-Length: 0%d"]
ODD_LENGTHS = [
    b"Content-Length: +%d", b"Content-Length: -%d", b"Content-Length: 0x%x", b"Content-Length: %d, %d",
    b"Content-Length: %d\r\nContent-Length: %d", b"Content-Length : %d", b" Content-Length: %d",
    b"Content-Length:\x0b%d",
    b"Content-Length: %d\0", b"Content-Length: %d.0", b"Content-Length: 1%d", b"X: 1\nContent-Length: %d",
    b"X: 1\rContent-Length: %d", b"X: 1\r\n Content-Length: %d", b"Content_Length: %d", b"Content-Length: %d_0",
    b"Content-Length: \xef\xbc\x91%d", b"Content-Length: %d;", b"Content-Length: \"%d\"", b"\0Content-Length: %d",
    b"Content-Length:\r\n %d", b"Content-Length: %d\r\nContent-Length: 0", b"Content-Length\xa0: %d",
]  # fmt: skip
CODINGS = [b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked", b"Transfer-Encoding: \tCHUNKED \t"]
ODD_CODINGS = [
    b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: ,chunked", b"Transfer-Encoding:",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"X: 1\nTransfer-Encoding: chunked",
    b"X: 1\rTransfer-Encoding: chunked", b"X: 1\r\n Transfer-Encoding: chunked", b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding\0: chunked",
    b"Transfer-Encoding: chun\xc4\xb7ed", b"Transfer-Encoding: chunked\0", b"TE: chunked",
]  # fmt: skip
OTHERS = [
    b"Expect: 100-continue", b"Connection: close", b"Connection: keep-alive",
    b"Connection: content-length", b"Connection: transfer-encoding, content-type", b"Connection: x-a, X-Request-Id",
    b"Upgrade: h2c", b"Upgrade: websocket\r\nConnection: upgrade", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    b"Content-Type: application/json", b"Content-Encoding: identity", b"X-A: b", b"X-A:",
    b"X-Request-Id: one", b"X-Request-Id: a\tb", b"Authorization: Bearer k", b"X-Api-Key: k", b"TE: trailers",
    b"Trailer: Content-Length", b"X-Http-Method-Override: DELETE", b"X-Original-Url: /sleep", b"Keep-Alive: 5",
    b"Forwarded: for=1.2.3.4", b"X-Big: " + b"b" * 5000, b"X-High: \xff\x80", b"Proxy-Connection: keep-alive",
]  # fmt: skip
ODD_OTHERS = [
    b"Host: y", b"Expect: 200-ok", b"Content-Encoding: gzip",
    b"X: \0", b"X: a\rb", b"X: a\nb", b"X: a\r\n b", b": x", b"X", b"X(: y", b"X\xc4: y", b"X : y", b" X: y",
    b"", b"X-Huge: " + b"b" * 70_000, b"GET / HTTP/1.1", b"X: \x7f", b"X: \x1b[0m", b"\xef\xbb\xbfX: y",
]  # fmt: skip
TARGETS = [
    b"/v1/chat/completions", b"/v1/completions?x=1&model=b", b"/v1/embeddings", b"/v1/chat/completions?%0d%0aX:",
]  # fmt: skip
LOOKS = [
    b"/props?model=a", b"/slots?x=1&model=b", b"/upstream/a/v1/models?x=1", b"/upstream/a/health",
    b"/upstream/a//%2e", b"/v1/realtime?model=a", b"/props", b"/props?model=a&model=b", b"/slots?mod%65l=a",
]  # fmt: skip
"""What an engine is asked by GET."""

ODD_TARGETS = [
    b"http://x/v1/chat/completions", b"http://x:80/v1/completions", b"*", b"x:443", b"/v1/../v1/completions", b"/a b",
    b"//v1/chat/completions", b"/v1/chat/completions#f", b"/\xe9", b"/%00", b"/" + b"x" * 5000, b"", b"/\t", b"/v1\0",
    b"/v1/chat/completions/", b"/health", b"/V1/chat/completions", b"/v1/chat/completions;x", b"\\v1\\completions",
]  # fmt: skip
ODD_METHODS = [b"GET", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"TRACE", b"post", b"PO ST", b"", b"P(ST", b"PRI",
               b"POST\t", b" POST", b"\x16\x03\x01", b"POST\0"]  # fmt: skip
ODD_VERSIONS = [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"http/1.1", b"HTTP/1.2", b"HTTP/1.10", b"HTTP/01.1",
                b"HTTP/1.1 ", b"", b"HTTP/1,1", b"HTTP/1.1\t"]  # fmt: skip
SIZES = [b"%x\r\n", b"%X\r\n", b"000%x\r\n", b"%x;a=b\r\n", b"%x ; a=\"b;c\"\r\n", b"%x\t\r\n"]
ODD_SIZES = [b"%x\n", b"%x\r", b"-%x\r\n", b"+%x\r\n", b"0x%x\r\n", b" %x\r\n", b"%x 0\r\n", b"%x;\0\r\n",
             b"%x;a\nb\r\n", b"%x;a\rb\r\n", b"1%x\r\n", b"f%016x\r\n", b"%xg\r\n", b"\r\n", b"%x_\r\n",
             b"%x,%x\r\n", b"%x\x0b\r\n",
             b"%x;" + b"e" * 3000 + b"\r\n"]  # fmt: skip
TRAILERS = [b"", b"X-Sum: 1\r\n", b"Content-Length: 3\r\nX:\r\n", b"Transfer-Encoding: chunked\r\n"]
ODD_TRAILERS = [b"X\r\n", b" X: 1\r\n", b"X: 1\n", b"X : 1\r\n", b"X: \0\r\n", b"POST / HTTP/1.1\r\n",
                b"X: 1\r\n y\r\n", b"X: " + b"y" * 9000 + b"\r\n"]  # fmt: skip


def mostly(usual: list[bytes], odd: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the usual, and now and then an odd one: with one oddity in each place nothing would get far."""
    return st.integers(0, 29).flatmap(lambda dice: st.sampled_from(odd if dice == 17 else usual))


def numbered(form: bytes, number: int) -> bytes:
    """Put the number in, as often as the form wants it."""
    count = form.count(b"%d") + form.count(b"%x") + form.count(b"%X") + form.count(b"%016x")
    return form % ((number,) * count) if count else form


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """A body in chunks."""
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    pieces = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    coded = b""
    for piece in pieces:
        if piece:
            end = draw(mostly([b"\r\n"], [b"\n", b"\r", b"", b"x\r\n", b"\r\n\r\n"]))
            coded += numbered(draw(mostly(SIZES, ODD_SIZES)), len(piece)) + piece + end
    last = draw(mostly([b"0\r\n", b"000\r\n", b"0;x\r\n"], [b"0\n", b"0\r", b"", b"00x\r\n", b"-0\r\n", b"0 1\r\n"]))
    return coded + last + draw(mostly(TRAILERS, ODD_TRAILERS)) + draw(mostly([b"\r\n"], [b"\n", b"\r", b"", b"\r\r\n"]))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request, odd in few places."""
    body = draw(mostly(BODIES[:2], BODIES[2:]))
    lines = [b"Host: x"] if draw(st.integers(0, 29)) != 17 else []
    lines += draw(st.lists(mostly(OTHERS, ODD_OTHERS), max_size=3))
    framing = draw(st.sampled_from(["length"] * 6 + ["chunks"] * 6 + ["both", "none", "wrong"]))
    if framing in {"length", "both"}:
        lines.append(numbered(draw(mostly(LENGTHS, ODD_LENGTHS)), len(body)))
    if framing == "wrong":
        lines.append(b"Content-Length: %d" % max(0, len(body) + draw(st.integers(-30, 30))))
    if framing in {"chunks", "both"}:
        lines.append(draw(mostly(CODINGS, ODD_CODINGS)))
    lines = draw(st.permutations(lines))
    method, target = draw(mostly([b"POST"], ODD_METHODS)), draw(mostly(TARGETS, ODD_TARGETS))
    if draw(st.integers(0, 7)) == 5:
        method, target = b"GET", draw(st.sampled_from(LOOKS))
    first = method + b" " + target + b" " + draw(mostly([b"HTTP/1.1"], ODD_VERSIONS))
    end = draw(mostly([b"\r\n"], [b"\n", b"\r", b"\r\r\n"]))
    before = draw(mostly([b""], [b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\0"]))
    coded = draw(chunked(body)) if framing in {"chunks", "both"} else body
    return before + end.join([first, *lines]) + end + end + coded


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """The same bytes, and in one case of eight a few of them others."""
    if draw(st.integers(0, 7)) != 5:
        return data
    for _ in range(draw(st.integers(1, 3))):
        place, length = draw(st.integers(0, len(data))), draw(st.integers(0, 4))
        odd = st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"\x0b", b"\xff", b"0", b"\r\n\r\n"])
        data = data[:place] + draw(odd | st.just(data[place : place + 20])) + data[place + length :]
    return data


@FUZZ
@given(st.lists(requests(), min_size=1, max_size=3).map(b"".join).flatmap(mutations),
       st.lists(st.integers(0, 9000), max_size=6))  # fmt: skip
def test_an_engine_gets_what_a_second_reader_finds(fuzz: Fuzz, data: bytes, places: list[int]) -> None:
    fuzz.send(data, places)


def plain(body: bytes, *lines: bytes, target: bytes = b"/v1/completions") -> bytes:
    """A request with nothing odd about it."""
    head = [b"POST " + target + b" HTTP/1.1", b"Host: x", *lines, b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, b"", b""]) + body


def chunks(size: bytes = b"%x\r\n", end: bytes = b"\r\n", last: bytes = b"0\r\n\r\n") -> bytes:
    """A request whose body comes in two chunks, each of which may be odd."""
    pieces = [CHAT[:5], CHAT[5:]]
    coded = b"".join(numbered(size, len(piece)) + piece + end for piece in pieces) + last
    return b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + coded


def odd_heads() -> Iterator[bytes]:
    """Each oddity of a head by itself, in a request that has no other."""
    usual = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n" + CHAT
    for method in ODD_METHODS:
        yield usual.replace(b"POST", method)
    for target in ODD_TARGETS:
        yield usual.replace(b"/v1/completions", target)
    for version in ODD_VERSIONS:
        yield usual.replace(b"HTTP/1.1", version)
    for line in ODD_OTHERS + OTHERS:
        yield usual.replace(b"Host: x", b"Host: x\r\n" + line)
    for line in LENGTHS + ODD_LENGTHS:
        yield usual.replace(b"Content-Length: 13", numbered(line, 13))
        yield usual.replace(b"Content-Length: 13", numbered(line, 13) + b"\r\nContent-Length: 14")


def odd_chunks() -> Iterator[bytes]:
    """Each oddity of a body in chunks by itself."""
    for line in CODINGS + ODD_CODINGS:
        yield chunks().replace(CODINGS[0], line)
        yield chunks().replace(CODINGS[0], line + b"\r\nContent-Length: 1")
        yield chunks().replace(CODINGS[0], b"Content-Length: 1\r\n" + line)
    for size in SIZES + ODD_SIZES:
        yield chunks(size)
    for end in (b"\n", b"\r", b"", b"xx", b"\n\n", b"\r\r", b"x\r\n", b"\r\n\r\n"):
        yield chunks(end=end)
    for last in (b"0\n\n", b"0\r\r", b"", b"00x\r\n\r\n", b"-0\r\n\r\n", b"0\r\n\n", b"0\n\r\n", b"0\r\n\r\r\n"):
        yield chunks(last=last)
    for trailer in TRAILERS + ODD_TRAILERS:
        yield chunks(last=b"0\r\n" + trailer + b"\r\n")


def test_each_oddity_by_itself_and_before_another_request(fuzz: Fuzz) -> None:
    for data in (*odd_heads(), *odd_chunks()):
        fuzz.send(data)
        fuzz.send(data + plain(CHAT))


@pytest.mark.parametrize(
    "data",
    [
        plain(CHAT) * 2,
        plain(CHAT, b"Expect: 100-continue"),
        b"\r\n" + plain(CHAT, b"Connection: close"),
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\n{\"m\r\na ;x=\"y\"\r\nodel\":\"a\"}\r\n0\r\nX-Sum: 1\r\n\r\n" + plain(CHAT),
        b"POST /v1/completions HTTP/1.0\r\nContent-Length: 13\r\n\r\n" + CHAT,
        plain(b"{") + plain(CHAT),
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + CHAT,
    ],
    ids=["two", "expecting", "leading CRLF", "chunks", "1.0", "refused body", "both"],
)  # fmt: skip
def test_wherever_they_are_cut(fuzz: Fuzz, data: bytes) -> None:
    whole = fuzz.send(data)
    assert [reply.status for reply in fuzz.send(data, range(len(data))).replies] == [r.status for r in whole.replies]
    for place in range(1, len(data)):
        cut = fuzz.send(data, [place])
        assert [reply.status for reply in cut.replies] == [reply.status for reply in whole.replies]


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(BODIES[:2]), st.lists(st.sampled_from(
    [line for line in OTHERS if not line.startswith((b"Expect: 2", b"Connection: c", b"Content-E", b"Forwarded"))]),
    max_size=4, unique_by=lambda line: line.partition(b":")[0]), st.sampled_from(TARGETS)), min_size=1, max_size=5),
    st.lists(st.integers(0, 9000), max_size=6))  # fmt: skip
def test_what_is_as_it_should_be_is_answered(
    fuzz: Fuzz, parts: list[tuple[bytes, list[bytes], bytes]], places: list[int]
) -> None:
    data = b"".join(plain(body, *lines, target=target) for body, lines, target in parts)
    outcome = fuzz.send(data, places)
    assert [reply.status for reply in outcome.replies] == [200] * len(parts), outcome.replies
    assert outcome.ending == "end"


def test_the_body_of_a_handshake_is_no_request(fuzz: Fuzz) -> None:
    inner = plain(CHAT, target=b"/sleep")
    head = b"GET /v1/realtime?model=a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    for body in (b"Content-Length: %d\r\n\r\n" % len(inner) + inner,
                 b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"):  # fmt: skip
        outcome = fuzz.send(head + body + plain(CHAT))
        assert [read.target for read in outcome.engine] in ([b"/v1/realtime?model=a", b"/v1/completions"], [])


def test_the_second_reader_reads() -> None:
    found, ending = read_all(plain(CHAT) + plain(b"", b"Connection: x, Close") + b"more")
    assert [(read.method, read.target, read.body) for read in found] == [
        (b"POST", b"/v1/completions", CHAT), (b"POST", b"/v1/completions", b"")]  # fmt: skip
    assert ending == "last"
    assert read_all(plain(CHAT)[:-1]) == ([], "unfinished")
    assert read_all(plain(CHAT, b"Content-Length: 1"))[1] == "refused: no length, or two"
