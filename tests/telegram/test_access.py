"""Closed to everybody who was not let in."""

import json
from pathlib import Path

import pytest

from swapper.telegram import pairing
from swapper.telegram.access import AGAIN, MOST, Access, Strangers
from swapper.telegram.places import Lane
from swapper.telegram.settings import Settings


def test_closed_by_default() -> None:
    assert not Access(Settings(), ()).open_to(42, Lane(42))


def test_users_are_answered_anywhere_and_groups_let_their_members_in() -> None:
    access = Access(Settings(users=frozenset({42}), groups=frozenset({-7})), {43, -8})
    assert access.open_to(42, Lane(-9))
    assert access.open_to(43, Lane(43))
    assert access.open_to(1, Lane(-7))
    assert access.open_to(1, Lane(-8, 3))
    assert not access.open_to(1, Lane(-9))
    assert not access.open_to(7, Lane(7)), "a group's number is nobody's"
    assert not access.open_to(1, Lane(42)), "a chat is as good as who speaks in it"


def test_a_stranger_is_told_once_an_hour() -> None:
    strangers = Strangers()
    assert [strangers.tell(1, now) for now in (0.0, 1.0, AGAIN - 1, AGAIN + 1)] == [True, False, False, True]


def test_strangers_do_not_fill_the_memory() -> None:
    strangers = Strangers()
    for number in range(2 * MOST):
        strangers.tell(number, 0.0)
    assert not strangers.tell(2 * MOST - 1, 1.0)
    assert strangers.tell(0, 1.0), "those of long ago are forgotten"


def test_a_code_lets_in_once(tmp_path: Path) -> None:
    code = pairing.make()
    pairing.leave(tmp_path, code, 100.0)
    assert not pairing.redeem(tmp_path, "AAAA-AAAA", 101.0)
    assert pairing.redeem(tmp_path, f" {code.lower().replace('-', '')} ", 101.0)
    assert not pairing.redeem(tmp_path, code, 101.0)


def test_a_code_holds_for_ten_minutes(tmp_path: Path) -> None:
    code = pairing.make()
    pairing.leave(tmp_path, code, 100.0)
    assert not pairing.redeem(tmp_path, code, 100.0 + pairing.SECONDS)


def test_a_code_is_not_in_its_file(tmp_path: Path) -> None:
    code = pairing.make()
    pairing.leave(tmp_path, code, 100.0)
    (file,) = tmp_path.iterdir()
    assert set(json.loads(file.read_text())) == {"sha256", "until"}
    assert code.replace("-", "") not in file.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 1}', '{"sha256": "x", "until": "never"}'])
def test_a_file_that_is_damaged_lets_nobody_in(tmp_path: Path, text: str) -> None:
    (tmp_path / "pairing.json").write_text(text)
    assert not pairing.redeem(tmp_path, "AAAA-AAAA", 0.0)


def test_root_follows_no_link_in_the_bots_directory(tmp_path: Path) -> None:
    state, target = tmp_path / "state", tmp_path / "target"
    target.write_text("precious")
    state.mkdir()
    (state / "pairing.json").symlink_to(target)
    pairing.leave(state, pairing.make(), 100.0)
    assert target.read_text() == "precious"
    (tmp_path / "link").symlink_to(state)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        pairing.leave(tmp_path / "link", pairing.make(), 100.0)
