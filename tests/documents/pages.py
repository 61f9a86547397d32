"""Pages of the manual as tests see them: where they come from, what they are called, what stands in them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from swapper.config.keywords import TopKeys
from swapper.documents.roff import page
from swapper.telegram.settings import TopKeys as BotKeys
from tests.test_house import SOURCE

PACKAGES = ("swapper", "swapper-telegram")
TABLES = {"swapper.yaml.5": TopKeys, "swapper-telegram.yaml.5": BotKeys}
MADE = "debian/made/"

_BOLD = re.compile(r"\\fB(.*?)\\fP")
_BLOCK = re.compile(r"^\.EX\n(.*?)^\.EE", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        file: What it is called, such as `swapper.service.8`.
        names: Under which it is installed, its own first.
        source: In roff.
    """

    file: str
    names: tuple[str, ...]
    source: str

    @property
    def text(self) -> str:
        """As it is read, roughly: without fonts and macros, a line as it stands in the source."""
        return plain(self.source)

    @property
    def told(self) -> tuple[str, ...]:
        """The names that its first section has."""
        found = re.search(r"^\.SH NAME\n(.*?) \\- ", self.source, re.MULTILINE)
        assert found, self.file
        return tuple(plain(found[1]).split(", "))

    @property
    def bold(self) -> Iterator[str]:
        """What is printed in bold: what may be typed as it stands."""
        for line in self.source.splitlines():
            if line.startswith(".B "):
                yield plain(line.removeprefix(".B "))
            if line.startswith((".BR ", ".BI ", ".RB ", ".IB ")):
                words = re.findall(r'"[^"]*"|\S+', line)[1:]
                yield from (plain(word).strip('"') for word in words[line[1] != "B" :: 2])
            yield from (plain(found) for found in _BOLD.findall(line))

    @property
    def examples(self) -> tuple[str, ...]:
        """Blocks that stand as they are."""
        return tuple(plain(block) for block in _BLOCK.findall(self.source))


def plain(source: str) -> str:
    """Roff without fonts and escapes."""
    source = re.sub(r"\\f[BIRP]", "", source)
    source = re.sub(r'^\.(?:[BI]R?|RI|TP|PP|IP|SS|SH)\b ?"?(.*?)"?$', r"\1", source, flags=re.MULTILINE)
    return source.replace(r"\-", "-").replace(r"\&", "").replace(r"\e", "\\")


@cache
def pages() -> Mapping[str, Page]:
    """All pages of both packages, by file."""
    found = {}
    for package in PACKAGES:
        links = [line.split() for line in _lines(f"{package}.links")]
        for line in _lines(f"{package}.manpages"):
            file = line.rpartition("/")[2]
            text = (SOURCE / line).read_text() if not line.startswith(MADE) else made(file)
            others = tuple(Path(link).stem for target, link in links if Path(target).name == file)
            found[file] = Page(file, (Path(file).stem, *others), text)
    return found


def made(file: str) -> str:
    """A page that is made when the package is built."""
    return page((SOURCE / "docs" / f"{file}.in").read_text(), TABLES[file])


def sections() -> Mapping[str, str]:
    """Names under which there is a page, and its section."""
    return {name: file[-1] for file, page in pages().items() for name in page.names}


def installed() -> Mapping[str, str]:
    """Files of the packages: where they lie, and what becomes of which source."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for line in _lines(f"{package}.install"):
            pattern, folder = line.split()
            sources = sorted(SOURCE.glob(pattern)) if not pattern.startswith(MADE) else [Path(pattern)]
            found |= {f"/{folder}/{source.name}": str(source) for source in sources}
        if (SOURCE / "debian" / f"{package}.docs").exists():
            found |= {f"/usr/share/doc/{package}/{Path(line).name}": line for line in _lines(f"{package}.docs")}
    return found


def _lines(name: str) -> list[str]:
    return (SOURCE / "debian" / name).read_text().splitlines()
