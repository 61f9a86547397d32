"""What Debian judges packages by: its autopkgtests, and piuparts, which looks for what a package leaves behind.

Neither is given what nobody else has: packages come from the repository, the tests from `debian/tests`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import archive
from tests.lab.archive import SOURCE, SOURCES, run
from tests.package.conftest import Repository

pytestmark = pytest.mark.usefixtures("debian")

PURGE = ("apt-get", "purge", "--yes", "swapper", "swapper-telegram")

INADEQUATE = {
    "swapper: invalid-systemd-user-or-group /usr/lib/systemd/system/swapper-gpus@.service user=swapper-gpus",
}
"""What adequate has to say, which piuparts calls, and why not: this user is one that systemd makes (DynamicUser=)."""

BASE = Path(os.environ.get("SWAPPER_TEST_BASE", "/opt/swapper-base"))
"""The machine's files, as they were before anything was installed."""


@pytest.fixture(autouse=True)
def _offered(debian: str, repository: Repository) -> Iterator[None]:
    """The packages can be had, and are not there."""
    assert debian
    shutil.copy(repository.folder / "swapper.sources", SOURCES)
    run("apt-get", "update")
    run(*PURGE)
    yield
    run(*PURGE)
    (SOURCES / "swapper.sources").unlink()


def test_autopkgtest(tmp_path: Path) -> None:
    """A machine of these tests is one to break, which `null` cannot know."""
    tree = tmp_path / "swapper"
    shutil.copytree(SOURCE, tree)
    (tree / "debian/files").touch()  # by which it knows a tree that was built, and asks for no tools to do that
    told = run(
        "autopkgtest", "--no-built-binaries", "--ignore-restrictions=isolation-machine", str(tree), "--", "null",
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip
    control = (SOURCE / "debian" / "tests" / "control").read_text()
    named = {name for names in re.findall(r"(?m)^Tests: (.*)", control) for name in names.split()}
    assert len(named) >= 4
    assert set(re.findall(r"(?m)^(\S+) +PASS$", told)) == named


def test_piuparts(tmp_path: Path) -> None:
    """Installed, upgraded from what the repository has, removed and purged: nothing is left, nothing is broken."""
    base = tmp_path / "base"
    (base / "dev/pts").mkdir(parents=True)
    (base / "dev/shm").mkdir()
    copied = f"tar -C {BASE} --exclude=./dev --exclude='./var/cache/apt/archives/*.deb' --create ."
    run("sh", "-c", f"{copied} | tar -C {base} --extract")
    run("chroot", str(base), "dpkg", "--purge", "adequate", "piuparts")  # which would judge themselves
    (base / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.copytree(SOURCES, base / "etc/apt/sources.list.d", dirs_exist_ok=True)
    Path("/etc/resolv.conf").touch()
    told = run(
        "piuparts", "--existing-chroot", str(base), "--hard-link", "--tmpdir", str(tmp_path), "--keep-sources-list",
        "--distribution", "forky", "--no-eatmydata",
        *map(str, archive.debs(upgrade=True)),
    )  # fmt: skip
    assert re.findall("PASS: .*", told) == [
        "PASS: Installation and purging test.",
        "PASS: Installation, upgrade and purging tests.",
        "PASS: All tests.",
    ]
    assert set(re.findall(r"(?m)^ +(swapper\S*: [a-z-]+ .*)", told)) == INADEQUATE


def test_a_purge_leaves_the_users_and_nobody_can_be_them() -> None:
    """Debian's practice: their numbers, given to somebody else, would hand over every file that still has them."""
    run("apt-get", "install", "--yes", "--no-install-recommends", "swapper", "swapper-telegram")
    run(*PURGE)
    for user in ("swapper", "swapper-engine", "swapper-telegram", "swapper-codex"):
        _, _, number, _, _, home, shell = run("getent", "passwd", user).strip().split(":")
        assert 0 < int(number) < 1000
        assert (home, shell) == ("/", "/usr/sbin/nologin")
        assert run("passwd", "--status", user).split()[1] == "L"
