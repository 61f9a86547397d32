"""Tables of keys: the reader takes every key that they have, and a schema refuses nothing that the reader takes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from swapper.config import ConfigErrors, load
from swapper.config import keywords as words
from swapper.config.nodes import Reader, Value
from swapper.config.table import Key, Table, keys_of
from swapper.telegram import settings as bot
from tests.config.editor import as_json

WHERE: dict[type[Table], tuple[Callable[[Path], object], str]] = {
    words.TopKeys: (load, "{%s}"),
    words.ModelKeys: (load, "models: {x: {%s}}"),
    words.FilterKeys: (load, "models: {x: {engine: llama, model: x, filters: {%s}}}"),
    words.GpuKeys: (load, "gpus: {0: {%s}}"),
    words.TurnKeys: (load, "turns: {%s}"),
    words.GroupKeys: (load, "groups: {x: {%s}}"),
    words.EngineKeys: (load, "engines: {llama: {%s}}"),
    words.MediaKeys: (load, "media: {%s}"),
    words.RouterKeys: (load, "router: {%s}"),
    words.ApiKeyKeys: (load, "keys: {x: {%s}}"),
    bot.TopKeys: (bot.load, "{%s}"),
    bot.AllowKeys: (bot.load, "allow: {%s}"),
    bot.CodexKeys: (bot.load, "codex: {%s}"),
    bot.SenseKeys: (bot.load, "senses: {%s}"),
}
"""Where the keys of each table stand, and who reads them."""

ALL = [(table, name) for table in WHERE for name in keys_of(table)]


def test_there_is_no_other_table() -> None:
    assert set(WHERE) == set(Table.__subclasses__())


@pytest.mark.parametrize(("table", "name"), ALL)
def test_every_key_is_read(table: type[Table], name: str, tmp_path: Path) -> None:
    read, around = WHERE[table]
    file = tmp_path / "any.yaml"
    file.write_text(around % f"{name}: [[x]]")  # nothing may be written like that
    with pytest.raises(ConfigErrors) as caught:
        read(file)
    # A group names itself, and has one key.
    assert any(f"'{name}'" in error.message or table is words.GroupKeys for error in caught.value.errors)


@pytest.mark.parametrize(("table", "name"), ALL)
def test_what_is_usual_may_be_written(table: type[Table], name: str) -> None:
    key = keys_of(table)[name]
    if not isinstance(key, Key) or key.usual in {None, (), ""}:
        return
    reader = Reader()
    node = yaml.compose(json.dumps(key.kind.plain(key.usual)), Loader=yaml.SafeLoader)
    assert node is not None
    assert key.kind.read(reader, Value("", node), name) == key.usual
    assert reader.errors == []


def kinds() -> Iterator[Key[object, object]]:
    for table, name in ALL:
        key = keys_of(table)[name]
        if isinstance(key, Key) and name not in {"set", "env"}:
            yield key


scalars = st.one_of(
    st.text(max_size=8),
    st.text(alphabet="0123456789.%GMiBsmhd /~-:[]abcnever,*@\t", max_size=10),
    st.from_regex(r"[0-9]{1,3}(\.[0-9])? ?(%|s|min|h|GiB|MB|B)", fullmatch=True),
    st.sampled_from(["true", "yes", "Off", "never", "llama", "low", "park", "pack", "on", "codex", "chat", "~"]),
    st.sampled_from(["/a/b", "a b", "h:80", "[fd00::1]:80", "fd00::/8", "10.0.0.0/8", "*", "http://x", "https://x:3/y"]),
)


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(list(kinds())), scalars, st.booleans(), st.booleans())
def test_a_schema_refuses_nothing_that_the_reader_takes(
    key: Key[object, object], text: str, quoted: bool, listed: bool
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    written = json.dumps(text) if quoted else text
    written = f"[{written}]" if listed else written
    try:
        node = yaml.compose(written, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return
    if node is None or node.tag.endswith(":null") or isinstance(node, yaml.MappingNode):
        return
    reader = Reader()
    key.kind.read(reader, Value("", node), "it")
    if not reader.errors:
        assert jsonschema.Draft7Validator(key.kind.schema).is_valid(as_json(written)), written
