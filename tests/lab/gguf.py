"""Writes a GGUF model that a real llama-server loads in a blink and that always answers the same sentence.

No weights are trained.  The architecture is ``llama`` with one block whose attention and experts are zero, so
that the next token depends on the last one alone: ``token_embd`` is one-hot, and ``output`` maps each token to its
successor.  The model is a Markov chain: its sentence piece by piece, then the end.  Two words in the user's message
change that: ``LOOP`` gives words without end, ``THINK`` a ``<think>`` block before the sentence.  A chat template of
one's own may end in ``<|then|>``, which is answered with a second sentence.

The words of the chain are tokens that no merge leads to, so a prompt is made of single bytes and cannot enter the
chain in its middle.  The embedding of a text is a histogram of its bytes: texts that are alike have embeddings that
are alike.

Needs the standard library and Python 3.11, since it also runs outside the test machine::

    python3 tests/lab/gguf.py OUT --reply TEXT [--size-mb N]

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import argparse
import functools
import itertools
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EMBEDDING = 512  # values a token: at least as many as there are tokens
FEED_FORWARD = 64
EXPERT_SIZE = 4 * 3 * EMBEDDING * FEED_FORWARD  # bytes
MOST_EXPERTS = 512  # a block, says llama.cpp
ALIGNMENT = 32
SENTENCE_PIECES = 128
LOOP_WORDS = 32
CERTAIN = 4.0  # times sqrt(EMBEDDING) as a logit: nothing else is ever sampled, even at temperature 2

NORMAL, CONTROL = 1, 3  # kinds of tokens
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|loop|>", "<|think|>",
            "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|then|>")  # fmt: skip
CHAT_TEMPLATE = (
    "{%- for m in messages -%}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n"
    "{%- if 'LOOP' in (messages[-1]['content'] | string) -%}<|loop|>"
    "{%- elif 'THINK' in (messages[-1]['content'] | string) -%}<|think|>{%- endif -%}{%- endif -%}"
)

Scalar = bool | int | float | str
Value = Scalar | Sequence[Scalar]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of 32-bit floats.

    Attributes:
        name: what llama.cpp calls it.
        shape: lengths, the fastest dimension first.
        values: what is not zero, by its place in memory.
    """

    name: str
    shape: tuple[int, ...]
    values: Mapping[int, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in the file, without padding."""
        return 4 * math.prod(self.shape)


def write(path: Path, metadata: Mapping[str, Value], tensors: Iterable[Tensor]) -> None:
    """Writes a GGUF file.  Zeros become holes, so a file of gigabytes takes no time and no disk.

    Raises:
        OSError: if the file cannot be written.
    """
    tensors = list(tensors)
    offsets = list(itertools.accumulate((_aligned(t.size) for t in tensors), initial=0))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_string(key) + _value(value) for key, value in metadata.items())
    for tensor, offset in zip(tensors, offsets, strict=False):
        head += _string(tensor.name) + struct.pack("<I", len(tensor.shape))
        head += struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, 0, offset)
    with path.open("wb") as file:
        file.write(head)
        start = _aligned(len(head))
        for tensor, offset in zip(tensors, offsets, strict=False):
            for place, value in sorted(tensor.values.items()):
                file.seek(start + offset + 4 * place)
                file.write(struct.pack("<f", value))
        file.truncate(start + offsets[-1])


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Value) -> bytes:
    if isinstance(value, bool | int | float | str):
        kind, raw = _pack(value)
        return struct.pack("<I", kind) + raw
    kind, _ = _pack(value[0])
    kind = 5 if kind == 4 else kind  # llama.cpp wants single numbers unsigned, and lists of them signed
    return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(_pack(item)[1] for item in value)


def _pack(value: Scalar) -> tuple[int, bytes]:
    """GGUF's number for the type, and the value."""
    match value:
        case bool():
            return 7, struct.pack("<?", value)
        case int():
            return 4, struct.pack("<I", value)
        case float():
            return 6, struct.pack("<f", value)
        case str():
            return 8, _string(value)


@functools.cache
def byte_alphabet() -> Mapping[int, str]:
    """GPT-2's printable stand-in for each byte, in the order of the bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = itertools.count(256)
    return {byte: chr(byte) if byte in printable else chr(next(others)) for byte in range(256)}


@dataclass(slots=True)
class Vocabulary:
    """A byte-level BPE vocabulary, and what follows each of its tokens.

    Attributes:
        tokens: the texts in GPT-2's byte alphabet; the first 256 are the bytes.
        successors: the token after each token of the chain; None stands for every token outside of it.
    """

    tokens: list[str] = field(default_factory=lambda: list(byte_alphabet().values()))
    successors: dict[int | None, int] = field(default_factory=dict)

    def add(self, text: str) -> int:
        """Returns the id of the token with this text, which is new unless the text is one byte."""
        encoded = "".join(byte_alphabet()[byte] for byte in text.encode())
        if encoded in self.tokens:
            return self.tokens.index(encoded)
        self.tokens.append(encoded)
        return len(self.tokens) - 1

    def chain(self, start: int | None, pieces: Iterable[str], end: int) -> int:
        """Lets the pieces follow each other, from after start to before end; returns the first one's id."""
        ids = [self.add(piece) for piece in pieces]
        self.successors[start] = ids[0]
        self.successors.update(itertools.pairwise([*ids, end]))
        return ids[0]


def split(sentence: str) -> list[str]:
    """Cuts a sentence into pieces that all differ, a word each where that is possible.

    A token has one successor, so no text may come twice: a word that was there before joins the one after it,
    or at the end the one before it.

    Raises:
        ValueError: if there is no word.
    """
    words = re.findall(r"\s*\S+(?:\s+$)?", sentence)
    if not words:
        raise ValueError("the reply is empty: give it at least one word")
    share = -(-len(words) // SENTENCE_PIECES)
    pieces: list[str] = []
    rest = ""
    for group in range(0, len(words), share):
        rest += "".join(words[group : group + share])
        if rest not in pieces and len(rest.encode()) > 1:
            pieces.append(rest)
            rest = ""
    while rest and pieces and (rest in pieces or len(rest.encode()) == 1):
        rest = pieces.pop() + rest
    return [*pieces, rest] if rest else pieces


def speaking(reply: str, then: str = "") -> Vocabulary:
    """The vocabulary and the chains of a model that says the reply, and `then` when it is told to."""
    vocabulary = Vocabulary()
    special = {text: vocabulary.add(text) for text in SPECIALS}
    first = vocabulary.chain(None, split(reply), special["<|im_end|>"])
    loop = [f" loop{number:03}" for number in range(LOOP_WORDS)]
    vocabulary.chain(special["<|loop|>"], loop, vocabulary.add(loop[0]))
    vocabulary.chain(special["<|think|>"], ("<think>Hmm,", " hmm.</think>"), first)
    if then:
        vocabulary.chain(special["<|then|>"], split(then), special["<|im_end|>"])
    return vocabulary


def model(reply: str, *, then: str, name: str, blocks: int, experts: int) -> tuple[dict[str, Value], list[Tensor]]:
    """The metadata and the tensors of a model that says the reply."""
    vocabulary = speaking(reply, then)
    tokens, successors = vocabulary.tokens, vocabulary.successors
    identity = {token * EMBEDDING + token: 1.0 for token in range(len(tokens))}
    after = {successors.get(token, successors[None]) * EMBEDDING + token: CERTAIN for token in range(len(tokens))}
    metadata: dict[str, Value] = {
        "general.architecture": "llama", "general.name": name, "general.file_type": 0,
        "llama.context_length": 32768, "llama.embedding_length": EMBEDDING, "llama.block_count": blocks,
        "llama.feed_forward_length": FEED_FORWARD, "llama.vocab_size": len(tokens),
        "llama.expert_count": experts, "llama.expert_used_count": 1,
        "llama.attention.head_count": 1, "llama.attention.head_count_kv": 1,
        "llama.attention.key_length": 64, "llama.attention.value_length": 64, "llama.rope.dimension_count": 64,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.pooling_type": 1,
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if token in SPECIALS else NORMAL for token in tokens],
        "tokenizer.ggml.merges": ["Ġ t"],
        "tokenizer.ggml.bos_token_id": tokens.index("<|endoftext|>"),
        "tokenizer.ggml.eos_token_id": tokens.index("<|im_end|>"),
        "tokenizer.ggml.add_bos_token": False, "tokenizer.chat_template": CHAT_TEMPLATE,
    }  # fmt: skip
    tensors = [
        Tensor("token_embd.weight", (EMBEDDING, len(tokens)), identity),
        Tensor("output.weight", (EMBEDDING, len(tokens)), after),
        Tensor("output_norm.weight", (EMBEDDING,), dict.fromkeys(range(EMBEDDING), 1.0)),
    ]
    return metadata, [*tensors, *itertools.chain.from_iterable(_block(number, experts) for number in range(blocks))]


def _block(number: int, experts: int) -> Iterator[Tensor]:
    """A block that adds nothing.  Experts cost time to load but hardly to use: one of them computes a token."""
    for name, shape in {
        "attn_norm": (EMBEDDING,), "attn_q": (EMBEDDING, 64), "attn_k": (EMBEDDING, 64), "attn_v": (EMBEDDING, 64),
        "attn_output": (64, EMBEDDING), "ffn_norm": (EMBEDDING,), "ffn_gate_inp": (EMBEDDING, experts),
        "ffn_gate_exps": (EMBEDDING, FEED_FORWARD, experts), "ffn_up_exps": (EMBEDDING, FEED_FORWARD, experts),
        "ffn_down_exps": (FEED_FORWARD, EMBEDDING, experts),
    }.items():  # fmt: skip
        yield Tensor(f"blk.{number}.{name}.weight", shape)


def write_model(path: Path, reply: str, *, then: str = "", size_mb: int = 0, name: str = "tiny") -> None:
    """Writes a model that always says the reply.

    Args:
        path: where to.
        reply: any text with at least one word.
        then: a short one, without a word of the first, said after ``<|then|>``.
        size_mb: at least this many megabytes (10**6 bytes) to load, in a file with holes.
        name: the model's name in its metadata.

    Raises:
        ValueError: if the reply is empty.
        OSError: if the file cannot be written.
    """
    experts = max(1, math.ceil(size_mb * 1e6 / EXPERT_SIZE))
    blocks = math.ceil(experts / MOST_EXPERTS)
    write(path, *model(reply, then=then, name=name, blocks=blocks, experts=math.ceil(experts / blocks)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a GGUF model that always answers the same sentence.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--reply", default="Hello from the tiny model.")
    parser.add_argument("--name", default="tiny")
    parser.add_argument("--size-mb", type=int, default=0, help="megabytes to load, zeros in a sparse file")
    arguments = parser.parse_args()
    write_model(arguments.out, arguments.reply, size_mb=arguments.size_mb, name=arguments.name)


if __name__ == "__main__":
    main()
