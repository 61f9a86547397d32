"""Files of keys, and how they come: `keys.read`, `credentials.read`, `Guard`."""

import hashlib
import logging
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapper import keys
from swapper.config import Config, KeySettings
from swapper.host import credentials
from swapper.keys import Keyring
from swapper.router.access import NOBODY, Key, Scope, Secret
from swapper.router.errors import ApiError
from swapper.router.guard import Guard

A, B = "aaaa-0123456789abcdef", "bbbb-0123456789abcdef"


def read(text: str, **more: str) -> Keyring:
    return keys.read({name: content.encode() for name, content in {"k": text, **more}.items()})


def names(ring: Keyring) -> list[str]:
    return [key.name for _, key in ring.known or ()]


def test_a_line_is_name_scope_and_key() -> None:
    ring = read(f"# who may\n\n  alice\tinference   {A}  \r\nroot admin {B}\n")
    assert ring.mistakes == ()
    assert ring.known == (
        (hashlib.sha256(A.encode()).digest(), Key("alice", admin=False)),
        (hashlib.sha256(B.encode()).digest(), Key("root", admin=True)),
    )


def test_a_key_may_be_told_by_its_hash() -> None:
    assert read(f"alice inference sha256:{hashlib.sha256(A.encode()).hexdigest()}") == read(f"alice inference {A}")


def test_no_file_is_no_keys_and_an_empty_one_is_keys_of_nobody() -> None:
    assert keys.read({}) == Keyring(None, ())
    assert read("") == read("# nobody\n") == Keyring((), ())


WRONG = [
    (f"alice {A}", "NAME SCOPE KEY"),
    (f"alice inference {A} of-alice", "NAME SCOPE KEY"),
    (f"alice admins {A}", "inference or admin"),
    (f"alice {A} inference", "inference or admin"),
    (f"al/ice inference {A}", "name"),
    (f"{A}{B} inference alice-alice-alice", "name"),
    ("alice inference short", "systemd-id128 new"),
    ("alice inference 0123456789abcde", "at least 16"),
    ("alice inference schlüssel-schlüssel", "ASCII"),
    ("alice inference sha256:abc", "64 hexadecimal"),
    (f"alice inference {A}\nalice admin {B}", "k:1 already"),
    (f"alice inference {A}\nbob inference {A}", "k:1 already"),
    (f"alice inference {A}\nbob inference sha256:{hashlib.sha256(A.encode()).hexdigest()}", "k:1 already"),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_a_file_with_a_mistake_opens_nothing(text: str, why: str) -> None:
    ring = read(f"{text}\ngood inference good-good-0123456789\n")
    assert ring.known == ()
    assert len(ring.mistakes) == 1
    assert why in str(ring.mistakes[0])


@pytest.mark.parametrize("text", [text for text, _ in WRONG])
def test_a_mistake_never_tells_a_key(text: str) -> None:
    told = " ".join(map(str, read(text).mistakes))
    assert told
    for secret in (A, B, "short", "0123456789abcde", "schl"):
        assert secret not in told


def test_every_mistake_is_told_with_its_line() -> None:
    ring = read(f"alice\n# fine\nbob inference {A}\ncarol nothing {B}\n")
    assert [(mistake.file, mistake.line) for mistake in ring.mistakes] == [("k", 1), ("k", 4)]
    assert ring.known == ()


def test_good_files_are_taken_beside_a_wrong_one() -> None:
    ring = read(f"alice inference {A}", other="nonsense")
    assert names(ring) == ["alice"]
    assert [mistake.file for mistake in ring.mistakes] == ["other"]


def test_a_name_or_key_counts_for_all_files() -> None:
    ring = read(f"alice inference {A}", other=f"alice inference {B}", third=f"bob admin {A}")
    assert names(ring) == ["alice"]
    assert [mistake.file for mistake in ring.mistakes] == ["other", "third"]


def test_what_is_missing_is_no_reason_to_do_without_keys() -> None:
    ring = keys.read({}, ["swapper.keys"])
    assert ring.known == ()
    assert "decrypt" in str(ring.mistakes[0])


@given(st.binary(max_size=200))
def test_whatever_stands_in_a_file_it_never_opens_the_port(content: bytes) -> None:
    assert keys.read({"k": content}).known is not None


# -- from systemd


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemd hands over lies in here."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def test_credentials_are_those_of_the_name(handed: Path) -> None:
    for name in ("keys", "keys.team", "other"):
        (handed / name).write_text(name)
    assert credentials.read("keys") == {"keys": b"keys", "keys.team": b"keys.team"}


def test_without_credentials_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "nothing"))
    assert credentials.read("") == {}
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert credentials.read("") == {}


def test_a_credential_that_cannot_be_read_is_not_overlooked(handed: Path) -> None:
    (handed / "swapper.keys").mkdir()
    with pytest.raises(OSError, match="directory"):
        credentials.read("swapper.keys")


def who(guard: Guard, key: str, scope: Scope = Scope.INFERENCE) -> str:
    try:
        return guard.access.judge(Secret(key.encode()), b"localhost", b"", local=True, scope=scope).name
    except ApiError as error:
        return error.code


def test_keys_and_configuration_come_together(handed: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (handed / "swapper.keys").write_text(f"alice inference {A}\n")
    guard = Guard()
    guard.read()
    guard.apply(Config(keys=(KeySettings("alice", 3), KeySettings("bob", 1))))
    assert guard.access.judge(Secret(A.encode()), b"x", b"", local=False, scope=Scope.INFERENCE).concurrency == 3
    assert "API keys of: alice (inference)" in caplog.text
    assert "'bob'" in caplog.text
    assert A not in caplog.text
    assert guard.complaints == []


def test_keys_are_read_again(handed: Path) -> None:
    (handed / "swapper.keys").write_text(f"alice inference {A}\n")
    guard = Guard()
    for text, expected in (
        (f"alice inference {A}\n", ["alice", "key_wrong"]),
        (f"bob admin {B}\n", ["key_wrong", "bob"]),
        ("bob admin\n", ["key_wrong", "key_wrong"]),
        ("", ["key_wrong", "key_wrong"]),
    ):
        (handed / "swapper.keys").write_text(text)
        guard.read()
        guard.apply(Config())
        assert [who(guard, key) for key in (A, B)] == expected


def test_a_wrong_file_is_complained_about(handed: Path, caplog: pytest.LogCaptureFixture) -> None:
    (handed / "swapper.keys").write_text(f"alice {A} inference\n")
    guard = Guard()
    guard.read()
    guard.apply(Config())
    assert who(guard, A) == "key_wrong"
    assert "swapper.keys:1: " in caplog.text
    assert A not in caplog.text
    assert guard.complaints[0].startswith("API keys refused: swapper.keys:1: ")
    assert A not in " ".join(guard.complaints)


def test_keys_that_could_not_be_decrypted_leave_the_port_closed(handed: Path) -> None:
    guard = Guard(["swapper.keys", "swapper.keys.other"])
    (handed / "swapper.keys.other").write_text(f"alice inference {A}\n")
    guard.read()
    guard.apply(Config())
    assert guard.access.keyed
    assert who(guard, B) == "key_wrong"
    assert who(guard, A) == "alice"
    assert guard.access.judge(None, b"localhost", b"", local=True, scope=Scope.OPEN) is NOBODY
    assert "decrypt" in guard.complaints[0]


def test_an_open_port_without_keys_is_complained_about(handed: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("0.0.0.0", 0)) as wide, socket.create_server(("127.0.0.1", 0)) as narrow:  # noqa: S104
        guard = Guard()
        guard.apply(Config())
        guard.listens([narrow])
        assert guard.complaints == []
        assert caplog.text == ""
        guard.listens([narrow, wide])
        address = f"0.0.0.0:{wide.getsockname()[1]}"
        assert address in guard.complaints[0]
        assert address in caplog.text
        assert "/etc/credstore/swapper.keys" in caplog.text
        assert "systemctl restart swapper" in caplog.text
        caplog.clear()
        (handed / "swapper.keys").write_text(f"alice inference {A}\n")
        guard.read()
        guard.apply(Config())
        guard.listens([narrow, wide])
        assert guard.complaints == []
        assert address not in caplog.text
