"""The build is reproducible: whoever builds these sources, wherever and whenever, gets the packages tested here.

How reprotest varies things is the measure (its manual, "variations"): build path, home, host name, time, time zone,
locale, umask, user and the number of processors.
"""

import difflib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.job.house import run
from tests.lab.archive import SOURCE, debs

BUILDER = "builder"
LOCALE = "et_EE.UTF-8"
"""Where z is not the last letter: what is sorted by locale is sorted otherwise."""

FAR = Path("/var/tmp/quite/another/place")
"""Folders of pytest are closed to other users."""

BUILD = "dpkg-buildpackage --build=binary --unsigned-changes --unsigned-source"


@pytest.fixture
def _builder() -> Iterator[None]:
    run("useradd", "--create-home", BUILDER)
    run("localedef", "--inputfile", "et_EE", "--charmap", "UTF-8", LOCALE)
    yield
    run("userdel", "--remove", BUILDER, check=False)
    shutil.rmtree(FAR.parents[1])


def build(place: Path, script: str, environment: dict[str, str]) -> dict[str, Path]:
    """Build the packages in a folder; where they are, by their names."""
    tree = place / "swapper"
    tree.mkdir(parents=True)
    done = subprocess.run(
        ["unshare", "--uts", "sh", "-c", script], check=False, text=True, cwd=tree,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "SOURCE": str(SOURCE), "TREE": str(tree), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return {path.name: path for path in place.glob("*.deb")}


def plain(place: Path) -> dict[str, Path]:
    """As a developer does who is in a hurry."""
    script = f'umask 022; tar -C "$SOURCE" -c . | tar -x && {BUILD}'
    return build(place, script, {"HOME": "/root", "TZ": "UTC", "LC_ALL": "C.UTF-8", "DEB_BUILD_OPTIONS": "parallel=1"})


def odd(place: Path) -> dict[str, Path]:
    """As another user, in another place, more than a year from now."""
    (faketime,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    script = f"""
        umask 077 && hostname elsewhere
        tar -C "$SOURCE" -c . | tar -x --touch --no-same-permissions --no-same-owner
        chown -R {BUILDER} "$TREE/.." && exec setpriv --reuid {BUILDER} --regid {BUILDER} --clear-groups \\
            env LD_PRELOAD={faketime} FAKETIME=+400d NO_FAKE_STAT=1 {BUILD}
    """
    return build(place, script, {
        "HOME": f"/home/{BUILDER}", "TZ": "XYZ-14", "LC_ALL": LOCALE, "LANGUAGE": "et",
        "DEB_BUILD_OPTIONS": "parallel=2",
    })  # fmt: skip


def contents(deb: Path) -> list[str]:
    """What is in a package, a line each, with times and owners."""
    return run("dpkg-deb", "--contents", str(deb)).splitlines() + run("dpkg-deb", "--info", str(deb)).splitlines()


def difference(one: Path, other: Path) -> str:
    """What is not the same in two packages."""
    if shutil.which("diffoscope"):
        return run("diffoscope", str(one), str(other), check=False)
    return "\n".join(difflib.unified_diff(contents(one), contents(other), "one", "other", lineterm=""))


@pytest.mark.usefixtures("_builder")
def test_builds_that_share_nothing_but_the_sources_are_the_same(tmp_path: Path) -> None:
    """Two of them, and the one whose packages are installed here."""
    with ThreadPoolExecutor() as pool:
        built = [pool.submit(plain, tmp_path), pool.submit(odd, FAR)]
        here, there = (each.result() for each in built)
    tested = {path.name: path for path in debs()}
    assert set(tested) == set(here) == set(there)
    for name, one in here.items():
        for other in (there[name], tested[name]):
            same = one.read_bytes() == other.read_bytes()
            assert same, difference(one, other)
