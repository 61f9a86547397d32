"""Odd forms: one is taken only where every parser finds the same one model in it."""

import email
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.fuzz import FUZZ, LIMIT, MODELS, Fuzz, fuzzing, request


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    """One lab for all; bodies above 1 KiB go to the disk."""
    directory: Path = tmp_path_factory.mktemp("fuzz")
    with fuzzing(directory, memory_limit=LIMIT) as made:
        yield made


cuts = st.lists(st.integers(0, 5000), max_size=20)

WEBKIT = b"Content-Type: multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=Xb\r\n"
ODD_TYPES = [
    b"Content-Type: multipart/form-data; boundary=Yb\r\n", b"Content-Type: multipart/form-data\r\n",
    b'Content-Type: multipart/form-data; boundary="Xb"\r\n', b"Content-Type: Multipart/Form-Data;BOUNDARY=Xb\r\n",
    b"Content-Type: multipart/form-data; boundary=Yb; boundary=Xb\r\n",
    b"Content-Type: multipart/mixed; boundary=Xb\r\n",
    b"Content-Type: multipart/form-data; boundary=Xb; boundary=Yb\r\n",
    b'Content-Type: multipart/form-data; boundary="X\\b"\r\n',
    b"Content-Type: multipart/form-data; boundary*=utf-8''Yb; boundary=Xb\r\n", b"",
    b'Content-Type: multipart/form-data; x="; boundary=Yb"; boundary=Xb\r\n',
    b"Content-Type: application/x-www-form-urlencoded\r\n", FORM + b"Content-Type: application/json\r\n",
    b"Content-Type: application/json\r\n" + FORM, b"Content-Type: multipart/form-data; boundary=Yb\r\n" + FORM,
    FORM + b"Content-Type: multipart/form-data; boundary=Yb\r\n",
    b"Content-Type: multipart/form-data, x; boundary=Xb\r\n",
]  # fmt: skip
PARTS = [
    (b'name="file"; filename="a.wav"', b"RIFF\r\n--X\r\n" + bytes(range(256)) * 8), (b'name="language"', b"en"),
    (b'name="prompt"', b""), (b'name="Model"', b"b"), (b'name="file"; filename="model"', b"--Yb\r\n\r\n"),
    (b'name="x"', b"1\r\n--Yb\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nb\r\n--Yb--"),
]  # fmt: skip
ODD_PARTS = [
    (b'name="model"; filename=""', b"b"), (b'name="model"; filename="x"', b"b"),
    (b"name=\"model\"; filename*=utf-8''x", b"b"), (b"name*=utf-8''model", b"b"), (b'name="x"; name="model"', b"b"),
    (b'name="model"; name="x"', b"b"), (b'name="mod\\el"', b"b"), (b'name="mod%65l"', b"b"), (b'NAME="model"', b"b"),
    (b"name=model", b"b"), (b'name="model"; ', b"b"),
    (b'name="x"\r\nContent-Disposition: form-data; name="model"', b"b"), (b'name="model\0"', b"b"),
    (b'name="model"\r\nContent-Transfer-Encoding: base64', b"Yg=="), (b'name="\xff"', b"b"), (b'name="model', b"b"),
    (b'name="x"', b"1\n--Xb\nContent-Disposition: form-data; name=\"model\"\n\nb"), (b'name="model"; x="', b"b"),
    (b'\r\n name="model"', b"b"), (b'name="model"\r\nX', b"b"), (b'name="x"', b"1\r\n--Xb"),
    (b'name="x"', b"1\r\n--Xb--"),
    (b'name="x"', b"1\r\n--Xbc\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nb"), (b"", b"b"),
    (b"name", b""), (b'name="model"\r\nContent-Disposition: form-data; name="x"', b"b"),
    (b'name="x"', b"1\r\n--Xb\r\nX: y\r\n\r\nb"), (b'name="x"\r\n' + b"X: y\r\n" * 20 + b"Z: z", b"b"),
    (b'name="' + b"x" * 9000 + b'"', b"b"),
]  # fmt: skip
MODEL_PARTS = [(b'name="model"', b"a"), (b'name="model"', b"b")]
ODD_NAMES_IN_FORMS = [b"", b" a", b"a\r\n", b"\xff", b"a\0", b"A", b"a" * 2000, b"\xef\xbb\xbfa"]
ODD_MODEL_PARTS = [(b'name="model"', value) for value in ODD_NAMES_IN_FORMS]


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A form, mostly: its Content-Type line and its body."""
    dice = st.integers(0, 19)
    odd = st.sampled_from(ODD_PARTS)
    parts = [draw(odd if draw(dice) == 7 else st.sampled_from(PARTS)) for _ in range(draw(st.integers(0, 3)))]
    if draw(dice) != 7:
        model = draw(st.sampled_from(ODD_MODEL_PARTS if draw(dice) == 7 else MODEL_PARTS))
        parts.insert(draw(st.integers(0, len(parts))), model)
    if draw(dice) == 7:
        parts.append(draw(st.sampled_from(MODEL_PARTS)))
    end = draw(st.sampled_from([b"\n", b"\r"])) if draw(dice) == 7 else b"\r\n"
    body = written(parts, end)
    around = [b"\r\n", b"x\r\n", b"--Xb\r\n", b"\0", b"--Xb--\r\n", b"--Xb \r\n",
              b'--Xb\r\nContent-Disposition: form-data; name="model"']  # fmt: skip
    if draw(dice) == 7:
        body = draw(st.sampled_from(around)) + body
    if draw(dice) == 7:
        body = body + draw(st.sampled_from(around))
    if draw(dice) == 7:
        body = body[: draw(st.integers(0, len(body)))]
    return draw(st.sampled_from(ODD_TYPES)) if draw(dice) == 7 else FORM, body


def by_mail(line: bytes, body: bytes) -> list[bytes]:
    """What a form says is its model: cut at its boundaries here, each part read by the standard library."""
    boundary = email.message_from_bytes(line).get_boundary()
    assert boundary, "a form is taken that others take for none"
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    found = []
    for part in itertools.takewhile(lambda part: not part.startswith(b"--"), parts):
        head, _, value = part.partition(b"\r\n\r\n")
        read = email.message_from_bytes(head.removeprefix(b"\r\n") + b"\r\n\r\n")
        assert len(read.get_all("content-disposition", [])) == 1, "a part with two dispositions is taken"
        if read.get_param("name", header="content-disposition") == "model" and read.get_filename() is None:
            found.append(value)
    return found


def check_form(fuzz: Fuzz, line: bytes, body: bytes, places: Sequence[int] = ()) -> set[int]:
    """Send a form, twice on a connection; the statuses of the answers."""
    outcome = fuzz.send(request(body, target=b"/v1/audio/transcriptions", extra=line) * 2, places)
    statuses = {reply.status for reply in outcome.replies}
    assert statuses <= {200, 400, 404, 415}
    if 200 in statuses and (not line or b"application/json" in line):
        assert body.count(b'"model"') == 1
    elif 200 in statuses:
        assert line.count(b"Content-Type") == 1, "which of two types it is, is anybody's guess"
        named = by_mail(line, body)
        assert len(named) == 1
        assert named[0].decode() in MODELS
    return statuses


def written(parts: Sequence[tuple[bytes, bytes]], end: bytes = b"\r\n") -> bytes:
    """A form with these parts."""
    return b"".join(b"--Xb" + end + b"Content-Disposition: form-data; " + name + end + end + value + end
                    for name, value in parts) + b"--Xb--\r\n"  # fmt: skip


@FUZZ
@given(forms(), cuts)
def test_a_form_that_reaches_an_engine_names_one_model_to_everybody(
    fuzz: Fuzz, form: tuple[bytes, bytes], places: list[int]
) -> None:
    check_form(fuzz, *form, places)


@pytest.mark.parametrize("part", ODD_PARTS + ODD_MODEL_PARTS)
def test_each_odd_part_by_itself_and_with_a_model(fuzz: Fuzz, part: tuple[bytes, bytes]) -> None:
    for parts in ([part], [part, MODEL_PARTS[0]], [MODEL_PARTS[0], part]):
        check_form(fuzz, FORM, written(parts))


@pytest.mark.parametrize("line", ODD_TYPES)
def test_each_odd_type_by_itself(fuzz: Fuzz, line: bytes) -> None:
    inner = written(MODEL_PARTS[1:]).replace(b"Xb", b"Yb")
    for body in (written(MODEL_PARTS[:1]), written([(b'name="x"', inner), MODEL_PARTS[0]]), b'{"model":"a"}'):
        check_form(fuzz, line, body)
    check_form(fuzz, line, b'{"model":"a","x":"&model=b&"}')


def test_usual_forms_are_taken(fuzz: Fuzz) -> None:
    for part in PARTS:
        assert check_form(fuzz, FORM, written([part, MODEL_PARTS[0]])) == {200}
        assert check_form(fuzz, FORM, written([MODEL_PARTS[0], part])) == {200}
    for name in (b"name=model", b'name="model";', b' name="model"', b'NAME="model"'):
        assert check_form(fuzz, FORM, written([(name, b"a")])) == {200}
    for name in (b'name="file"; filename="model \\"b\\" of C:\\x.wav"', b"name=\"file\"; filename*=utf-8''%c3%a9.wav"):
        assert check_form(fuzz, FORM, written([(name, b"RIFF"), MODEL_PARTS[0]])) == {200}
    body = written(MODEL_PARTS[:1]).replace(b"Xb", b"----WebKitFormBoundary7MA4YWxkTrZu0gW")
    assert check_form(fuzz, WEBKIT, body) == {200}
    assert check_form(fuzz, b"Content-Type: application/json; charset=utf-8\r\n", b'{"model":"a"}') == {200}
