"""Which native libraries the packages have that a Python program imports.

Each installed package lists its files with their sizes, so that no tree of thousands of folders is searched.

Sources: packaging.python.org, "Recording installed projects" (RECORD); distlib and uv for the first lines of scripts,
which differ where the interpreter's path is long.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from swapper.engines.base import Kind, look
from swapper.engines.elf import closure
from swapper.engines.programs import LARGE, changed, large

_INTERPRETER = re.compile(rb"#!(?:/bin/sh\n'''exec' )?[\"']?(/[^\"'\n]*?python[^\"'/\s]*)")
_LIBRARY = re.compile(r'(?P<path>[^,"]+\.so(?:\.[\d.]+)?),[^,]*,(?P<size>\d+)')
_FIRST_LINES = 1024


def libraries(script: Path, package: str) -> tuple[Path, ...]:
    """Large libraries of the environment that a script runs in, and its interpreter; largest first.

    Args:
        script: An installed command.
        package: What it is sure to import; an environment without that is not the one.
    """
    interpreter = _interpreter(script)
    if interpreter is None:
        return ()
    prefixes = dict.fromkeys(path.parent.parent for path in (script.resolve(), interpreter))
    sites = [site for prefix in prefixes for site in sorted(prefix.glob("lib/python3*/*-packages"))]
    own = [site for site in dict.fromkeys(sites) if look(site / package) is Kind.DIRECTORY]
    return _libraries(interpreter, tuple((site, changed(site)) for site in own))


def _interpreter(script: Path) -> Path | None:
    """Whom its first line names; a link within an environment is left as it is, since the environment is around it."""
    try:
        with script.open("rb") as file:
            match = _INTERPRETER.match(file.read(_FIRST_LINES))
    except OSError:
        return None
    return Path(match[1].decode(errors="surrogateescape")) if match is not None else None


@lru_cache(maxsize=8)
def _libraries(interpreter: Path, sites: tuple[tuple[Path, int], ...]) -> tuple[Path, ...]:
    """Found once for as long as no package comes or goes, which changes the folder that they are in."""
    recorded = (file for site, _ in sites for file in _recorded(site))
    return large((*closure([interpreter]), *recorded)) if sites else ()


def _recorded(site: Path) -> Iterator[Path]:
    for record in sorted(site.glob("*.dist-info/RECORD")):
        try:
            with record.open(encoding="utf-8", errors="replace") as lines:
                matches = (_LIBRARY.match(line) for line in lines if ".so" in line)
                yield from (site / match["path"] for match in matches if match and int(match["size"]) >= LARGE)
        except OSError:
            continue
