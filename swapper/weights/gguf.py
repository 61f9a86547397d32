"""The head of a GGUF file: what kind of model it is, how large, and how much of a conversation it keeps in mind.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Only metadata is read, and of lists of strings, which
are the vocabulary, nothing but their lengths: a file of any size takes a moment.
"""

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swapper.weights import Cache, UnreadableError, Weights

type Value = bool | int | float | str | tuple[bool | int | float, ...] | None

PART = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})(?=\.gguf$)")
"""How the parts of a model that is split are numbered. Engines are told the first."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST = 1 << 20
"""Entries of metadata, and bytes of a string: more is no GGUF file."""

_KEPT = 4096
"""Numbers of a list that are kept: one for each layer, at most."""

_CACHED = 2
"""Bytes of a value in the cache: 16-bit floats, llama-server's usual."""

_EMBEDDERS = frozenset({
    "bert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "modern-bert", "nomic-bert", "nomic-bert-moe",
})  # fmt: skip
_RERANKS = 4
"""`pooling_type` of models that rank (llama.cpp's LLAMA_POOLING_TYPE_RANK)."""


@dataclass(frozen=True, slots=True)
class Head:
    """The metadata of a file.

    Attributes:
        values: By key; None for lists of strings.
    """

    values: Mapping[str, Value]

    @property
    def architecture(self) -> str:
        """Such as `llama`; `clip` for a projector."""
        return str(self.values.get("general.architecture") or "")

    @property
    def projector(self) -> bool:
        """Whether it lets another model see or hear, rather than being one."""
        return self.architecture == "clip" or self.values.get("general.type") == "mmproj"

    @property
    def senses(self) -> tuple[str, ...]:
        """What a projector is for."""
        found = (("vision", "clip.has_vision_encoder"), ("audio", "clip.has_audio_encoder"))
        return tuple(sense for sense, key in found if self.values.get(key))

    def number(self, key: str) -> int:
        """A number of this architecture; 0 where it is not told. Of a list, one for each layer, the largest."""
        found = self.values.get(f"{self.architecture}.{key}")
        if isinstance(found, tuple):
            return max((int(each) for each in found), default=0)
        return int(found) if isinstance(found, int | float) else 0

    def layers(self, key: str, count: int) -> tuple[int, ...]:
        """A number for each layer."""
        found = self.values.get(f"{self.architecture}.{key}")
        if isinstance(found, tuple):
            return tuple(map(int, found))
        return (self.number(key),) * count


def read(path: Path) -> Head:
    """The head of a file.

    Raises:
        UnreadableError: It is no GGUF file, or not all there.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise UnreadableError(f"{path} is empty") from error
        with mapped:
            try:
                return Head(_Reader(mapped).head())
            except (struct.error, IndexError, UnicodeDecodeError, KeyError, OverflowError) as error:
                raise UnreadableError(f"{path} is no GGUF file, or not all there") from error


def weights(path: Path, head: Head) -> Weights:
    """What a model tells.

    Args:
        path: The file, or the first of its parts.
        head: What stands in it.

    Raises:
        UnreadableError: Another part is missing.
        OSError: A file cannot be looked at.
    """
    count = head.number("block_count")
    heads = head.number("attention.head_count") or 1
    width = head.number("embedding_length")
    key = head.number("attention.key_length") or width // heads
    value = head.number("attention.value_length") or width // heads
    kept = head.layers("attention.head_count_kv", count) if head.number("attention.head_count_kv") else (heads,) * count
    return Weights(
        engine="llama",
        architecture=head.architecture,
        size=sum(part.stat().st_size for part in parts(path)),
        context=head.number("context_length") or None,
        cache=Cache(sum(kept) * (key + value) * _CACHED),
        capabilities=_capabilities(head),
        width=width,
    )


def parts(path: Path) -> tuple[Path, ...]:
    """All files of a model, of which this is the first.

    Raises:
        UnreadableError: One is missing.
    """
    split = PART.search(path.name)
    if split is None:
        return (path,)
    count = int(split["count"])
    found = tuple(
        path.with_name(PART.sub(f"-{number:05d}-of-{count:05d}", path.name)) for number in range(1, count + 1)
    )
    for part in found:
        if not part.is_file():
            raise UnreadableError(f"{part} is not there")
    return found


def _capabilities(head: Head) -> tuple[str, ...]:
    """What a model is for that is not for chatting. Pooling alone says little: models that chat may have it too."""
    if head.number("pooling_type") == _RERANKS:
        return ("rerank",)
    named = " ".join(str(head.values.get(f"general.{key}") or "") for key in ("name", "basename"))
    pools = bool(head.number("pooling_type")) and "embed" in named.lower()
    return ("embeddings",) if head.architecture in _EMBEDDERS or pools else ()


class _Reader:
    """Reads values one after the other, as they stand (little-endian)."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped
        self._at = 0

    def head(self) -> dict[str, Value]:
        """All metadata."""
        if self._mapped[:4] != b"GGUF":
            raise KeyError("magic")
        self._at = 4
        version, _, count = self._take("IQQ")
        if version not in {2, 3} or count > _MOST:
            raise KeyError("version")
        return {self._string(): self._value(self._take("I")[0]) for _ in range(count)}

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        found: bool | int | float = self._take(_SCALARS[kind])[0]
        return found

    def _array(self) -> Value:
        kind, count = self._take("IQ")
        if kind == _STRING:
            for _ in range(count):
                self._skip(self._take("Q")[0])
            return None
        if kind == _ARRAY:
            for _ in range(count):
                self._array()
            return None
        each = struct.calcsize(f"<{_SCALARS[kind]}")
        if count > _KEPT:
            self._skip(count * each)
            return None
        return tuple(self._take(f"{count}{_SCALARS[kind]}"))

    def _string(self) -> str:
        length = self._take("Q")[0]
        start = self._at
        self._skip(length)
        return self._mapped[start : min(self._at, start + _MOST)].decode(errors="replace")

    def _skip(self, length: int) -> None:
        self._at += length
        if self._at > len(self._mapped):
            raise IndexError(self._at)

    def _take(self, form: str) -> tuple[int, ...]:
        start = self._at
        self._skip(struct.calcsize(f"<{form}"))
        return struct.unpack_from(f"<{form}", self._mapped, start)
