"""Where systemd has a unit from: what `systemctl cat` prints."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.host import definition
from tests.system.host.units import UNITS, systemctl, unit_name
from tests.system.host.watch import run, watching


@pytest.fixture
def dropins() -> Iterator[Path]:
    folder = UNITS / f"{unit_name('a')}.d"
    folder.mkdir()
    (folder / "90-late.conf").write_text("[Service]\nNice=2\n")
    (folder / "10-early.conf").write_text("[Service]\nNice=1\n")
    systemctl("daemon-reload")
    yield folder
    shutil.rmtree(folder)
    systemctl("daemon-reload")


def test_a_units_files_are_those_that_systemctl_cat_prints(dropins: Path) -> None:
    async def test() -> None:
        async with watching() as watch:
            await watch.units.start(unit_name("a"))  # one at rest may be forgotten, and read anew
            found = await watch.units.files(unit_name("a"))
            printed = systemctl("cat", unit_name("a"))
            assert [f"# {path}" for path in found.paths] == [
                line for line in printed.splitlines() if line.startswith("# /")
            ]
            assert [path.name for path in found.paths] == [unit_name("a"), "10-early.conf", "90-late.conf"]
            assert not found.stale
            for file in definition.read(found.paths):
                assert file.problem == ""
                assert file.text in printed
            (dropins / "90-late.conf").write_text("[Service]\nNice=3\n")
            assert (await watch.units.files(unit_name("a"))).stale

    run(test())


def test_a_unit_that_is_masked_or_nowhere_is_no_defect() -> None:
    async def test() -> None:
        async with watching() as watch:
            masked = await watch.units.files(unit_name("masked"))
            assert [file.text for file in definition.read(masked.paths)] == [""]
            assert (await watch.units.files("test-host-nowhere.service")).paths == ()

    run(test())
