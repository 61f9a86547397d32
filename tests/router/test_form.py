"""Forms: the model's name, wherever it comes, however the body is cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapper.router.errors import ApiError
from swapper.router.routes import NameIn, find
from swapper.router.wire.form import FormScanner
from swapper.router.wire.found import Found
from swapper.router.wire.http1 import parse_request
from swapper.router.wire.intake import where

TYPE = b'multipart/form-data; boundary="Xb"'


def form(*parts: tuple[bytes, bytes], boundary: bytes = b"Xb") -> bytes:
    """A form of fields: what stands after `name=`, and the value."""
    part = b"--%b\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n"
    return b"".join(part % (boundary, name, data) for name, data in parts) + b"--%b--\r\n" % boundary


def _outcome(body: bytes, places: list[int], content_type: bytes = TYPE) -> Found | str:
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    try:
        scanner = FormScanner(content_type)
        for start, end in itertools.pairwise(edges):
            scanner.feed(body[start:end])
        return scanner.finish()
    except ApiError as error:
        return error.code


cuts = st.lists(st.integers(min_value=0, max_value=2000), max_size=40)


@given(st.binary(max_size=200).filter(lambda data: b"Xb" not in data), st.booleans(), cuts)
def test_the_order_of_fields_and_the_cuts_do_not_matter(data: bytes, first: bool, places: list[int]) -> None:
    parts = [(b'"file"; filename="model"', data), (b'"model"', b"qwen3-asr \xc3\xa9")]
    assert _outcome(form(*(parts[::-1] if first else parts)), places) == Found("qwen3-asr é")


CASES = {
    "twice": (form((b'"model"', b"a"), (b'"model"', b"a")), "duplicate_model"),
    "missing": (form((b'"x"', b"a")), "model_missing"),
    "empty": (form((b'"model"', b"")), "model_invalid"),
    "endless": (form((b'"model"', b"a" * 2000)), "model_invalid"),
    "not UTF-8": (form((b'"model"', b"\xff")), "model_invalid"),
    "a file of that name": (form((b'"model"; filename="x"', b"a")), "model_missing"),
    "cut off": (form((b'"model"', b"a"))[:-6], "invalid_multipart"),
    "another boundary": (form((b'"model"', b"a"), boundary=b"Yb"), "invalid_multipart"),
    "nothing": (b"", "invalid_multipart"),
    "not a form": (b'{"model": "a"}', "invalid_multipart"),
    "no disposition": (b"--Xb\r\nX: y\r\n\r\na\r\n--Xb--\r\n", "invalid_multipart"),
}


@pytest.mark.parametrize(("body", "code"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("places", [[], list(range(2000))], ids=["whole", "bytewise"])
def test_wrong_forms_are_refused(body: bytes, code: str, places: list[int]) -> None:
    assert _outcome(body, places) == code


@pytest.mark.parametrize("boundary", [b"", b"; boundary=", b'; boundary="a\rb"', b"; boundary=" + b"x" * 71])
def test_a_form_without_a_proper_boundary_is_refused(boundary: bytes) -> None:
    assert _outcome(form((b'"model"', b"a")), [], b"multipart/form-data" + boundary) == "invalid_multipart"


def test_forms_are_known_by_their_type() -> None:
    route = find(b"POST", b"/v1/audio/transcriptions")
    assert route is not None
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\n\r\n"
    assert where(route, parse_request(head % b"Multipart/Form-Data; boundary=x")) is NameIn.MULTIPART
    assert where(route, parse_request(head % b"application/json")) is NameIn.JSON
