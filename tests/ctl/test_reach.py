"""What keeps engines from a file."""

from pathlib import Path

import pytest

from swapper.ctl import reach


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for folder in (tmp_path, *tmp_path.parents[:2]):  # pytest's own are closed
        folder.chmod(0o755)
    (tmp_path / "models").mkdir(mode=0o755)
    (tmp_path / "models" / "a.gguf").touch(mode=0o644)
    return tmp_path / "models" / "a.gguf"


def test_nothing_does(file: Path) -> None:
    assert reach.closed(file) is None
    assert reach.closed(file.parent) is None
    assert reach.closed(file.with_name("nobody")) is None


def test_the_file_does(file: Path) -> None:
    file.chmod(0o600)
    assert reach.closed(file) == file


def test_a_folder_above_does(file: Path) -> None:
    file.parent.chmod(0o700)
    assert reach.closed(file) == file.parent
    assert reach.closed(file.parent) == file.parent


def test_where_it_really_lies_counts_too(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(file)
    assert reach.closed(link) is None
    file.parent.chmod(0o700)
    assert reach.closed(link) == file.parent


def test_the_engines_group_is_as_good_as_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0o640)
    file.parent.chmod(0o750)
    assert reach.closed(file) == file
    monkeypatch.setattr(reach, "_group", lambda: file.stat().st_gid)
    assert reach.closed(file) is None


def test_below_homes_only_the_file_counts(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.parent.chmod(0o700)
    monkeypatch.setattr(reach, "HOMES", (tmp_path,))
    assert reach.closed(file) is None
    file.chmod(0o600)
    assert reach.closed(file) == file
