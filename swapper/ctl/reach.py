"""Whether engines may read a file. They run as a user of their own, so it must be open to all, or to their group.

So must be the folders above it, with one exception: below home directories systemd opens the way to what is configured
(generator.py), so that there only the file itself counts.
"""

import functools
import grp
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from swapper.generator import HOMES

GROUP = "swapper"


def closed(file: Path) -> Path | None:
    """What keeps engines from a file or folder: itself, or a folder above it. None where nothing does."""
    try:
        found = file.stat()
    except OSError:
        return None  # it is not there, or is not to be seen by whoever asks
    if not _lets(found, stat.S_IROTH) or (stat.S_ISDIR(found.st_mode) and not _lets(found, stat.S_IXOTH)):
        return file
    return next((folder for folder in _above(file) if not _lets(folder.stat(), stat.S_IXOTH)), None)


def opened(what: Path) -> str:
    """The command that lets engines through, for what `closed` found."""
    return f"chmod a+rX {shlex.quote(str(what))}"


def _above(file: Path) -> Iterator[Path]:
    """The folders on the way to it, and to where it really lies, from the top."""
    for way in dict.fromkeys((file, file.resolve())):
        if not any(way.is_relative_to(home) for home in HOMES):
            yield from reversed(way.parents)


def _lets(found: os.stat_result, others: int) -> bool:
    """Whether a permission is given to others, or to the engines' group."""
    return bool(found.st_mode & others or (found.st_gid == _group() and found.st_mode & others << 3))


@functools.cache
def _group() -> int:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return -1
