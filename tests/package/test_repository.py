"""The apt repository that `packaging/repository` makes: apt takes what is signed by its key, and nothing else."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import archive
from tests.lab.archive import Signer, run
from tests.package.conftest import Repository

REFUSED = 100
"""apt-get's exit status for every error (apt-get(8))."""


@dataclass(frozen=True, slots=True)
class Apt:
    """An apt that knows one repository, and has lists of its own.

    Attributes:
        folder: A copy of ours, which no server stands between.
        options: For apt-get.
    """

    folder: Path
    options: tuple[str, ...]

    def get(self, *argv: str, status: int = 0) -> str:
        """Call apt-get."""
        return run("env", f"--chdir={self.folder.parent}", "apt-get", *self.options, *argv, status=status)

    def candidates(self) -> list[str]:
        """Versions of the package that can be had, newest first."""
        table = run("apt-cache", *self.options, "madison", "swapper")
        return [line.split("|")[1].strip() for line in table.splitlines()]

    @property
    def release(self) -> Path:
        """What is signed."""
        return self.folder / "dists" / "stable" / "InRelease"


@pytest.fixture
def apt(tmp_path: Path, repository: Repository) -> Apt:
    folder = tmp_path / "repository"
    shutil.copytree(repository.folder, folder)
    archive.open_to_apt(tmp_path)
    source = tmp_path / "swapper.sources"
    source.write_text(re.sub("(?m)^URIs: .*", f"URIs: file://{folder}", (folder / "swapper.sources").read_text()))
    state, cache = tmp_path / "state", tmp_path / "cache"
    for each in (state / "lists" / "partial", cache / "archives" / "partial"):
        each.mkdir(parents=True)
    settings = {
        "Dir::Etc::SourceList": source, "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": state, "Dir::State::status": "/var/lib/dpkg/status", "Dir::Cache": cache,
    }  # fmt: skip
    return Apt(folder, tuple(f"--option={name}={value}" for name, value in settings.items()))


def refused(apt: Apt, told: str) -> None:
    """An update fails for this reason, and the package is nowhere."""
    assert told in apt.get("update", status=REFUSED)
    assert "Unable to locate package swapper" in apt.get("download", "swapper", status=REFUSED)


def test_what_is_signed_is_taken_without_a_word(apt: Apt) -> None:
    told = apt.get("update")
    assert [line for line in told.splitlines() if line.startswith(("W:", "N:", "E:", "Err", "Ign"))] == []
    assert len(apt.candidates()) == 1


def test_what_somebody_else_signed_is_refused(apt: Apt, tmp_path: Path) -> None:
    text = apt.release.read_text()
    signed = text.split("-----BEGIN PGP SIGNATURE-----")[0].split("\n\n", 1)[1]
    with archive.signer(tmp_path / "mallory", "mallory@example.org") as mallory:
        apt.release.write_text(mallory.sign(signed))
    refused(apt, "Missing key")


def test_what_was_changed_after_it_was_signed_is_refused(apt: Apt) -> None:
    apt.release.write_text(apt.release.read_text().replace("Label: Swapper", "Label: Mallory"))
    refused(apt, "has been manipulated")


def test_what_is_not_signed_at_all_is_refused(apt: Apt) -> None:
    text = apt.release.read_text()
    apt.release.unlink()
    apt.release.with_name("Release").write_text(text.split("-----BEGIN PGP SIGNATURE-----")[0].split("\n\n", 1)[1])
    refused(apt, "is not signed")


def test_a_list_of_packages_that_is_not_the_one_that_was_signed_is_refused(apt: Apt) -> None:
    for path in (apt.folder / "dists").rglob("*"):
        if path.is_file() and path != apt.release:
            path.write_bytes(path.read_bytes()[::-1])
    refused(apt, "Hash Sum mismatch")


def test_a_package_that_is_not_the_one_in_the_list_is_refused(apt: Apt) -> None:
    apt.get("update")
    (deb,) = apt.folder.rglob("swapper_*.deb")
    deb.write_bytes(deb.read_bytes()[:-1] + b"!")
    assert "Hash Sum mismatch" in apt.get("download", "swapper", status=REFUSED)


def test_whoever_has_it_keeps_what_was_good_when_it_is_not_any_more(apt: Apt) -> None:
    apt.get("update")
    before = apt.candidates()
    apt.release.write_text(apt.release.read_text().replace("Label: Swapper", "Label: Mallory"))
    assert "W: " in apt.get("update")
    assert apt.candidates() == before


def test_a_later_version_comes_beside_the_earlier_one(apt: Apt, key: Signer) -> None:
    apt.get("update")
    (first,) = apt.candidates()
    key.publish(apt.folder, archive.debs(upgrade=True))
    apt.get("update")
    assert apt.candidates() == [f"{first}+upgrade", first]


def test_an_address_that_was_told_once_is_kept(apt: Apt, key: Signer) -> None:
    before = (apt.folder / "swapper.sources").read_text()
    assert "URIs: http://127.0.0.1:" in before
    key.publish(apt.folder, archive.debs(upgrade=True))
    assert (apt.folder / "swapper.sources").read_text() == before


def test_whoever_fetched_the_list_before_still_finds_what_that_names(apt: Apt, key: Signer) -> None:
    before = {path.name for path in apt.folder.rglob("by-hash/SHA256/*")}
    key.publish(apt.folder, archive.debs(upgrade=True))
    assert before < {path.name for path in apt.folder.rglob("by-hash/SHA256/*")}


def test_other_bytes_under_a_version_that_is_published_are_refused(apt: Apt, key: Signer, tmp_path: Path) -> None:
    changed = archive.later(archive.debs()[0], tmp_path, "", "/etc/swapper/telegram.yaml", "# otherwise\n")
    before = apt.release.read_text()
    assert "Raise the version" in key.publish(apt.folder, [changed], status=1)
    assert apt.release.read_text() == before


def test_a_key_that_is_not_there_is_told(key: Signer, tmp_path: Path) -> None:
    nobody = Signer(key.home, "nobody@example.org")
    assert "no secret key 'nobody@example.org'" in nobody.publish(tmp_path / "new", archive.debs(), status=1)
    assert not (tmp_path / "new").exists()
