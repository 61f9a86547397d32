"""A folder in the layout of the Hugging Face hub: `config.json` says what it is, safetensors what it weighs.

Format: the `transformers` library's "PretrainedConfig"; models of several parts have the language model's numbers in
`text_config`, or, as Qwen3-ASR does, in `thinker_config.text_config`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swapper.weights import Cache, UnreadableError, Weights

CONFIG = "config.json"

_CACHED = 2
"""Bytes of a value in vLLM's cache: as the model's own, which has 16 bits."""

_WEIGHTS = ("*.safetensors", "*.bin")
_INNER = ("thinker_config", "text_config", "llm_config", "language_config")
_SENSES = (("vision", ("vision_config", "visual")), ("audio", ("audio_config", "audio_encoder")))


def weights(folder: Path) -> Weights:
    """What a folder tells.

    Raises:
        UnreadableError: It is no such folder.
        OSError: It cannot be read.
    """
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except FileNotFoundError as error:
        raise UnreadableError(f"there is no {CONFIG} in {folder}") from error
    except ValueError as error:
        raise UnreadableError(f"{folder / CONFIG} is no JSON, or not all there") from error
    if not isinstance(config, dict):
        raise UnreadableError(f"{folder / CONFIG} says nothing of a model")
    text = _text(config)
    architecture = next(iter(config.get("architectures") or ()), "")
    return Weights(
        engine="vllm",
        architecture=str(architecture),
        size=next((size for pattern in _WEIGHTS if (size := _size(folder, pattern))), 0),
        context=_number(text, "max_position_embeddings") or None,
        cache=_cache(text),
        capabilities=_capabilities(config, str(architecture)),
        width=_number(text, "hidden_size"),
    )


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part."""
    for name in _INNER:
        inner = config.get(name)
        if isinstance(inner, dict):
            return _text(inner)
    return config


def _cache(text: Mapping[str, Any]) -> Cache:
    heads = _number(text, "num_attention_heads") or 1
    kept = _number(text, "num_key_value_heads") or heads
    length = _number(text, "head_dim") or _number(text, "hidden_size") // heads
    return Cache(_number(text, "num_hidden_layers") * kept * length * 2 * _CACHED)


def _capabilities(config: Mapping[str, Any], architecture: str) -> tuple[str, ...]:
    inner = config.get("thinker_config")
    places = [config, inner] if isinstance(inner, dict) else [config]
    senses = [sense for sense, keys in _SENSES if any(key in place for place in places for key in keys)]
    if "ASR" in architecture or "Whisper" in architecture:
        return ("audio", "transcription") if "Whisper" in architecture else ("chat", "audio", "transcription")
    if not senses:
        return ()
    return ("chat", "completions", *senses)


def _size(folder: Path, pattern: str) -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern))


def _number(config: Mapping[str, Any], key: str) -> int:
    found = config.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
