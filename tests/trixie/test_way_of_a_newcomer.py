"""Somebody new, on Debian 13: the repository, a llama-server in /usr/local/bin, two commands, an answer.

The file comes last of its folder, since it takes away what the others want.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job.house import CONFIG, reset, show
from tests.lab import archive, newcomer
from tests.lab.archive import run
from tests.lab.newcomer import SAYS, Way

LLAMA = Path(os.environ.get("SWAPPER_TEST_LLAMA", "/opt/swapper-llama"))
LOCAL = Path("/usr/local")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Our repository, in a machine in which nothing is left of our packages and of what came with them."""
    archive.open_to_apt(tmp_path)
    (tmp_path / "ours").mkdir()
    with (
        archive.signer(tmp_path / "key", "packages@example.org") as key,
        archive.debian(tmp_path, key),
        archive.served(tmp_path / "ours") as url,
    ):
        key.publish(tmp_path / "ours", archive.debs(), "--url", url)
        run("dpkg", "--purge", "swapper-telegram", "swapper")
        run("apt-get", "autoremove", "--yes", "--purge")
        yield url


@pytest.fixture
def way(url: str) -> Iterator[Way]:
    """What a new user did."""
    assert not CONFIG.parent.exists()
    assert "python3-aiohttp" not in run("dpkg-query", "--show", "--showformat=${Package} ")
    assert "Unable to locate package" in run("apt-get", "install", "--yes", "llama.cpp-tools", status=100)
    yield newcomer.walk(url, [("cp", "--recursive", f"{LLAMA}/.", str(LOCAL))])
    reset()
    for path in (newcomer.MODEL, CONFIG.parent / "conf.d" / "newcomer.yaml", LOCAL / "bin" / "llama-server"):
        path.unlink()
    shutil.rmtree(LOCAL / "lib" / "llama.cpp")
    run("systemctl", "daemon-reload")


def test_from_nothing_to_an_answer(way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(way.told("Debian 13"))
    assert way.steps[-1][2].splitlines()[-1] == SAYS
    assert way.ours < newcomer.SANE
    assert way.seconds < newcomer.WHOLE
    assert run("dpkg", "--verify", "swapper") == "", "nothing of the package was edited"
    assert show("llama@newcomer", "ActiveState") == "active"
