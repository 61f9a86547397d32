"""`swapperctl add FILE|FOLDER`: configures a model by what its files say of themselves, and has that taken.

An entry is a file of its own in `/etc/swapper/conf.d`: what an administrator wrote by hand is not touched, and removing
the file takes the model away.
"""

import argparse
import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swapper.config import Config, ConfigErrors, default_paths, load
from swapper.ctl import FAILED, WRONG, Failure, reach
from swapper.ctl import options as shared
from swapper.ctl.apply import take
from swapper.ctl.terminal import size
from swapper.weights import UnreadableError, Weights, folder, gguf

FOLDER = Path("/etc/swapper/conf.d")

CONTEXT = 32768
"""Tokens of context, where nothing else is said: enough for most, and not so much that it fills a GPU."""

LEAST_CONTEXT = 2048

BESIDE = 1 << 30
"""Bytes of a GPU that an engine takes beside weights and cache: CUDA itself, and what it computes with. A rough guess,
which the router corrects: it warns of a model that has more than it declared."""

_QUANTISATION = re.compile(
    r"[-_.](?:UD-)?(?:I?Q\d\w*|B?FP?\d{2}|MXFP4\w*|TQ\d_\d|GGUF)$", re.IGNORECASE
)
"""What a file's name ends in that says how weights are kept, not whose they are."""

_ARGUMENTS = {"embeddings": "--embeddings", "rerank": "--reranking"}
"""What llama-server is told so that it does that, and nothing else."""

_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model to be configured.

    Attributes:
        name: How it is called.
        path: Its file or folder.
        weights: What that says.
        context: Tokens that it shall keep in mind.
        mmproj: Its projector.
        capabilities: What it can do, where that is not evident.
        aliases: Further names.
        gpus: GPUs that are not the usual one; None for that.
        memory: Bytes of its GPU that it is likely to take.
        declared: Whether that is to be declared.
    """

    name: str
    path: Path
    weights: Weights
    context: int | None
    mmproj: Path | None = None
    capabilities: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    gpus: tuple[int, ...] | None = None
    memory: int = 0
    declared: bool = False

    def yaml(self) -> str:
        """As it stands in the configuration. JSON's strings and lists are YAML's, too."""
        lines = [f"{json.dumps(self.name)}:", f"  engine: {self.weights.engine}", f"  model: {_quoted(self.path)}"]
        if self.mmproj is not None:
            lines.append(f"  mmproj: {_quoted(self.mmproj)}")
        if self.context is not None:
            lines.append(f"  context: {self.context}")
        if self.gpus is not None:
            lines.append(f"  gpu: {list(self.gpus)}")
        if self.declared:
            lines.append(f"  gpu_memory: {self.memory / (1 << 30):.1f}GiB")
        if args := [_ARGUMENTS[each] for each in self.capabilities if each in _ARGUMENTS]:
            lines.append(f"  args: [{', '.join(args)}]")
        if self.capabilities:
            lines.append(f"  capabilities: [{', '.join(self.capabilities)}]")
        if self.aliases:
            lines.append(f"  aliases: {json.dumps(list(self.aliases), ensure_ascii=False)}")
        return "models:\n" + "".join(f"  {line}\n" for line in lines)


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Reads what a GGUF file, or a folder in the layout of the Hugging Face hub, says of itself, writes an entry "
        "into /etc/swapper/conf.d, and has it taken. Of a folder with GGUF files, each becomes a model. For root."
    )
    parser.add_argument("path", type=Path, help="a GGUF file (the first one, if it is split), or a folder")
    parser.add_argument("--name", help="how the model is called; made from the file's name, if not said")
    parser.add_argument("--alias", action="append", default=[], help="a further name; may be given several times")
    parser.add_argument("--context", type=int, metavar="TOKENS", help=f"what it keeps in mind ({CONTEXT}, if it can)")
    parser.add_argument("--gpu", metavar="N[,N…]|none", type=gpus, help="its GPUs (0)")
    parser.add_argument("--print", action="store_true", help="print the entry, and write nothing")
    parser.add_argument("--no-apply", action="store_true", help="write it, and let `swapperctl apply` have it taken")
    shared.json(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    config = _configuration()
    paths = _models(Path(os.path.abspath(options.path)))  # noqa: PTH100 - without "..", and with links as they are
    if len(paths) > 1 and (options.name or options.alias):
        raise Failure(f"there are {len(paths)} models in {options.path}", "one name is for one file", WRONG)
    entries = [_entry(path, config, options) for path in paths]
    _unlike(entries)
    if options.print:
        print("\n".join(entry.yaml() for entry in entries), end="")
        return 0
    written = [_written(entry) for entry in entries]
    _checked(written)
    if not options.no_apply:
        take()
    _say(entries, written, as_json=options.json)
    return 0


def _say(entries: Sequence[Entry], written: Sequence[Path], *, as_json: bool) -> None:
    if as_json:
        told = [
            {"name": entry.name, "engine": entry.weights.engine, "context": entry.context, "file": str(file),
             "weights": entry.weights.size, "gpu_memory": entry.memory}
            for entry, file in zip(entries, written, strict=True)
        ]  # fmt: skip
        print(json.dumps(told, indent=2))
        return
    for entry, file in zip(entries, written, strict=True):
        weights = entry.weights
        print(f"{entry.name}: {weights.engine}, {weights.architecture}, {size(weights.size)} of weights; about "
              f"{size(entry.memory)} of its GPU with {entry.context or 'its own'} tokens in mind")  # fmt: skip
        print(f"  {file}")
    print(f"swapperctl chat {entries[0].name} 'Hello!'")


def _configuration() -> Config:
    try:
        return load()
    except ConfigErrors as errors:
        details = tuple(map(str, errors.errors))
        raise Failure("the configuration has mistakes already", "swapperctl check", WRONG, details) from None


def _models(path: Path) -> list[Path]:
    """The models at a path: a file, a folder that is one, or those in a folder."""
    if path.is_dir() and not (path / folder.CONFIG).exists():
        files = [file for file in sorted(path.glob("*.gguf")) if _first(file) and not _head(file).projector]
        if not files:
            raise Failure(f"there is neither a {folder.CONFIG} nor a GGUF file in {path}", status=WRONG)
        return files
    if not path.exists():
        raise Failure(f"{path} is not there", status=WRONG)
    return [path]


def _first(file: Path) -> bool:
    split = gguf.PART.search(file.name)
    return split is None or int(split["number"]) == 1


def _entry(path: Path, config: Config, options: argparse.Namespace) -> Entry:
    known = _folder(path) if path.is_dir() else _file(path)
    name = options.name or named(path)
    if (taken := config.resolve(name)) is not None:
        raise Failure(f"there is a model {name} already", f"--name says another; that one is in {taken.where}", WRONG)
    used = (0,) if options.gpu is None else options.gpu
    total = min((memory for index in used if (memory := config.gpu(index).memory)), default=None)
    beside = 0 if known.mmproj is None else known.mmproj.stat().st_size
    context = options.context or fitting(known.weights, beside, total)
    memory = known.weights.size + beside + known.weights.cache.of(context or 0) + BESIDE
    return replace(known, name=name, context=context, aliases=tuple(options.alias), gpus=options.gpu, memory=memory,
                   declared=total is not None and memory < total)  # fmt: skip


def fitting(weights: Weights, beside: int, total: int | None) -> int | None:
    """Tokens of context: what is usual, less where the model was trained for less or the GPU has room for less."""
    if weights.context is None:
        return None
    context = min(weights.context, CONTEXT)
    while total and context > LEAST_CONTEXT and weights.size + beside + weights.cache.of(context) + BESIDE > total:
        context //= 2
    return context


def named(path: Path) -> str:
    """A name for a model, from that of its file or folder."""
    name = gguf.PART.sub("", path.name)
    if not path.is_dir():
        name = name.removesuffix(".gguf")
    while (shorter := _QUANTISATION.sub("", name)) != name and shorter:
        name = shorter
    return _NOT_IN_NAMES.sub("-", name.lower()).strip("-._") or "model"


def _folder(path: Path) -> Entry:
    try:
        weights = folder.weights(path)
    except (UnreadableError, OSError) as error:
        raise Failure(str(error), status=WRONG) from error
    _readable(path, *path.iterdir())
    return Entry("", path, weights, None, capabilities=weights.capabilities)


def _file(path: Path) -> Entry:
    head = _head(path)
    if head.projector:
        hint = "add the model beside it, which takes it along"
        raise Failure(f"{path} is a projector, by which another model sees or hears", hint, WRONG)
    try:
        weights = gguf.weights(path, head)
        files = gguf.parts(path)
    except (UnreadableError, OSError) as error:
        raise Failure(str(error), status=WRONG) from error
    mmproj = projector(path, weights)
    _readable(*files, *([mmproj] if mmproj else []))
    capabilities = weights.capabilities
    if mmproj is not None:
        capabilities = ("chat", "completions", *_head(mmproj).senses)
    return Entry("", path, weights, None, mmproj, capabilities)


def projector(path: Path, weights: Weights) -> Path | None:
    """The projector that lies beside a model: one that is made for models of its width, the one most alike by name."""
    found = []
    for file in sorted(path.parent.glob("*mmproj*.gguf")):
        head = _head(file)
        widths = {head.values.get(f"clip.{sense}.projection_dim") for sense in ("vision", "audio")} - {None}
        if head.projector and (not widths or not weights.width or weights.width in widths):
            found.append((-_alike(_bare(file), _bare(path)), file.name, file))
    others = {named(file) for file in path.parent.glob("*.gguf") if "mmproj" not in file.name and _first(file)}
    if not found or (len(others) > 1 and not min(found)[0]):
        return None  # in a folder with several models, one that is called otherwise is somebody else's
    return min(found)[2]


def _alike(one: str, other: str) -> int:
    """How many characters two names begin with in common."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _bare(file: Path) -> str:
    return re.sub(r"mmproj|[-_.]", "", file.stem.lower())


def _head(path: Path) -> gguf.Head:
    try:
        return gguf.read(path)
    except (UnreadableError, OSError) as error:
        raise Failure(str(error), "is it whole? ls -l, or sha256sum", WRONG) from error


def _readable(*files: Path) -> None:
    """Engines run as a user of their own: what others may not read, they do not."""
    closed = dict.fromkeys(what for file in files if file.is_file() and (what := reach.closed(file)))
    if closed:
        names = [str(what) for what in closed]
        raise Failure("engines may not read this", f"chmod a+rX {shlex.join(names)}", FAILED, tuple(names))


def _unlike(entries: Sequence[Entry]) -> None:
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise Failure(f"several of these would be called {name}", "add them one by one, with --name", WRONG)


def _written(entry: Entry) -> Path:
    """The file with the entry, which was not there before."""
    file = FOLDER / f"{_NOT_IN_NAMES.sub('-', entry.name.lower())}.yaml"
    text = f"# {entry.weights.architecture}, {size(entry.weights.size)} of weights; by swapperctl add\n{entry.yaml()}"
    try:
        FOLDER.mkdir(exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise Failure(f"{file} is there already", "--name says another one", WRONG) from None
    except OSError as error:
        hint = "this is for root: sudo swapperctl add …"
        raise Failure(f"{file} cannot be written: {error.strerror}", hint) from error
    return file


def _checked(written: Sequence[Path]) -> None:
    """Take back what is no configuration with the rest, such as an alias that is taken."""
    try:
        load(*dict.fromkeys((*default_paths(), *written)))
    except ConfigErrors as errors:
        for file in written:
            file.unlink()
        raise Failure("that does not go together", "", WRONG, tuple(map(str, errors.errors))) from None


def gpus(text: str) -> tuple[int, ...]:
    """GPUs as they are written on a command line."""
    if text == "none":
        return ()
    return tuple(_indexes(text))


def _indexes(text: str) -> Iterator[int]:
    for word in text.split(","):
        if not word.isdecimal():
            raise argparse.ArgumentTypeError(f"{word!r} is no GPU's number")
        yield int(word)


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
