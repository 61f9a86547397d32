"""What every engine offers, and how files that are not all there are told from files that are."""

import enum
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never

from swapper.config import Config, Model

UNFINISHED = (".part", ".incomplete", ".downloadInProgress", ".crdownload", ".aria2", ".tmp")
"""What downloaders append to a file that is not whole yet: browsers, curl, the Hugging Face hub, llama.cpp, aria2."""

_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a model.

    Attributes:
        argv: The engine's command line; a program without a slash is looked for in `PATH`.
        environment: What the engine needs besides the template unit's environment; the model's own `env` comes last.
        health: Path that answers 200 once the model is loaded, and for as long as the engine is well.
        ready: Path that is answered, in whatever way, only by an engine that has begun to work on requests; asked once,
            after health. None where health says that too.
        needs: Programs that the engine itself starts: where one is not installed, the start fails and says so.
        imports: Python modules that a start begins with, and that need no GPU: what can be done early.
    """

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    health: str
    ready: str | None = None
    needs: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """Where an engine that runs says something of its model.

    Attributes:
        path: Answers GET with JSON.
        keys: From the whole answer to the value, key by key.
    """

    path: str
    keys: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One request to an engine: what it is told is done when it answers 200."""

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Parking:
    """How an engine gives its GPU memory back without ending.

    Attributes:
        park: What it is told, one after the other.
        wake: What it is told to take it again.
        parked: Where it says whether it is parked; an engine that was started without parking has no such path.
    """

    park: tuple[Question, ...]
    wake: tuple[Question, ...]
    parked: Told


class Engine(Protocol):
    """One kind of program that serves a model."""

    @property
    def name(self) -> str:
        """The word in the configuration, and the name of the template unit."""

    @property
    def context(self) -> Told | None:
        """Where it says how many tokens one request may take; None for an engine that does not count in tokens."""

    def launch(self, model: Model, config: Config) -> Launch:
        """How to start this model."""

    def roots(self, model: Model) -> tuple[Path, ...]:
        """The files and directories that it reads, as the configuration names them: without a look at the disk."""

    def files(self, model: Model) -> tuple[Path, ...]:
        """The files that it reads, whether they are there or not: when one of them changes, a failed start may work."""

    def cached(self, model: Model) -> tuple[Path, ...]:
        """Large files that a load reads by way of the page cache, first to last, whether they are there or not."""

    def programs(self, model: Model, config: Config) -> tuple[Path, ...]:
        """Large files beside the model that a start is likely to read: program and libraries. Looks at the disk."""

    def parking(self, model: Model) -> Parking | None:
        """How it is parked; None for an engine that cannot be."""

    def missing(self, model: Model) -> tuple[str, ...]:
        """What keeps the model from being whole, a sentence each; nothing if all is there or cannot be looked at."""


def program(config: Config, engine: str, usual: str) -> str:
    """The engine's program: as configured, or its usual name."""
    settings = config.engines.get(engine)
    return str(settings.path) if settings is not None and settings.path is not None else usual


class Kind(enum.Enum):
    """What a look at a path shows."""

    FILE = enum.auto()
    DIRECTORY = enum.auto()
    ABSENT = enum.auto()
    HIDDEN = enum.auto()
    """It may not be looked at. That is left to the engine, which may see more than the router does."""


def look(path: Path) -> Kind:
    """What is there. Not pathlib's `exists` and `is_dir`, which take what is hidden for absent."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Kind.ABSENT
    except OSError:
        return Kind.HIDDEN
    return Kind.DIRECTORY if stat.S_ISDIR(mode) else Kind.FILE


def faults(paths: Iterable[Path]) -> tuple[str, ...]:
    """What is wrong with files that should be there, by a look at each."""
    return tuple(fault for path in paths if (fault := _fault(path)) is not None)


def _fault(path: Path) -> str | None:
    match look(path):
        case Kind.HIDDEN:
            return None
        case Kind.DIRECTORY:
            return f"{path} is a directory, not a file"
        case Kind.ABSENT:
            partial = unfinished(path)
            return f"file {path} is not there" if partial is None else f"still downloading: {partial}"
        case Kind.FILE:
            return _unusable(path)
        case other:
            assert_never(other)


def _unusable(path: Path) -> str | None:
    """What is wrong with a file that is there, as far as that is seen without reading it."""
    if os.access(control := path.with_name(path.name + ".aria2"), os.F_OK):  # which writes to the final name at once
        return f"still downloading: {control}"
    try:
        size = path.stat().st_size
        if size < len(_POINTER) * 50 and path.read_bytes().startswith(_POINTER):
            return f"file {path} is a pointer of Git LFS, not the file itself: run 'git lfs pull'"
    except OSError:
        return None
    return None if size else f"file {path} is empty"


def unfinished(path: Path) -> Path | None:
    """The download of this file that has not ended, if there is one."""
    for suffix in UNFINISHED:
        partial = path.with_name(path.name + suffix)
        if os.access(partial, os.F_OK):
            return partial
    return None
