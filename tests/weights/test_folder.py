"""Folders of the Hugging Face hub."""

import json
from pathlib import Path
from typing import Any

import pytest

from swapper.weights import UnreadableError, folder

TEXT = {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "hidden_size": 1024, "max_position_embeddings": 40960}  # fmt: skip


def made(path: Path, config: dict[str, Any]) -> Path:
    (path / "config.json").write_text(json.dumps(config))
    (path / "model-00001-of-00002.safetensors").write_bytes(b"x" * 700)
    (path / "model-00002-of-00002.safetensors").write_bytes(b"x" * 300)
    (path / "pytorch_model.bin").write_bytes(b"x" * 5000)
    return path


def test_a_language_model(tmp_path: Path) -> None:
    found = folder.weights(made(tmp_path, {"architectures": ["Qwen3ForCausalLM"], **TEXT}))
    assert (found.engine, found.architecture, found.size, found.context) == ("vllm", "Qwen3ForCausalLM", 1000, 40960)
    assert found.cache.token == 28 * 8 * 128 * 2 * 2
    assert found.capabilities == ()


@pytest.mark.parametrize(
    ("config", "capabilities"),
    [
        ({"architectures": ["Qwen3VLForConditionalGeneration"], "text_config": TEXT, "vision_config": {}},
         ("chat", "completions", "vision")),
        ({"architectures": ["Qwen3ASRForConditionalGeneration"],
          "thinker_config": {"text_config": TEXT, "audio_config": {}}}, ("chat", "audio", "transcription")),
        ({"architectures": ["WhisperForConditionalGeneration"], **TEXT}, ("audio", "transcription")),
        ({"architectures": ["Qwen2AudioForConditionalGeneration"], "text_config": TEXT, "audio_config": {}},
         ("chat", "completions", "audio")),
    ],
)  # fmt: skip
def test_models_of_several_parts(tmp_path: Path, config: dict[str, Any], capabilities: tuple[str, ...]) -> None:
    found = folder.weights(made(tmp_path, config))
    assert (found.context, found.capabilities) == (40960, capabilities)


@pytest.mark.parametrize("text", ["", "{", "[]", None])
def test_what_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(UnreadableError):
        folder.weights(tmp_path)
