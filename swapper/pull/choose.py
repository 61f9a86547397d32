"""Which files of a repository are meant. Pure: a list of files goes in, a list of files comes out.

A repository with GGUF files has a model for each quantisation, and one of them is wanted, with all of its parts and
with the projector by which it sees or hears. Any other is a folder in the layout of the hub: a model for vLLM, of which
everything comes along but the same weights in formats that vLLM would leave aside.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from swapper.pull import PullError

USUAL = "Q4_K_M"
"""The quantisation that is taken where there are several and none was named, as llama.cpp's `-hf` does."""

PROJECTORS = ("F16", "BF16", "F32")
"""Of a projector in several quantisations, the one to take: it is small, and llama.cpp runs all on F16."""

_PART = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})$")
_LABEL = re.compile(r"(?:^|[-_.])((?:UD-)?(?:I?Q\d\w*|B?FP?\d{2}|MXFP4\w*|TQ\d_\d))$", re.IGNORECASE)
"""What a name ends in that says how weights are kept."""

_SPARED = re.compile(
    r"(^|/)\.|^(original|onnx|openvino|coreml|metal|tflite|gguf)/|\.(h5|msgpack|onnx|ot|tflite|mlmodel|gguf)$",
    re.IGNORECASE,
)
"""Of a folder: what is hidden, and weights in formats that vLLM does not read."""

_PICKLED = re.compile(r"\.(bin|pt|pth)$", re.IGNORECASE)
"""Weights that vLLM leaves aside where there are safetensors (its default_loader.py)."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a repository.

    Attributes:
        name: Its path there.
        size: Bytes.
        checksum: `sha256:…` of what is in it (Git LFS), or `git-sha1:…` (a blob of git).
    """

    name: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be pulled.

    Attributes:
        files: By the name that each gets below the repository's folder.
        model: What `swapperctl add` wants to be told: a name from `files`, or empty for the folder.
    """

    files: Mapping[str, File]
    model: str

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(file.size for file in self.files.values())


def choose(files: Sequence[File], what: str) -> Choice:
    """Find what is meant.

    Args:
        files: All of the repository.
        what: A file or a quantisation; empty for what is usual.

    Raises:
        PullError: There is no such thing, or there are several.
    """
    groups = _groups(files)
    if what:
        named = [file for file in files if file.name == what] or [file for file in files if _base(file.name) == what]
        if len(named) > 1:
            raise _several(f"there are several files called {what}", [[file] for file in named])
        if named:
            return _with_parts(named[0], groups, files)
        return _gguf(_quantised(groups, what), files)
    if groups:
        return _gguf(_usual(groups), files)
    return _folder(files)


def label(name: str) -> str:
    """The quantisation that a file's name tells, in capitals; empty where it tells none."""
    stem = _PART.sub("", _base(name).removesuffix(".gguf"))
    found = _LABEL.search(stem)
    return found[1].upper() if found else ""


def _groups(files: Iterable[File]) -> Sequence[Sequence[File]]:
    """GGUF files that are models, the parts of one together."""
    found: dict[str, list[File]] = {}
    for file in sorted(files, key=lambda file: file.name):
        name = file.name.lower()
        if name.endswith(".gguf") and "mmproj" not in _base(name) and "imatrix" not in _base(name):
            found.setdefault(_PART.sub("", file.name.removesuffix(".gguf")), []).append(file)
    return list(found.values())


def _with_parts(file: File, groups: Sequence[Sequence[File]], files: Sequence[File]) -> Choice:
    """A file that was named, with what belongs to it."""
    for group in groups:
        if file in group:
            return _gguf(group, files)
    return Choice({_base(file.name): file}, _base(file.name))


def _quantised(groups: Sequence[Sequence[File]], what: str) -> Sequence[File]:
    wanted = what.upper()
    by_label = [(label(group[0].name), group) for group in groups]
    for fits in (
        [group for has, group in by_label if has == wanted],
        [group for has, group in by_label if has.removeprefix("UD-") == wanted],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise _several(f"there are several models in {what}", fits)
    if not groups:
        raise PullError("no_such_file", f"there is no file {what}, and no GGUF file to have such a quantisation")
    raise PullError("no_such_file", f"there is neither a file nor a quantisation {what}", "there are:", _listed(groups))


def _usual(groups: Sequence[Sequence[File]]) -> Sequence[File]:
    if len(groups) == 1:
        return groups[0]
    usual = [group for group in groups if label(group[0].name) == USUAL]
    if len(usual) == 1:
        return usual[0]
    raise _several("there are several models in it", groups)


def _gguf(group: Sequence[File], files: Sequence[File]) -> Choice:
    first = group[0]
    part = _PART.search(first.name.removesuffix(".gguf"))
    if part and [file.name for file in group] != _numbered(first.name, int(part["count"])):
        raise PullError("nothing_to_pull", f"the repository lacks parts of {_base(first.name)}", "name another")
    projector = _projector(first.name, files)
    chosen = [*group, *([projector] if projector else [])]
    return Choice({_base(file.name): file for file in chosen}, _base(first.name))


def _numbered(first: str, count: int) -> list[str]:
    stem = _PART.sub("", first.removesuffix(".gguf"))
    return [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def _projector(model: str, files: Iterable[File]) -> File | None:
    """The projector beside a model, or else at the top of the repository."""
    found = [file for file in files if "mmproj" in _base(file.name).lower() and file.name.endswith(".gguf")]
    for folder in dict.fromkeys((PurePosixPath(model).parent, PurePosixPath())):
        here = [file for file in found if PurePosixPath(file.name).parent == folder]
        if here:
            return min(here, key=lambda file: (_rank(label(file.name)), file.name))
    return None


def _rank(quantisation: str) -> int:
    return PROJECTORS.index(quantisation) if quantisation in PROJECTORS else len(PROJECTORS)


def _folder(files: Sequence[File]) -> Choice:
    safe = any(file.name.endswith(".safetensors") and "/" not in file.name for file in files)
    kept = [file for file in files if not _SPARED.search(file.name) and not (safe and _PICKLED.search(file.name))]
    if not any(file.name == "config.json" for file in kept):
        hint = "hf:org/repo:FILE pulls a single file"
        raise PullError("nothing_to_pull", "there is neither a GGUF file nor a config.json in it", hint)
    kept.sort(key=lambda file: file.name)
    return Choice({file.name: file for file in kept}, "")


def _several(message: str, groups: Sequence[Sequence[File]]) -> PullError:
    return PullError("ambiguous", message, "name one, after a colon; there are:", _listed(groups))


def _listed(groups: Iterable[Sequence[File]]) -> Sequence[str]:
    lines = []
    for group in groups:
        size = sum(file.size for file in group) / (1 << 30)
        parts = f" and {len(group) - 1} more" if len(group) > 1 else ""
        lines.append(f"{label(group[0].name) or '-':12} {size:8.2f} GiB  {group[0].name}{parts}")
    return lines


def _base(name: str) -> str:
    return PurePosixPath(name).name
