"""Pages and schemas as the packages install them: `man` finds them, and systemd takes what examples tell it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.pages import PACKAGES, installed, pages, sections
from tests.test_house import SOURCE

if os.geteuid() != 0 or not Path("/usr/lib/systemd/system/swapper-telegram.service").exists():
    pytest.skip("needs root in a booted machine with the packages installed", allow_module_level=True)

SHARE = Path("/usr/share/swapper")
MAN = Path("/usr/share/man")


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "MANWIDTH": "80", **environment}
    )


@pytest.mark.parametrize(("name", "section"), sections().items())
def test_man_finds_and_shows_it(name: str, section: str) -> None:
    shown = run("man", "--warnings", section, name, LC_ALL="C.UTF-8")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert name in shown.stdout


def test_whatis_knows_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "man").symlink_to(MAN)
    config = tmp_path / "config"
    config.write_text(f"MANDB_MAP {tmp_path}/man {tmp_path}/cache\n")
    made = run("mandb", "--config-file", str(config), "--quiet", "--create", str(tmp_path / "man"))
    assert made.returncode == 0, made.stderr
    ask = ("whatis", "--config-file", str(config), "--manpath", str(tmp_path / "man"))
    for name, section in sections().items():
        found = run(*ask, "--section", section, name)
        assert f"{name} ({section})" in found.stdout, (name, found.stdout, found.stderr)


def test_files_that_pages_name_are_installed() -> None:
    assert [path for path in installed() if not Path(path).exists() and not Path(f"{path}.gz").exists()] == []


def test_pages_of_others_are_there() -> None:
    """Those of systemd, which is always installed; GPUs' and engines' may be missing."""
    sources = "".join(page.source for page in pages().values()).replace("\\-", "-")
    named = set(re.findall(r"^\.BR (system\S+) \((\d)\)", sources, re.MULTILINE))
    assert len(named) > 5
    assert [name for name, section in named if not list(MAN.glob(f"man{section}/{name}.{section}*"))] == []


def overrides() -> Iterator[tuple[str, str, str]]:
    """What pages have people write by `systemctl edit`: the page, the unit, the lines."""
    for file, page in pages().items():
        for example in page.examples:
            found = re.search(r"^# systemctl edit ([\w@.-]+)\n(.*)", example, re.MULTILINE | re.DOTALL)
            if found:
                yield file, found[1], found[2]


OVERRIDES = list(overrides())


def test_there_are_examples_of_overrides() -> None:
    assert {file for file, *_ in OVERRIDES} >= {"llama@.service.8", "vllm@.service.8", "swapper-codex@.service.8"}


@pytest.mark.parametrize(("file", "unit", "lines"), OVERRIDES)
def test_systemd_takes_what_examples_override(file: str, unit: str, lines: str) -> None:
    edited = subprocess.run(
        ["systemctl", "edit", "--runtime", "--stdin", unit], check=False, capture_output=True, text=True, input=lines
    )
    try:
        assert edited.returncode == 0, (file, edited.stderr)
        whole = unit if unit.endswith(".slice") else f"{unit}test.service" if unit.endswith("@") else f"{unit}.service"
        said = run("systemd-analyze", "verify", "--man=no", whole)
        assert (said.returncode, said.stderr) == (0, "")
        assert lines.splitlines()[-1] in run("systemctl", "cat", whole).stdout
    finally:
        run("systemctl", "revert", unit)


def test_units_name_pages_that_are_there() -> None:
    units = [path for path in map(Path, installed()) if path.parent == Path("/usr/lib/systemd/system")]
    names = [unit.name.replace("@.", "@test.") for unit in units if unit.name != "swapper-gpus@.service"]
    said = run("systemd-analyze", "verify", "--man=yes", *names)
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.parametrize("name", ["swapper", "telegram"])
def test_the_schema_that_the_file_names_is_the_one_that_is_printed(name: str) -> None:
    first = (SOURCE / "config" / f"{name}.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SHARE}/{name}.schema.json"
    printed = run("swapperctl", "schema", name)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout == (SHARE / f"{name}.schema.json").read_text()
    assert json.loads(printed.stdout)["title"] == f"/etc/swapper/{name}.yaml"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_has_its_pages(package: str) -> None:
    listed = run("dpkg-query", "--listfiles", package).stdout
    found = {Path(line).name.removesuffix(".gz") for line in listed.splitlines() if line.startswith(f"{MAN}/")}
    mine = {file for file in found if re.search(r"\.\d$", file)}
    assert mine == {
        f"{name}.{page.file[-1]}"
        for page in pages().values()
        for name in page.names
        if bool(re.search("telegram|codex", page.file)) == (package == "swapper-telegram")
    }
