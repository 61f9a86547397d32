"""Each unit, command and file has a page, and what a page names is there: units, keys, settings, paths, commands."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.config import load
from swapper.config.keywords import ModelKeys, RouterKeys, TopKeys
from swapper.config.table import Key, Kind, Part, Several, Table, keys_of
from swapper.ctl.__main__ import COMMANDS
from swapper.telegram import settings
from tests.documents.pages import PACKAGES, TABLES, Page, installed, pages, sections
from tests.test_house import SOURCE

UNITS = {path.name: path.read_text() for path in sorted((SOURCE / "units").iterdir())}
PAGES = pages()
UNIT = re.compile(r"[a-z][\w.-]*@?[\w.-]*\.(?:service|socket|slice|target)\b")
OURS = re.compile(r"^(?:swapper|llama@|vllm@|speech@)")
SYSTEMD = re.compile(r"^(?:systemd|systemctl$|journalctl$)")
REFERENCE = re.compile(r"^\.BR (\S+) \((\d)\)", re.MULTILINE)

FOREIGN = {"espeak-ng", "ffmpeg", "llama-server", "nvidia-smi"}
"""Pages of programs that this package has nothing to do with."""

each = pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))


def unit_of(page: Page) -> list[str]:
    """The units that a page is about."""
    return [UNITS[name] for name in page.names if name in UNITS]


def test_every_unit_has_a_page_and_names_it() -> None:
    known = sections()
    for name, text in UNITS.items():
        assert known.get(name) == "8", f"{name} has no page"
        (told,) = re.findall(r"^Documentation=man:([^ ]+)\((\d)\)", text, re.MULTILINE)
        assert name in next(page.names for page in PAGES.values() if page.file == ".".join(told)), name
        for other, section in re.findall(r"man:([^ ]+)\((\d)\)", text):
            assert known.get(other) == section or other in FOREIGN, f"{name} names {other}({section})"


def test_every_program_has_a_page() -> None:
    programs = [Path(path) for path in installed() if "/bin/" in path or "generators/" in path or "/libexec/" in path]
    assert {program.name for program in programs} >= {"swapperctl", "swapper-generator", "swapper-speech"}
    assert [program.name for program in programs if program.name not in sections()] == []


def test_every_configuration_file_has_a_page() -> None:
    files = [Path(path).name for path in installed() if path.startswith("/etc/")]
    assert sorted(files) == ["swapper.yaml", "telegram.yaml"]
    assert {sections().get(file) for file in files} == {"5"}


def test_every_page_is_installed() -> None:
    written = (path.name.removesuffix(".in") for path in (SOURCE / "docs").iterdir())
    assert {name for name in written if re.search(r"\.\d$", name)} == set(PAGES)


@each
def test_a_page_has_the_names_by_which_it_is_found(page: Page) -> None:
    assert page.told == page.names
    assert re.search(rf"^\.TH {re.escape(page.names[0].upper())} {page.file[-1]} ", page.source.replace("\\-", "-"))


@each
def test_units_are_called_by_their_names(page: Page) -> None:
    named = {name for name in UNIT.findall(page.text) if OURS.match(name) and not re.search(r"@\w", name)}
    assert named - UNITS.keys() - {"swapper.slice"} == set()


@each
def test_pages_that_are_referred_to_exist(page: Page) -> None:
    known = sections()
    for name, section in REFERENCE.findall(page.source.replace("\\-", "-")):
        assert known.get(name) == section or name in FOREIGN or SYSTEMD.match(name), f"{name}({section})"


@each
def test_what_is_said_to_see_also_is_in_order(page: Page) -> None:
    also = page.source.partition(".SH SEE ALSO\n")[2]
    found = REFERENCE.findall(also.replace("\\-", "-"))
    assert found
    assert [section for _, section in found] == sorted(section for _, section in found)
    assert page.names[0] not in {name for name, _ in found}


def all_keys(table: type[Table]) -> Iterator[str]:
    for name, key in keys_of(table).items():
        yield name
        if isinstance(key, Part):
            yield from all_keys(key.table)
        elif isinstance(key, Several) and not isinstance(key.inside, Kind):
            yield from all_keys(key.inside)


KEYS = {key for table in TABLES.values() for key in all_keys(table)}


@each
def test_keys_of_configurations_exist(page: Page) -> None:
    if page.file not in TABLES:
        named = {key for bold in page.bold for key in re.findall(r"^([a-z_0-9]+):(?: |$)", bold)}
        assert named - KEYS - {"sha256"} == set()


def test_keys_are_named_in_pages_at_all() -> None:
    named = {bold.partition(":")[0] for page in PAGES.values() for bold in page.bold if ":" in bold}
    assert named >= {"idle_exit", "early_start", "on_swap", "memory_max", "profiles", "webhook", "keep_conversations"}


@pytest.mark.parametrize("file", TABLES)
def test_each_key_is_documented(file: str) -> None:
    sections = dict(re.findall(r'^\.SH "?([A-Z ]+|\w+(?=:)).*\n((?:(?!\.SH).*\n)*)', PAGES[file].source, re.MULTILINE))
    for name, key in keys_of(TABLES[file]).items():
        section = sections["OTHER KEYS" if isinstance(key, Key) else name]
        inside = key.inside if isinstance(key, Several) else key.table if isinstance(key, Part) else None
        below = {name} if isinstance(key, Key) else all_keys(inside) if isinstance(inside, type) else ()
        assert [each for each in below if f".TP\n\\fB{each}:\\fP" not in section] == []


@each
def test_settings_are_what_the_units_say(page: Page) -> None:
    units = "".join(unit_of(page))
    said = {bold for bold in page.bold if re.fullmatch(r"[A-Z]\w*=\S+", bold)} if units else set()
    assert said - set(re.findall(r"^[A-Z]\w*=\S+", units, re.MULTILINE)) == set()


def test_settings_are_named_in_pages_at_all() -> None:
    assert sum(bool(re.fullmatch(r"[A-Z]\w*=\S+", bold)) for page in PAGES.values() for bold in page.bold) > 8


def known_paths() -> set[str]:
    """Where the packages put things, and where their units have them."""
    found = {*installed(), *(line.split()[1] for line in (SOURCE / "debian/swapper.tmpfiles").read_text().splitlines())}
    for name, text in UNITS.items():
        for setting, root in (("Runtime", "/run"), ("Cache", "/var/cache"), ("State", "/var/lib")):
            for folder in re.findall(rf"^{setting}Directory=(\S+)", text, re.MULTILINE):
                found.add(f"{root}/{folder.replace('%p', name.partition('@')[0]).replace('%i', 'MODEL')}")
        found |= set(re.findall(r"^ListenStream=(/\S+)", text, re.MULTILINE))
        found |= set(":".join(re.findall(r"^Environment=PATH=(\S+)", text, re.MULTILINE)).split(":"))
    found |= set(re.findall(r"/[\w.@%/-]+", "".join(UNITS.values())))
    return found | {str(parent) for path in found for parent in Path(path).parents}


PATHS = known_paths()
CODE = "".join(path.read_text() for path in sorted((SOURCE / "swapper").rglob("*.py")))


def exists(path: str) -> bool:
    """Whether it is a path of ours, or a file that the code names in a folder of ours."""
    path = re.sub(r"/conf\.d/[\w*-]+\.yaml$", "/conf.d", path.rstrip("/."))
    where, _, file = path.rpartition("/")
    return path in PATHS or f'"{path}"' in CODE or (where in PATHS and file.replace("MODEL", "") in CODE)


@each
def test_paths_exist(page: Page) -> None:
    named = set(re.findall(r"(?<![\w:/=.])/(?:etc|usr|run|var)/[\w@.*/-]+", page.text))
    generated = {path for path in named if path.startswith("/run/systemd/generator/")}
    assert all(path.endswith(".d/50-swapper.conf") for path in generated)
    assert [path for path in sorted(named - generated) if not exists(path)] == []


@each
def test_commands_exist(page: Page) -> None:
    asked = set(re.findall(r"\bswapperctl ([a-z]+)", "\n".join((*page.bold, *page.examples))))
    assert asked - COMMANDS.keys() == set()


def test_configurations_in_pages_have_no_mistake(tmp_path: Path) -> None:
    for file, read in (("swapper.yaml.5", load), ("swapper-telegram.yaml.5", settings.load)):
        example = PAGES[file].examples[-1]
        (tmp_path / file).write_text(example)
        read(tmp_path / file)
        assert len(example.splitlines()) > 4


@pytest.mark.parametrize(
    ("file", "tables"), [("swapper.yaml", (TopKeys, ModelKeys, RouterKeys)), ("telegram.yaml", (settings.TopKeys,))]
)
def test_the_file_that_is_shipped_speaks_of_each_key(file: str, tables: tuple[type[Table], ...]) -> None:
    text = (SOURCE / "config" / file).read_text()
    assert [name for table in tables for name in keys_of(table) if not re.search(rf"\b{name}\b", text)] == []


@each
@pytest.mark.skipif(shutil.which("man") is None, reason="needs man-db")
def test_pages_are_good_roff(page: Page, tmp_path: Path) -> None:
    file = tmp_path / page.file
    file.write_text(page.source)
    # What lintian does; in narrow columns lines cannot be set well, which groff would say.
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"}
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(file)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert said.stderr == ""
    found = subprocess.run(["lexgrog", str(file)], check=True, capture_output=True, text=True)
    assert tuple(re.findall(r': "(\S+) - ', found.stdout)) == page.names


def test_packages_name_their_own_pages() -> None:
    telegram = {file for file in PAGES if re.search("telegram|codex", file)}
    assert {Path(line).name for line in (SOURCE / "debian/swapper-telegram.manpages").read_text().split()} == telegram
    assert len(PACKAGES) == 2
