"""What keeps a model from being whole, seen on real files."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from swapper.config import Model
from swapper.engines import ENGINES


def missing(model: Model) -> tuple[str, ...]:
    return ENGINES[model.engine].missing(model)


def gguf(path: Path) -> Path:
    path.write_bytes(b"GGUF")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model for vLLM, in three shards."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    shards = {f"layer.{number}": f"model-{number}-of-3.safetensors" for number in (1, 2, 3)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    for name in shards.values():
        (folder / name).write_bytes(b"weights")
    return folder


def test_a_file_that_is_there(tmp_path: Path) -> None:
    assert missing(Model("x", "llama", gguf(tmp_path / "x.gguf"))) == ()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    model = Model("x", "llama", tmp_path / "x.gguf", mmproj=tmp_path / "deeper" / "p.gguf")
    assert missing(model) == (f"file {model.model} is not there", f"file {model.mmproj} is not there")


@pytest.mark.parametrize("suffix", [".part", ".incomplete", ".downloadInProgress", ".crdownload"])
def test_a_download_that_has_not_ended(tmp_path: Path, suffix: str) -> None:
    model = Model("x", "llama", tmp_path / "x.gguf")
    partial = gguf(tmp_path / f"x.gguf{suffix}")
    assert missing(model) == (f"still downloading: {partial}",)
    partial.rename(model.model)
    assert missing(model) == ()


def test_aria2_writes_to_the_final_name(tmp_path: Path) -> None:
    model = Model("x", "llama", gguf(tmp_path / "x.gguf"))
    control = gguf(tmp_path / "x.gguf.aria2")
    assert missing(model) == (f"still downloading: {control}",)


def test_an_empty_file_and_a_pointer(tmp_path: Path) -> None:
    model = Model("x", "llama", tmp_path / "x.gguf")
    model.model.touch()
    assert missing(model) == (f"file {model.model} is empty",)
    model.model.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert missing(model) == (f"file {model.model} is a pointer of Git LFS, not the file itself: run 'git lfs pull'",)


def test_a_split_file_needs_all_its_parts(tmp_path: Path) -> None:
    paths = [tmp_path / f"x-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    model = Model("x", "llama", gguf(paths[0]))
    gguf(paths[2])
    assert ENGINES["llama"].files(model) == tuple(paths)
    assert missing(model) == (f"file {paths[1]} is not there",)
    gguf(paths[1])
    assert missing(model) == ()


def test_a_directory_in_place_of_a_gguf_file(tmp_path: Path) -> None:
    model = Model("x", "llama", tmp_path)
    assert missing(model) == (f"{tmp_path} is a directory: there is no .gguf file in it either",)
    inside = gguf(tmp_path / "inside.gguf")
    assert missing(model) == (f"{tmp_path} is a directory: name the file, such as {inside}",)


def test_a_whole_directory(folder: Path) -> None:
    model = Model("x", "vllm", folder)
    assert missing(model) == ()
    assert set(ENGINES["vllm"].files(model)) == {folder, *folder.iterdir()}


def test_what_a_load_reads_by_way_of_the_page_cache(folder: Path, tmp_path: Path) -> None:
    (folder / "pytorch_model.bin").touch()
    shards = [folder / f"model-{number}-of-3.safetensors" for number in (1, 2, 3)]
    assert list(ENGINES["vllm"].cached(Model("x", "vllm", folder))) == shards
    assert ENGINES["vllm"].cached(Model("x", "vllm", tmp_path / "nowhere")) == ()
    llama = Model("x", "llama", tmp_path / "x.gguf", mmproj=tmp_path / "p.gguf")
    assert ENGINES["llama"].cached(llama) == (tmp_path / "x.gguf", tmp_path / "p.gguf")
    for past in ({"args": ("-lm", "dio")}, {"args": ("--load-mode=dio",)}, {"env": (("LLAMA_ARG_LOAD_MODE", "dio"),)}):
        assert ENGINES["llama"].cached(replace(llama, **past)) == ()


def test_an_index_that_names_shards_which_are_not_there(folder: Path) -> None:
    (folder / "model-2-of-3.safetensors").unlink()
    (fault,) = missing(Model("x", "vllm", folder))
    shard = folder / "model-2-of-3.safetensors"
    assert fault == f"shard 2 of 3 named by model.safetensors.index.json: file {shard} is not there"


def test_a_shard_that_is_downloading(folder: Path) -> None:
    partial = (folder / "model-3-of-3.safetensors").rename(folder / "model-3-of-3.safetensors.part")
    faults = missing(Model("x", "vllm", folder))
    assert faults[0] == f"still downloading: {partial}"
    assert "shard 3 of 3" in faults[1]


@pytest.mark.parametrize("index", [b"{", b"[]", b"{}", b'{"weight_map": []}', b""])
def test_an_index_that_is_broken(folder: Path, index: bytes) -> None:
    (folder / "model.safetensors.index.json").write_bytes(index)
    (fault,) = missing(Model("x", "vllm", folder))
    assert "is not an index of shards" in fault


def test_a_directory_without_config_or_weights(tmp_path: Path) -> None:
    faults = missing(Model("x", "vllm", tmp_path))
    assert faults == (f"file {tmp_path / 'config.json'} is not there", f"there are no weights in {tmp_path}")
    assert missing(Model("x", "vllm", tmp_path / "absent")) == (f"directory {tmp_path / 'absent'} is not there",)
    file = gguf(tmp_path / "file")
    assert missing(Model("x", "vllm", file)) == (f"{file} is not a directory",)


def test_what_may_not_be_seen_is_left_to_the_engine(tmp_path: Path, folder: Path) -> None:
    tmp_path.chmod(0o755)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    folder.rename(hidden / "model")
    hidden.chmod(0)
    child = os.fork()
    if child == 0:  # as somebody who may not look: root may always
        if os.getuid() == 0:
            for parent in tmp_path.parents[:2]:
                parent.chmod(0o755)
            os.setuid(65534)
        models = Model("x", "llama", hidden / "x.gguf"), Model("y", "vllm", hidden / "model")
        os._exit(0 if [missing(model) for model in models] == [(), ()] else 1)
    _, status = os.waitpid(child, 0)
    hidden.chmod(0o755)
    assert status == 0
    assert missing(Model("x", "llama", hidden / "x.gguf")) != ()
