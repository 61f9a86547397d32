"""Writes the projector that gives a tiny model of gguf.py eyes or ears on a real llama-server.

A real encoder of two blocks, as Qwen3-VL and Qwen3-ASR have it, whose weights are all zero: the picture or the
recording is decoded, cut into patches, encoded and counted in ``usage.prompt_tokens``, and its embeddings are zero.  So
the model says what it always says.

Needs the standard library and Python 3.11::

    python3 tests/lab/mmproj.py vision|audio OUT
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a script

from tests.lab.gguf import EMBEDDING, Tensor, Value, write

WIDTH = 64  # of the encoder
FEED_FORWARD = 128
BLOCKS = 2
PATCH = 16  # pixels
MERGED = 4  # patches that make one token
CHANNELS = 16  # of the convolutions over the spectrogram
MEL_BINS = 128


def vision() -> tuple[dict[str, Value], list[Tensor]]:
    """The metadata and the tensors of a Qwen3-VL encoder."""
    metadata: dict[str, Value] = {
        **_common("vision"),
        "clip.has_vision_encoder": True, "clip.projector_type": "qwen3vl_merger", "clip.use_gelu": True,
        "clip.vision.image_size": 128, "clip.vision.patch_size": PATCH, "clip.vision.spatial_merge_size": 2,
        "clip.vision.image_mean": [0.5] * 3, "clip.vision.image_std": [0.5] * 3,
        "clip.vision.is_deepstack_layers": [False] * BLOCKS,
    }  # fmt: skip
    tensors = [
        *_pair("v.patch_embd", (PATCH, PATCH, 3, WIDTH)),
        Tensor("v.patch_embd.weight.1", (PATCH, PATCH, 3, WIDTH)),  # the second of two frames
        Tensor("v.position_embd.weight", (WIDTH, (128 // PATCH) ** 2)),
        *_pair("v.post_ln", (WIDTH,)),
        *_pair("mm.0", (MERGED * WIDTH, MERGED * WIDTH)),
        *_pair("mm.2", (MERGED * WIDTH, EMBEDDING)),
    ]
    for block in range(BLOCKS):
        tensors += _pair(f"v.blk.{block}.attn_qkv", (WIDTH, 3 * WIDTH))
        tensors += _block(f"v.blk.{block}")
    return metadata, tensors


def audio() -> tuple[dict[str, Value], list[Tensor]]:
    """The metadata and the tensors of a Qwen3-ASR encoder."""
    metadata: dict[str, Value] = {
        **_common("audio"),
        "clip.has_audio_encoder": True, "clip.audio.projector_type": "qwen3a", "clip.audio.num_mel_bins": MEL_BINS,
    }  # fmt: skip
    tensors = [
        Tensor("a.position_embd.weight", (WIDTH, 1500)),
        Tensor("a.conv_out.weight", (MEL_BINS // 8 * CHANNELS, WIDTH)),
        *_pair("a.post_ln", (WIDTH,)),
        *_pair("mm.a.mlp.1", (WIDTH, WIDTH)),
        *_pair("mm.a.mlp.2", (WIDTH, EMBEDDING)),
    ]
    for number, inputs in enumerate((1, CHANNELS, CHANNELS), 1):
        tensors.append(Tensor(f"a.conv2d.{number}.weight", (3, 3, inputs, CHANNELS)))
        tensors.append(Tensor(f"a.conv2d.{number}.bias", (1, 1, CHANNELS)))
    for block in range(BLOCKS):
        for name in ("attn_q", "attn_k", "attn_v"):
            tensors += _pair(f"a.blk.{block}.{name}", (WIDTH, WIDTH))
        tensors += _block(f"a.blk.{block}")
    return metadata, tensors


def _common(kind: str) -> dict[str, Value]:
    prefix = f"clip.{kind}."
    return {
        "general.architecture": "clip", "general.type": "mmproj", "general.name": f"tiny-{kind}",
        "general.file_type": 0, prefix + "projection_dim": EMBEDDING, prefix + "embedding_length": WIDTH,
        prefix + "feed_forward_length": FEED_FORWARD, prefix + "block_count": BLOCKS,
        prefix + "attention.head_count": 2, prefix + "attention.layer_norm_epsilon": 1e-6,
    }  # fmt: skip


def _block(prefix: str) -> Iterator[Tensor]:
    yield from _pair(f"{prefix}.ln1", (WIDTH,))
    yield from _pair(f"{prefix}.ln2", (WIDTH,))
    yield from _pair(f"{prefix}.attn_out", (WIDTH, WIDTH))
    yield from _pair(f"{prefix}.ffn_up", (WIDTH, FEED_FORWARD))
    yield from _pair(f"{prefix}.ffn_down", (FEED_FORWARD, WIDTH))


def _pair(name: str, shape: tuple[int, ...]) -> list[Tensor]:
    """A weight and its bias."""
    return [Tensor(f"{name}.weight", shape), Tensor(f"{name}.bias", shape[-1:])]


def write_projector(path: Path, kind: str) -> None:
    """Writes a projector for "vision" or "audio".

    Raises:
        OSError: if the file cannot be written.
    """
    write(path, *(vision() if kind == "vision" else audio()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a projector for a tiny model.")
    parser.add_argument("kind", choices=("vision", "audio"))
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    write_projector(arguments.out, arguments.kind)


if __name__ == "__main__":
    main()
