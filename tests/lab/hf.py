"""Writes model directories that a real vLLM loads and that always answer the same sentence.

The trick is that of ``gguf.py``: a block's output projections are zero, so that the next token depends on the last one
alone; the embedding is one-hot, and ``lm_head`` maps each token to its successor.  Qwen3-ASR says ``language
English<asr_text>`` first, as the true one does.  ``LOOP`` in the user's message gives words without end.

Runs with the packages that vLLM brings (torch, transformers)::

    python3 tests/lab/hf.py qwen3|qwen3-vl|qwen3-asr DIR --reply TEXT
"""

import argparse
import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen3_asr import (
    Qwen3ASRConfig,
    Qwen3ASRFeatureExtractor,
    Qwen3ASRForConditionalGeneration,
    Qwen3ASRProcessor,
)
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a script

from tests.lab.gguf import CERTAIN, EMBEDDING, LOOP_WORDS, byte_alphabet, split

CONTEXT = 32768
END, PADDING, LOOP = "<|im_end|>", "<|endoftext|>", "<|loop|>"
SPECIALS = (PADDING, "<|im_start|>", END, LOOP, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
            "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>", "<timestamp>")  # fmt: skip
HEARD = ("language", " English", "<asr_text>")
CHAT_TEMPLATE = """{%- for m in messages -%}<|im_start|>{{ m.role }}
{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content -%}
{%- if 'image' in c.type %}<|vision_start|><|image_pad|><|vision_end|>
{%- elif 'audio' in c.type %}<|audio_start|><|audio_pad|><|audio_end|>
{%- elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if 'LOOP' in (messages[-1].content | string) %}<|loop|>{% endif %}{% endif %}"""
NAMES: Mapping[str, Mapping[str, str]] = {  # what the processors look up in the tokenizer
    "qwen3": {},
    "qwen3-vl": {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>",
                 "vision_bos_token": "<|vision_start|>", "vision_eos_token": "<|vision_end|>"},
    "qwen3-asr": {"audio_token": "<|audio_pad|>", "audio_bos_token": "<|audio_start|>",
                  "audio_eos_token": "<|audio_end|>"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Speech:
    """What the model says: its tokenizer, and the token that follows each token (None: any other)."""

    tokenizer: Any
    successors: Mapping[int | None, int]

    def id(self, token: str) -> int:
        """The number of a token."""
        number: int = self.tokenizer.convert_tokens_to_ids(token)
        return number


def speech(kind: str, reply: str) -> Speech:
    """A byte-level BPE tokenizer whose last tokens are the words of the reply, and their order."""
    letters = byte_alphabet()

    def encode(text: str) -> str:
        return "".join(letters[byte] for byte in text.encode())

    words = [encode(piece) for piece in split(reply)]
    loop = [encode(f" loop{number:03}") for number in range(LOOP_WORDS)]
    heard = [encode(text) for text in HEARD[:2]] if kind == "qwen3-asr" else []
    merge = (letters[ord(" ")], "t")
    texts = [*letters.values(), "".join(merge), *words, *loop, *heard]
    if len(set(texts)) < len(texts):
        raise ValueError(f"a word of the reply {reply!r} is taken: choose another")
    bare = Tokenizer(models.BPE(vocab={text: number for number, text in enumerate(texts)}, merges=[merge]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    bare.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    bare.add_tokens([AddedToken(HEARD[2], special=False, normalized=False)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token=END, pad_token=PADDING, model_max_length=CONTEXT,
        extra_special_tokens=dict(NAMES[kind]), chat_template=CHAT_TEMPLATE,
    )  # fmt: skip
    ids = tokenizer.convert_tokens_to_ids
    chains: list[list[Any]] = [
        [None, *ids([*heard, HEARD[2]] if heard else []), *ids(words), ids(END)],
        [ids(LOOP), *ids(loop), ids(loop[0])],
    ]
    successors: dict[int | None, int] = {}
    for chain in chains:
        successors |= itertools.pairwise(chain)
    return Speech(tokenizer, successors)


def text_config(said: Speech) -> dict[str, Any]:
    """The language model's sizes."""
    return {
        "vocab_size": EMBEDDING, "hidden_size": EMBEDDING, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": CONTEXT,
        "pad_token_id": said.id(PADDING),
    }  # fmt: skip


def text(said: Speech) -> tuple[Any, Any]:
    """A Qwen3 model, and what it needs besides its weights."""
    config = transformers.Qwen3Config(**text_config(said), tie_word_embeddings=False, eos_token_id=said.id(END))
    return transformers.Qwen3ForCausalLM(config), said.tokenizer


def vision(said: Speech) -> tuple[Any, Any]:
    """A Qwen3-VL model and its processor."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [6, 5, 5], "mrope_interleaved": True}
    encoder = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": EMBEDDING,
        "deepstack_visual_indexes": [0], "num_position_embeddings": 64,
    }  # fmt: skip
    config = transformers.Qwen3VLConfig(
        text_config={**text_config(said), "rope_parameters": rope}, vision_config=encoder,
        image_token_id=said.id("<|image_pad|>"), video_token_id=said.id("<|video_pad|>"),
        vision_start_token_id=said.id("<|vision_start|>"), vision_end_token_id=said.id("<|vision_end|>"),
        tie_word_embeddings=False, eos_token_id=said.id(END),
    )  # fmt: skip
    size = {"shortest_edge": 32 * 32, "longest_edge": 256 * 256}
    patches = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "size": size}
    processor = transformers.Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches), video_processor=Qwen3VLVideoProcessor(**patches),
        tokenizer=said.tokenizer, chat_template=CHAT_TEMPLATE,
    )  # fmt: skip
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def audio(said: Speech) -> tuple[Any, Any]:
    """A Qwen3-ASR model and its processor."""
    encoder = {
        "num_mel_bins": 128, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 128, "d_model": 64,
        "output_dim": EMBEDDING, "downsample_hidden_size": 16,
    }  # fmt: skip
    config = Qwen3ASRConfig(
        text_config={**text_config(said), "model_type": "qwen3", "tie_word_embeddings": False}, audio_config=encoder,
        audio_token_id=said.id("<|audio_pad|>"), timestamp_token_id=said.id("<timestamp>"),
        pad_token_id=said.id(PADDING), eos_token_id=said.id(END), tie_word_embeddings=False,
    )  # fmt: skip
    tokenizer = said.tokenizer
    processor = Qwen3ASRProcessor(
        feature_extractor=Qwen3ASRFeatureExtractor(), tokenizer=tokenizer, chat_template=CHAT_TEMPLATE
    )
    return Qwen3ASRForConditionalGeneration(config), processor


def script(model: Any, said: Speech) -> None:  # noqa: ANN401 -- torch is not there where types are checked
    """Sets the weights so that each token is followed by its successor."""
    language = getattr(model.model, "language_model", model.model)
    for name, weight in language.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.data.zero_()
    numbers = torch.arange(EMBEDDING)
    after = torch.zeros(EMBEDDING, EMBEDDING)
    after[[said.successors.get(number, said.successors[None]) for number in range(EMBEDDING)], numbers] = CERTAIN
    language.embed_tokens.weight.data.copy_(torch.eye(EMBEDDING))
    model.lm_head.weight.data.copy_(after)


def write_model(folder: Path, kind: str, reply: str) -> None:
    """Writes the directory of a model that always says the reply.

    Raises:
        ValueError: if the reply is empty, or has a word that the model needs for itself.
        OSError: if the directory cannot be written.
    """
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    said = speech(kind, reply)
    model, processor = {"qwen3": text, "qwen3-vl": vision, "qwen3-asr": audio}[kind](said)
    script(model, said)
    model.config.dtype = "bfloat16"
    model.to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)
    said.tokenizer.save_pretrained(folder)
    if kind == "qwen3-asr":  # vLLM knows an untied head only by the name that the published checkpoints give it
        weights = load_file(folder / "model.safetensors")
        weights["thinker.lm_head.weight"] = weights.pop("lm_head.weight")
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # an engine runs as another user


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a model directory that always answers the same sentence.")
    parser.add_argument("kind", choices=sorted(NAMES))
    parser.add_argument("dir", type=Path)
    parser.add_argument("--reply", default="Hello from the tiny model.")
    arguments = parser.parse_args()
    write_model(arguments.dir, arguments.kind, arguments.reply)


if __name__ == "__main__":
    main()
