"""Odd JSON: a body is taken only where every reader finds the same one model in it."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapper.router.errors import ApiError
from swapper.router.wire.found import Found
from swapper.router.wire.ports import FetchedMedia
from swapper.router.wire.scan import JsonScanner, inspect
from tests.router.fuzz import FUZZ, LIMIT, MODELS, Fuzz, fuzzing, request


class NoMedia:
    """Refuses whatever is named by URL."""

    async def fetch(self, urls: Sequence[str], room: int) -> Mapping[str, FetchedMedia]:
        """Fetch nothing."""
        raise ApiError("media_refused", f"{len(urls)} URLs, {room} bytes.")


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    """One lab for all; bodies above 1 KiB go to the disk, and through the other scanner."""
    directory: Path = tmp_path_factory.mktemp("fuzz")
    with fuzzing(directory, memory_limit=LIMIT) as made:
        made.lab.use(media=NoMedia())
        yield made


# As text: what a library writes would be too tame.

SPACES = ["", "", "", " ", "\n", "\t\r\n"]
ODD_SPACES = ["\x0b", "\x0c", "\xa0", "\u2028", "\ufeff", "/**/", "//\n", "\0"]
KEYS = [
    '"messages"', '"x"', '"input"', '"Model"', '"model "', '"stream"', '"mod\\\\el"', '"\\"model\\""',
    '"model\\u0000"', '"\\ud800"', '"é"', '"m\\u00f6del"', '""', '"image_url"',
]  # fmt: skip
MODEL_KEYS = [
    '"model"', '"model"', '"model"', '"mod\\u0065l"', '"\\u006dodel"', '"\\u006D\\u006F\\u0064\\u0065\\u006C"',
]  # fmt: skip
ODD_KEYS = ["model", "'model'", '"model', "1", "null", '"mo\ndel"', '"mo\\del"', '"mo\\u00"', '"\udce9"', "{}", ""]
NAMES = ['"a"', '"b"', '"\\u0061"']
ODD_NAMES = [
    '"A"', '"a\\u0000"', '" a"', '"a\\ud800"', '"\\ud83d\\ude00"', '""', "null", "1", "true", '["a"]',
    '{"model":"a"}', "a", '"a', '"' + "a" * 2000 + '"', '"\\u202e\\u0000\\u001b[0m"',
]  # fmt: skip
VALUES = [
    "1", "-0.5e-3", "1e400", "[]", "{}", "null", '"text"', '{"model":"b"}', '[{"model":"b"}]',
    '"\\"model\\":\\"b\\""', '[{"role":"user","content":"model"}]', '{"image_url":{"url":"data:,"}}',
    '[{"content":[{"type":"text"}]}]', "9" * 4000, "[" * 200 + "]" * 200, '{"a":' * 100 + "1" + "}" * 100,
    '"' + "é😀" * 300 + '"', "true", '[{"image_url":{"url":"http://h/x"}}]', "[" + "1," * 400 + "1]", '"\\ud800"',
    '"' + "x" * 1500 + '"',
]  # fmt: skip
ODD_VALUES = [
    "NaN", "-Infinity", "01", "+1", ".5", "1.", "0x1", "1_0", "'x'", "undefined", "True", "[1,]", "{,}", "[,]", "1 2",
    '"\t"', '"\0"', '"\\x41"', '"\\u12"', '"\udce9"', "9" * 5000, "[" * 2000, '{"a":' * 2000, "", "]", "}", '"\\',
    "-", "1e", "[" * 3000 + "]" * 3000,
]  # fmt: skip


def mostly(usual: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """One of the usual, and now and then an odd one."""
    return st.integers(0, 29).flatmap(lambda dice: st.sampled_from(odd if dice == 17 else usual))


@st.composite
def members(draw: st.DrawFn) -> str:
    """A member of an object."""
    space = [draw(mostly(SPACES, ODD_SPACES)) for _ in range(4)]
    if draw(st.integers(0, 3)) == 0:
        name, value = draw(st.sampled_from(MODEL_KEYS)), draw(mostly(NAMES, ODD_NAMES))
    else:
        name, value = draw(mostly(KEYS, ODD_KEYS)), draw(mostly(VALUES, ODD_VALUES))
    colon = draw(mostly([":"], ["=", "::", ""]))
    return space[0] + name + space[1] + colon + space[2] + value + space[3]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A body that is JSON, or nearly."""
    inner = draw(st.lists(members(), max_size=4))
    name = draw(st.sampled_from(MODEL_KEYS)) + ":" + draw(mostly(NAMES, ODD_NAMES))
    if draw(st.integers(0, 9)) != 7:
        inner.insert(draw(st.integers(0, len(inner))), name)
    comma = draw(mostly([","], [";", ",,", " ", ""]))
    begin, end = draw(mostly(["{"], ["[", "", "{{", "\ufeff{", "{,"])), draw(mostly(["}"], ["]", "", "}}", ",}"]))
    after = draw(mostly(SPACES, [*ODD_SPACES, "{}", "null", "x", '{"model":"b"}']))
    text = draw(mostly(SPACES, ODD_SPACES)) + begin + comma.join(inner) + end + after
    form = draw(st.integers(0, 39))
    encoding = {7: "utf-16", 17: "utf-32-be", 27: "utf-16-le"}.get(form, "utf-8")
    return text.encode(encoding, "surrogatepass" if encoding != "utf-8" or form % 2 else "surrogateescape")


def strictly(body: bytes) -> list[object] | None:
    """The values of `model` at the top of a body, by the standard library; None when that is no JSON object."""
    top: list[tuple[str, object]] = []

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        top[:] = found
        return dict(found)

    def refuse(name: str) -> object:
        raise ValueError(name)

    try:
        if not isinstance(json.loads(body.decode(), object_pairs_hook=pairs, parse_constant=refuse), dict):
            return None
    except (ValueError, RecursionError):
        return None
    return [value for key, value in top if key == "model"]


def says(body: bytes, places: Sequence[int] | None) -> Found | str:
    """What the scanner says of it, cut at these places; or, without any, `inspect`."""
    try:
        if places is None:
            return inspect(body)
        scanner = JsonScanner()
        for start, end in itertools.pairwise(sorted({0, len(body), *(place % (len(body) + 1) for place in places)})):
            scanner.feed(body[start:end])
        return scanner.finish()
    except ApiError as error:
        return error.code


def too_much(body: bytes) -> bool:
    """Whether the two may differ: the scanner bounds the depth, and the length of numbers with a point."""
    return body.count(b"[") + body.count(b"{") > 900 or b"9" * 4000 in body


cuts = st.lists(st.integers(0, 5000), max_size=20)


@FUZZ
@given(documents(), cuts)
@example(b'{"model":"a","\\ud800":1}', [])
@example(b'\xef\xbb\xbf{"model":"a"}', [1, 2, 3])
@example(b'{"model":"a","x":"\xed\xa0\x80"}', [18])
@example(b'{"model":"a","x":"\xc0\x80"}', [])
@example(b'{"model":"a"}\0', [13])
def test_both_readers_of_json_say_what_the_standard_librarys_says(body: bytes, places: list[int]) -> None:
    expected = strictly(body)
    for said in (says(body, None), says(body, places), says(body, [])):
        if isinstance(said, Found):
            assert expected == [said.model]
        elif not too_much(body):
            assert said == ("invalid_json" if expected is None else "duplicate_model" if len(expected) > 1 else
                            "model_missing" if not expected else "model_invalid")  # fmt: skip


def test_a_tower_of_brackets_is_no_hang_and_no_crash() -> None:
    for tower in (b"[" * 2_000_000, b'{"a":' * 500_000, b"[" * 500_000 + b"]" * 500_000, b'[{"a":[' * 200_000):
        for body in (b'{"model":"a","x":' + tower + b"}", b'{"x":' + tower + b',"model":"a"}', tower):
            assert says(body, None) == says(body, range(0, len(body), 65536)) == "invalid_json"


@FUZZ
@given(documents(), cuts)
def test_json_that_reaches_an_engine_names_one_model_to_everybody(fuzz: Fuzz, body: bytes, places: list[int]) -> None:
    outcome = fuzz.send(request(body) * 2, places)
    statuses = [reply.status for reply in outcome.replies]
    named = strictly(body)
    if 200 in statuses:
        assert named is not None
        assert len(named) == 1
        assert named[0] in MODELS
    elif named is not None and len(named) == 1 and isinstance(named[0], str) and named[0] in MODELS:
        assert too_much(body) or {reply.status for reply in outcome.replies} == {400}
        assert too_much(body) or all(b"media_refused" in reply.body for reply in outcome.replies)
    assert set(statuses) <= {200, 400, 404}
