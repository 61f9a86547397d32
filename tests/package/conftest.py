"""What these tests share: Debian's mirror, as far as it is at hand, and our repository beside it, both on loopback."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import archive
from tests.lab.archive import Signer
from tests.lab.failing import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]


@dataclass(frozen=True, slots=True)
class Repository:
    """Ours.

    Attributes:
        folder: The folder that is served.
        url: Where that is.
        key: Who signs it.
    """

    folder: Path
    url: str
    key: Signer


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with archive.signer(tmp_path_factory.mktemp("keys") / "ours", "packages@example.org") as key:
        yield key


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The only place from which apt takes Debian's packages."""
    work = tmp_path_factory.mktemp("mirror")
    archive.open_to_apt(work)
    with archive.signer(work / "key", "archive@example.org") as key, archive.debian(work, key) as url:
        yield url


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, key: Signer) -> Iterator[Repository]:
    """With the packages under test, as a new user finds it."""
    folder = tmp_path_factory.mktemp("repository")
    archive.open_to_apt(folder)
    with archive.served(folder) as url:
        key.publish(folder, archive.debs(), "--url", url)
        yield Repository(folder, url, key)
