"""The scanner says what `json.loads` says, wherever the body is cut, and finds what is to be fetched."""

import itertools
import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapper.router.errors import ApiError
from swapper.router.wire.found import Found
from swapper.router.wire.scan import JsonScanner, inspect

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | floats | st.text(max_size=12)
keys = st.sampled_from(["model", "messages", "input", "image_url", "url", "audio_url", "a", "a\\b", 'q"', "é", ""])
values = st.recursive(
    scalars | st.sampled_from(["http://h/x.png", "HTTPS://h/é", "data:image/png;base64,AA", "https:/x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)
cuts = st.lists(st.integers(min_value=0, max_value=4000), max_size=40)


def _dump(value: Json, ascii_only: bool, indent: int | None) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")


def _scan(body: bytes, places: list[int]) -> Found | str:
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    scanner = JsonScanner()
    try:
        for start, end in itertools.pairwise(edges):
            scanner.feed(body[start:end])
        return scanner.finish()
    except ApiError as error:
        return error.code


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _expected(body: bytes) -> tuple[str, list[str]] | str:
    """What the standard library's parser makes of it, with a walk through the result."""
    top: list[tuple[str, Json]] = []

    def pairs(members: list[tuple[str, Json]]) -> dict[str, Json]:
        top[:] = members
        return dict(members)

    try:
        value = json.loads(body.decode(), object_pairs_hook=pairs, parse_constant=_refuse_constant)
    except ValueError:
        return "invalid_json"
    if not isinstance(value, dict):
        return "invalid_json"
    models = [member for name, member in top if name == "model"]
    if len(models) > 1:
        return "duplicate_model"
    if not models:
        return "model_missing"
    if not isinstance(models[0], str):
        return "model_invalid"
    found: list[str] = []
    for name in ("messages", "input"):
        if isinstance(value.get(name), list | dict):
            _walk(value[name], found)
    return models[0], found


def _walk(value: Json, found: list[str]) -> None:
    if isinstance(value, list):
        for item in value:
            _walk(item, found)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name in {"image_url", "audio_url", "video_url"}:
                _note(item["url"] if isinstance(item, dict) and "url" in item else item, found)
                if isinstance(item, list):
                    _walk(item, found)
            else:
                _walk(item, found)


def _note(value: Json, found: list[str]) -> None:
    if isinstance(value, str) and value[:5].lower() != "data:":
        found.append(value)


@given(st.dictionaries(keys, values, max_size=6) | values, st.booleans(), st.sampled_from([None, 2]), cuts)
@example({"model": "m", "messages": [{"image_url": {"url": "http://h/x.png"}}]}, True, None, list(range(80)))
def test_the_scanner_says_what_the_parser_says(
    value: Json,
    ascii_only: bool,
    indent: int | None,
    places: list[int],
) -> None:
    body = _dump(value, ascii_only, indent)
    expected = _expected(body)
    for found in (_scan(body, places), _outcome(body)):
        if isinstance(found, str):
            assert found == expected
        else:
            assert (found.model, [ref.url for ref in found.media]) == expected
            for ref in found.media:
                assert json.loads(body[ref.start : ref.end]) == ref.url


def _outcome(body: bytes) -> Found | str:
    try:
        return inspect(body)
    except ApiError as error:
        return error.code


@given(st.dictionaries(keys, values, max_size=4), st.booleans(), st.integers(0, 4000), st.binary(max_size=3), cuts)
def test_broken_json_is_broken_for_both(
    value: Json,
    ascii_only: bool,
    at: int,
    instead: bytes,
    places: list[int],
) -> None:
    body = _dump(value, ascii_only, None)
    at %= len(body) + 1
    body = body[:at] + instead + body[at + 1 :]
    expected = _expected(body)
    for found in (_scan(body, places), _outcome(body)):
        if isinstance(found, Found):
            assert isinstance(expected, tuple)
            assert found.model == expected[0]
        else:
            assert found == expected


WRONG = [
    b"", b" ", b"{", b"}", b"[]", b'"model"', b"1", b"null", b'{"model":"a"', b'{"model":"a"}}', b'{"model":"a"}x',
    b'{"model":"a",}', b'{"model":"a" "b":1}', b'{model:"a"}', b"{'model':'a'}", b'{"model":"a","b":01}',
    b'{"model":"a","b":1.}', b'{"model":"a","b":.5}', b'{"model":"a","b":+1}', b'{"model":"a","b":NaN}',
    b'{"model":"a","b":-Infinity}', b'{"model":"a","b":tru}', b'{"model":"a","b":"\n"}', b'{"model":"a","b":"\\x"}',
    b'{"model":"a","b":"\\u12g4"}', b'{"model":"a","b":[1,]}', b'{"model":"a","b":[,1]}', b'{"model":"a","b":{"c"}}',
    b'{"model":"a","b":[1}', b'{"model":"a","b":"\xff"}', b'{"model":"a","b":"\xed\xa0\x80"}',
    b'\xef\xbb\xbf{"model":"a"}',
    b'{"model":"a","b":"\xe2\x82', '{"model":"a"}'.encode("utf-16"), b'{"model":"a","b":1e}', b'{"model":"a","b":--1}',
    b'{"model":"a","b":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"model":"a"\x0b}',
    b'{"model":"a","b":' + b"1" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", WRONG)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_what_is_not_json_is_refused(body: bytes, step: int) -> None:
    assert _scan(body, list(range(0, len(body), step))) == "invalid_json"


@pytest.mark.parametrize("body", [body for body in WRONG if b"[[[" not in body])
def test_the_short_cut_refuses_the_same(body: bytes) -> None:
    assert _outcome(body) == "invalid_json"


NAMES = {
    b'{"model":"a","model":"b"}': "duplicate_model",
    b'{"model":"a","mod\\u0065l":"a"}': "duplicate_model",
    b'{"\\u006dodel":"x"}': "x",
    b'{"a":{"model":"b"}}': "model_missing",
    b'{"a":{"model":"b"},"model":"c"}': "c",
    b'{"model":1}': "model_invalid",
    b'{"model":null}': "model_invalid",
    b'{"model":["a"]}': "model_invalid",
    b'{"model":{"model":"a"}}': "model_invalid",
    b'{"a":"\\"model\\":\\"b\\"","model":"c"}': "c",
    b'{"model":"\\ud83d\\ude00"}': "\U0001f600",
    b'{}': "model_missing",
    b'{"model":"' + b"x" * 5000 + b'"}': "model_invalid",
}


@pytest.mark.parametrize(("body", "expected"), NAMES.items())
def test_the_name_is_the_one_at_the_top(body: bytes, expected: str) -> None:
    for found in (_scan(body, []), _scan(body, list(range(len(body)))), _outcome(body)):
        assert (found.model if isinstance(found, Found) else found) == expected


def test_media_of_both_apis_are_found() -> None:
    body = json.dumps({
        "model": "m",
        "metadata": {"image_url": "http://not.here/1"},
        "messages": [
            {"role": "user", "content": "http://not.here/2"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"detail": "low", "url": "https://h/1.png"}},
                {"type": "audio_url", "audio_url": {"url": "http://h/2.wav"}},
                {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
                {"type": "image_url", "image_url": "http://h/3.png"},
            ]},
        ],
        "input": [{"type": "message", "content": [{"type": "input_image", "image_url": "http://h/4.png"}]}],
    }).encode()  # fmt: skip
    found = inspect(body.replace(b"http://h/2", b"http:\\/\\/h\\/2"))
    assert [ref.url for ref in found.media] == ["https://h/1.png", "http://h/2.wav", "http://h/3.png", "http://h/4.png"]


def test_a_url_without_end_is_refused_and_a_long_data_url_is_not() -> None:
    def body(url: str) -> bytes:
        return json.dumps({"model": "m", "messages": [{"image_url": {"url": url}}]}).encode()

    assert _outcome(body("http://h/" + "x" * 20_000)) == "media_refused"
    assert _outcome(body("data:" + "x" * 20_000)) == Found("m")


@pytest.mark.parametrize("url", ["file:///etc/passwd", " http://h/x", "ht\ntp://h/x", "//h/x", "HTTP:h", "", "ftp://h/x"])
def test_whatever_is_not_data_is_for_the_fetcher_to_refuse(url: str) -> None:
    for content in ({"image_url": {"url": url}}, {"image_url": url}):
        body = json.dumps({"model": "m", "messages": [{"content": [content]}]}).encode()
        assert [ref.url for ref in inspect(body).media] == [url]


BIG = {
    "numbers": b"[" + b",".join([b"123.5"] * 400_000) + b"]",
    "rows of numbers": b"[" + b",".join([b"[1,2,3]"] * 300_000) + b"]",
    "objects": b"[" + b",".join([b'{"a":"b","c":[1,{"d":null}]}'] * 80_000) + b"]",
    "one string": b'"' + b"QUJD" * 500_000 + b'"',
    "escapes": b'"' + b"\\n\\u00e9" * 250_000 + b'"',
    "messages": b"[" + b",".join([b'{"role": "user", "content": "Hello there, how are you?"}'] * 35_000) + b"]",
    "members": b"{" + b",".join([b'"k":{"x":[[1]]}'] * 120_000) + b"}",
}


@pytest.mark.parametrize("name", BIG)
def test_large_bodies_take_milliseconds_and_little_memory(name: str) -> None:
    body = b'{"model":"m","messages":' + BIG[name] + b"}"
    assert len(body) > 1_500_000
    scanner = JsonScanner()
    begin = time.process_time()
    for start in range(0, len(body), 65536):
        scanner.feed(body[start : start + 65536])
        assert len(scanner._carry) < 65536 * 2
    assert scanner.finish() == Found("m")
    # A tenth of this is usual; what is guarded against is time that grows with the square of the length.
    assert time.process_time() - begin < 10.0
