"""What a native program is linked with, found by reading it: neither it nor `ldd`, which may run it, is run.

Sources: elf(5); ld.so(8) for where libraries are looked for. Of its cache, which is generated, ld.so.conf is read here.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from swapper.engines.base import Kind, look

CONFIGURED = Path("/etc/ld.so.conf.d")
BUILT_IN = (Path("/usr/lib"), Path("/usr/lib64"))

_IDENTITY = b"\x7fELF\x02\x01"
"""64 bits, little endian: every machine that has a GPU of the kinds that engines know."""

_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Linked:
    """What a file says of its libraries.

    Attributes:
        needed: Their names.
        folders: Where it says that they are, before all other places.
    """

    needed: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


def closure(files: Iterable[Path], folders: Iterable[Path] = ()) -> tuple[Path, ...]:
    """These files and all libraries that they need, as far as they are found: real paths, each once.

    Args:
        files: Programs or libraries.
        folders: Where libraries are looked for first, as in `LD_LIBRARY_PATH`.
    """
    usual = (*folders, *_configured(), *BUILT_IN)
    found = dict.fromkeys(file.resolve() for file in files)
    names: set[str] = set()
    queue = list(found)
    for file in queue:
        linked = read(file)
        for name in linked.needed:
            if name in names:
                continue
            names.add(name)
            places = (folder / name for folder in (*linked.folders, *usual))
            library = next((at for at in places if look(at) is Kind.FILE), None)
            if library is not None and (real := library.resolve()) not in found:
                found[real] = None
                queue.append(real)
    return tuple(found)


def read(path: Path) -> Linked:
    """What one file needs; nothing where it is no such file, is broken, or may not be read."""
    try:
        with path.open("rb") as file:
            return _linked(file, path.parent) if file.read(len(_IDENTITY)) == _IDENTITY else Linked()
    except (OSError, struct.error, ValueError):
        return Linked()


def _linked(file: BinaryIO, origin: Path) -> Linked:
    segments = list(_segments(file))
    tables = [_part(file, offset, size & ~15) for kind, offset, _, size in segments if kind == _DYNAMIC]
    entries = [entry for table in tables for entry in struct.iter_unpack("<qQ", table)]
    address = dict(entries).get(_STRINGS, 0)
    loaded = [(offset, start, size) for kind, offset, start, size in segments if kind == _LOAD]
    strings = next((address - start + offset for offset, start, size in loaded if 0 <= address - start < size), None)
    if strings is None:
        return Linked()

    def words(*tags: int) -> list[str]:
        found = (_part(file, strings + value, 4096).split(b"\0", 1)[0] for tag, value in entries if tag in tags)
        return [os.fsdecode(word) for word in found]

    folders = [folder for path in words(_RPATH, _RUNPATH) for folder in path.split(":") if folder]
    places = (folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", str(origin)) for folder in folders)
    return Linked(tuple(words(_NEEDED)), tuple(map(Path, places)))


def _segments(file: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    """Kind, offset, address and size of each program header."""
    (start,) = struct.unpack("<Q", _part(file, 32, 8))
    size, count = struct.unpack("<HH", _part(file, 54, 4))
    for number in range(count):
        kind, _, offset, address, _, length = struct.unpack("<IIQQQQ", _part(file, start + number * size, 40))
        yield kind, offset, address, length


def _part(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(min(size, _MOST))


def _configured() -> Iterator[Path]:
    """Folders that an administrator, or a package such as CUDA's, has named."""
    for file in sorted(CONFIGURED.glob("*.conf")):
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError:
            continue
        yield from (Path(line.strip()) for line in lines if line.startswith("/"))
