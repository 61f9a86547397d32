"""Where an engine's program is, and which of the files beside it are worth reading before it starts."""

import os
from collections.abc import Iterable
from pathlib import Path

from swapper.config import Config, Model
from swapper.engines.base import Kind, look, program

USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"

LARGE = 256 << 10
"""Bytes of a file that is worth it: two of the kernel's read-ahead windows. What is smaller comes with one fetch."""

MOST = 500
"""Files that are named at most, the largest: an engine with all its libraries has some 200."""


def located(model: Model, config: Config, usual: str, path: str = USUAL_PATH) -> Path | None:
    """The program of a model's unit, by a look at the disk.

    Args:
        model: Whose.
        config: Says where its engine is.
        usual: The program's name, where no path is configured.
        path: `PATH` of the template unit.

    Returns:
        None where there is none that may be seen.
    """
    settings = config.engines.get(model.engine)
    if settings is not None and settings.search:
        path = ":".join((*map(str, settings.search), USUAL_PATH))
    name = program(config, model.engine, usual)
    places = (Path(folder, name) for folder in dict(model.env).get("PATH", path).split(":"))  # a path stays what it is
    return next((at for at in places if look(at) is Kind.FILE and os.access(at, os.X_OK)), None)


def large(files: Iterable[Path]) -> tuple[Path, ...]:
    """The large ones of these files, largest first: they gain most, should there be no time for all."""
    sizes = {file: size for file in files if (size := _size(file)) >= LARGE}
    return tuple(sorted(sizes, key=lambda file: (-sizes[file], file))[:MOST])


def changed(file: Path) -> int:
    """When a file or directory was changed last, in nanoseconds; 0 where that may not be seen."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _size(file: Path) -> int:
    try:
        return os.stat(file).st_size  # noqa: PTH116 — hundreds of them
    except OSError:
        return 0
