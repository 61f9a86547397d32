"""Filters change the keys that they name, and nothing else."""

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from swapper.config import Filters
from swapper.router.wire.filters import FilterScanner

NAMES = ("temperature", "top_k", "ключ", 'quo"te', "seed")
NAME = st.sampled_from(NAMES) | st.text(max_size=8)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["{", '"', "\\", ",", "}]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=8,
)


def applied(body: bytes, filters: Filters, cuts: tuple[int, ...] = ()) -> bytes:
    """The body as an engine gets it, when it came in pieces cut there."""
    scanner = FilterScanner(filters)
    start = 0
    for stop in (*sorted(cut % (len(body) + 1) for cut in cuts), len(body)):
        scanner.feed(body[start:stop])
        start = stop
    result, position = b"", 0
    for edit in scanner.edits():
        assert edit.start >= position
        result += body[position : edit.start] + edit.instead
        position = edit.end
    return result + body[position:]


def filters_of(given_set: Mapping[str, object], strip: tuple[str, ...]) -> Filters:
    return Filters(tuple((name, json.dumps(value)) for name, value in given_set.items()), strip)


@given(
    members=st.lists(st.tuples(NAME, VALUE), max_size=8),
    given_set=st.dictionaries(NAME, VALUE, max_size=3),
    strip=st.lists(NAME, max_size=3).map(tuple),
    cuts=st.lists(st.integers(min_value=0), max_size=5).map(tuple),
    spaced=st.booleans(),
    ascii_only=st.booleans(),
)
def test_the_object_is_what_the_filter_says(
    members: list[tuple[str, object]],
    given_set: dict[str, object],
    strip: tuple[str, ...],
    cuts: tuple[int, ...],
    spaced: bool,
    ascii_only: bool,
) -> None:
    space = " \n" if spaced else ""
    text = ("," + space).join(
        f"{json.dumps(name, ensure_ascii=ascii_only)}{space}:{space}{json.dumps(value, ensure_ascii=ascii_only)}{space}"
        for name, value in members
    )
    body = f"{space}{{{space}{text}}}{space}".encode(errors="surrogatepass")
    changed = {*given_set, *strip}
    result = json.loads(applied(body, filters_of(given_set, strip), cuts), object_pairs_hook=list)
    assert result == [
        *((name, _pairs(value)) for name, value in given_set.items()),
        *((name, _pairs(value)) for name, value in members if name not in changed),
    ]


def _pairs(value: object) -> object:
    """A value as `object_pairs_hook=list` gives it."""
    return json.loads(json.dumps(value), object_pairs_hook=list)


def test_what_is_kept_keeps_its_bytes() -> None:
    body = b'{"a" : 1.0e0,\n "top_k":5 , "b":"\\u0041" }'
    assert applied(body, Filters((("t", "0.5"),), ("top_k",))) == b'{"t":0.5,"a" : 1.0e0,\n "b":"\\u0041" }'


def test_a_key_is_found_however_it_is_written() -> None:
    assert applied(b'{"top\\u005fk": 5, "a": 1}', Filters((), ("top_k",))) == b'{"a": 1}'


def test_keys_further_down_are_left_alone() -> None:
    body = b'{"x": {"top_k": 5}, "y": [{"top_k": 6}]}'
    assert applied(body, Filters((), ("top_k",))) == body
