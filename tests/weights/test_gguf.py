"""GGUF files: what their heads say, and what is none."""

from pathlib import Path

import pytest

from swapper.weights import UnreadableError, gguf
from tests.lab.gguf import Tensor, Value, write, write_model

LLAMA: dict[str, Value] = {
    "general.architecture": "llama", "llama.block_count": 32, "llama.context_length": 131072,
    "llama.embedding_length": 4096, "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8,
}  # fmt: skip


def made(path: Path, metadata: dict[str, Value]) -> Path:
    write(path, metadata, [Tensor("token_embd.weight", (4, 4))])
    return path


def test_a_model_of_eight_heads_keeps_128_kib_a_token(tmp_path: Path) -> None:
    path = made(tmp_path / "a.gguf", LLAMA)
    found = gguf.weights(path, gguf.read(path))
    assert (found.engine, found.architecture, found.context) == ("llama", "llama", 131072)
    assert (found.cache.token, found.cache.of(8192)) == (128 << 10, 1 << 30)
    assert (found.size, found.width, found.capabilities) == (path.stat().st_size, 4096, ())


def test_layers_may_differ_and_heads_may_have_a_length_of_their_own(tmp_path: Path) -> None:
    more: dict[str, Value] = {
        "llama.block_count": 4, "llama.attention.head_count_kv": [8, 0, 8, 0],
        "llama.attention.key_length": 256, "llama.attention.value_length": 128,
    }  # fmt: skip
    path = made(tmp_path / "a.gguf", LLAMA | more)
    assert gguf.weights(path, gguf.read(path)).cache.token == 16 * (256 + 128) * 2


def test_the_tiny_model_is_read_with_its_vocabulary(tmp_path: Path) -> None:
    write_model(tmp_path / "a.gguf", "Hello!", size_mb=3000)
    found = gguf.weights(tmp_path / "a.gguf", gguf.read(tmp_path / "a.gguf"))
    assert found.architecture == "llama"
    assert found.size > 3e9


@pytest.mark.parametrize(
    ("more", "capabilities"),
    [
        ({"general.architecture": "bert", "bert.block_count": 6}, ("embeddings",)),
        ({"general.architecture": "qwen3", "general.name": "Qwen3 Embedding 0.6B", "qwen3.block_count": 6,
          "qwen3.pooling_type": 3}, ("embeddings",)),
        ({"general.architecture": "qwen3", "qwen3.block_count": 6, "qwen3.pooling_type": 1}, ()),
        ({"general.architecture": "qwen3", "qwen3.block_count": 6, "qwen3.pooling_type": 4}, ("rerank",)),
    ],
)  # fmt: skip
def test_what_it_is_for(tmp_path: Path, more: dict[str, Value], capabilities: tuple[str, ...]) -> None:
    path = made(tmp_path / "a.gguf", more)
    assert gguf.weights(path, gguf.read(path)).capabilities == capabilities


def test_a_projector_tells_what_it_is_for(tmp_path: Path) -> None:
    path = made(tmp_path / "a.gguf", {"general.architecture": "clip", "clip.has_audio_encoder": True})
    head = gguf.read(path)
    assert (head.projector, head.senses) == (True, ("audio",))


def test_parts_are_one_model_and_all_of_them_are_there(tmp_path: Path) -> None:
    files = [made(tmp_path / f"a-{number:05d}-of-00003.gguf", LLAMA) for number in (1, 2, 3)]
    assert gguf.parts(files[0]) == tuple(files)
    assert gguf.weights(files[0], gguf.read(files[0])).size == sum(file.stat().st_size for file in files)
    files[2].unlink()
    with pytest.raises(UnreadableError, match=r"a-00003-of-00003\.gguf is not there"):
        gguf.parts(files[0])


def test_what_is_cut_off_anywhere_or_something_else_is_told_as_such(tmp_path: Path) -> None:
    whole = made(tmp_path / "a.gguf", LLAMA).read_bytes()
    path = tmp_path / "b.gguf"
    head = whole.index(b"token_embd")
    for data in (b"", b"GGUF", b"GGML" + whole[4:], b"PK\3\4" * 40, *(whole[:end] for end in range(5, head - 8, 7))):
        path.write_bytes(data)
        with pytest.raises(UnreadableError):
            gguf.read(path)
