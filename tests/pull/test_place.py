"""What root does of a pull: the folder before, the way of whole files to their place after. Needs root, and a user."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.pull import PullError, place
from swapper.pull.places import Places
from swapper.pull.source import parse

if os.geteuid() != 0:
    pytest.skip("needs root, whose steps these are", allow_module_level=True)

USER = "nobody"
"""Stands in for swapper-pull, which is there where the package is."""

OWNER = pwd.getpwnam("daemon")


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A folder of models that everybody may see, unlike those of pytest."""
    monkeypatch.setattr(place, "USER", USER)
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    yield Places(folder, parse("hf:org/repo:Q4_K_M"))
    shutil.rmtree(folder)


def part(places: Places, name: str, content: bytes = b"x") -> str:
    """A file that the user has fetched; how its part is called."""
    key = name.encode().hex()
    (places.parts / key).write_bytes(content)
    shutil.chown(places.parts / key, USER)
    return key


def put(places: Places, *names: str) -> None:
    place.prepare(places)
    place.place(places, {name: part(places, name) for name in names})


def there(places: Places) -> set[str]:
    return {str(path.relative_to(places.target)) for path in places.target.rglob("*") if path.is_file()}


def test_only_the_users_folder_is_the_users(places: Places) -> None:
    place.prepare(places)
    assert places.parts.owner() == USER
    assert {path.owner() for path in (places.models, places.parts.parent, places.ready.parent)} == {"root"}
    place.prepare(places)


def test_what_is_whole_goes_to_its_place_and_is_nobody_elses(places: Places) -> None:
    put(places, "a.gguf", "sub/b.json")
    assert there(places) == {"a.gguf", "sub/b.json"}
    for path in (places.target.parent, places.target, *places.target.rglob("*")):
        assert (path.owner(), path.stat().st_mode & 0o022) == ("root", 0), path
    assert list(places.parts.iterdir()) == list(places.ready.parent.iterdir()) == []


def test_more_goes_beside_what_is_there_and_replaces_nothing(places: Places) -> None:
    put(places, "a.gguf", "config.json")
    (places.target / "a.gguf").write_bytes(b"mine")
    put(places, "a.gguf", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "sub/c")
    assert (places.target / "a.gguf").read_bytes() == b"mine"
    assert there(places) == {"a.gguf", "config.json", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "sub/c"}


def test_what_a_start_begins_with_is_put_there_last() -> None:
    parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
    names = ["config.json", "a.safetensors", *parts, "mmproj-F16.gguf", "b.gguf"]
    last = [name for name in names if place._begins(Path(name))]
    assert last == ["config.json", "m-00001-of-00002.gguf", "b.gguf"]


def test_models_of_somebody_are_theirs(places: Places) -> None:
    os.chown(places.models, OWNER.pw_uid, OWNER.pw_gid)
    put(places, "a.gguf")
    put(places, "b.gguf", "sub/c")
    found = (places.target.parent, places.target, *places.target.rglob("*"))
    assert {path.owner() for path in found} == {OWNER.pw_name}
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_what_was_being_put_in_place_when_the_power_went_is_put_there(places: Places) -> None:
    place.prepare(places)
    places.ready.mkdir()
    (places.ready / "a.gguf").write_bytes(b"x")
    place.prepare(places)
    assert there(places) == {"a.gguf"}


@pytest.mark.parametrize("below", [".pull", ".pull/parts", ".pull/ready"])
def test_a_link_is_not_followed(places: Places, below: str) -> None:
    elsewhere = places.models / "elsewhere"
    elsewhere.mkdir()
    (places.models / below).parent.mkdir(exist_ok=True)
    (places.models / below).symlink_to(elsewhere)
    with pytest.raises(PullError):
        place.prepare(places)
    assert (elsewhere.owner(), list(elsewhere.iterdir())) == ("root", [])


def test_only_plain_files_of_the_user_are_taken(places: Places) -> None:
    place.prepare(places)
    secret = places.models / "secret"
    secret.write_text("root's")
    (places.parts / "aa").symlink_to(secret)
    os.link(secret, places.parts / "bb")
    os.mkfifo(places.parts / "cc")
    shutil.chown(places.parts / "cc", USER)
    for key in ("aa", "bb", "cc", "dd", "../secret"):
        with pytest.raises(PullError):
            place.place(places, {"a.gguf": key})
    assert (secret.read_text(), secret.owner(), places.target.exists()) == ("root's", "root", False)


@pytest.mark.parametrize("name", ["../x", "/etc/x", ".."])
def test_no_name_leads_out(places: Places, name: str) -> None:
    place.prepare(places)
    with pytest.raises(PullError):
        place.place(places, {name: part(places, "x")})
