"""Writes a GGUF model with which a real llama-server ranks documents: those that end in "!" before all others.

The architecture is ``qwen3``, as Qwen3-Reranker has it, with one block that adds nothing.  So the last token alone
decides, and the rerank template lets that be the document's last byte.

Needs the standard library and Python 3.11::

    python3 tests/lab/ranker.py OUT          # serve it with --reranking
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a script

from tests.lab.gguf import EMBEDDING, FEED_FORWARD, Tensor, Value, model, write

RANK = 4  # llama.cpp's number for pooling that ranks
BLOCK = {
    "attn_norm": (EMBEDDING,), "attn_q": (EMBEDDING, 64), "attn_k": (EMBEDDING, 64), "attn_v": (EMBEDDING, 64),
    "attn_output": (64, EMBEDDING), "attn_q_norm": (64,), "attn_k_norm": (64,), "ffn_norm": (EMBEDDING,),
    "ffn_gate": (EMBEDDING, FEED_FORWARD), "ffn_up": (EMBEDDING, FEED_FORWARD), "ffn_down": (FEED_FORWARD, EMBEDDING),
}  # fmt: skip


def write_ranker(path: Path) -> None:
    """Writes the model.

    Raises:
        OSError: if the file cannot be written.
    """
    talker, (tokens, _, norm, *_) = model("Yes.", then="", name="ranker", blocks=1, experts=1)
    metadata: dict[str, Value] = {
        key.replace("llama.", "qwen3."): value for key, value in talker.items() if "expert" not in key
    }
    metadata |= {
        "general.architecture": "qwen3", "qwen3.pooling_type": RANK, "qwen3.rope.freq_base": 10000.0,
        "qwen3.classifier.output_labels": ["yes", "no"], "tokenizer.chat_template.rerank": "{query}\n{document}",
    }  # fmt: skip
    # A logit each for yes and no, from a token's one-hot embedding: yes for "!", no for the others.
    labels = {EMBEDDING + token: 0.1 for token in range(EMBEDDING)} | {ord("!"): 0.2, EMBEDDING + ord("!"): 0.0}
    block = [Tensor(f"blk.0.{name}.weight", shape) for name, shape in BLOCK.items()]
    write(path, metadata, [tokens, norm, Tensor("cls.output.weight", (EMBEDDING, 2), labels), *block])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a GGUF model that ranks documents.")
    parser.add_argument("out", type=Path)
    write_ranker(parser.parse_args().out)


if __name__ == "__main__":
    main()
