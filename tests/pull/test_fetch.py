"""Fetching, by the hub's own library: what breaks is gone on with, what is wrong is not taken."""

import hashlib
import json
import os
from pathlib import Path
from typing import Self

import pytest

from tests.lab.hub import TOKEN, Trouble, blob
from tests.pull.conftest import Desk, until

MIB = 1 << 20
SOURCE = "hf:ada/tiny-GGUF:Q4_K_M"
NAME = "tiny-Q4_K_M.gguf"
BIG = hashlib.shake_128(b"tiny").digest(5 * MIB + 77)


@pytest.fixture(autouse=True)
def _tiny(desk: Desk) -> None:
    desk.hub.add("ada/tiny-GGUF", {NAME: BIG, "tiny-Q8_0.gguf": b"8" * 100, "README.md": b"# tiny\n"})


def test_a_file_comes_in_pieces_and_is_what_the_hub_has(desk: Desk) -> None:
    report = desk.pull(SOURCE)
    assert (report.stage, report.done, report.total, report.files) == ("done", len(BIG), len(BIG), (NAME,))
    assert report.path == desk.models / "ada" / "tiny-GGUF" / NAME
    assert desk.part(SOURCE, NAME).read_bytes() == BIG
    ranges = sorted(desk.hub.ranges(NAME), key=lambda text: int(text[6:].partition("-")[0]))
    assert ranges == [f"bytes={n * MIB}-{min((n + 1) * MIB, len(BIG)) - 1}" for n in range(6)]
    assert desk.hub.sent == len(BIG)


def test_the_token_goes_to_the_hub_and_no_further(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.hub.gated.add("ada/tiny-GGUF")
    refused = desk.pull(SOURCE)
    assert (refused.stage, refused.code) == ("failed", "gated")
    assert "/etc/credstore/swapper-pull.token" in refused.hint
    (tmp_path / "swapper-pull.token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    desk.hub.asked.clear()
    assert desk.pull(SOURCE).stage == "done"
    assert {each.token for each in desk.hub.asked if each.host.startswith("127.")} == {TOKEN}
    assert {each.token for each in desk.hub.asked if each.host.startswith("localhost")} == {""}


def test_answers_that_end_early_are_gone_on_with_where_they_did(desk: Desk) -> None:
    desk.hub.trouble(NAME, Trouble(breaks=9, after=512 << 10))
    report = desk.pull(SOURCE)
    assert report.stage == "done"
    assert desk.part(SOURCE, NAME).read_bytes() == BIG
    assert desk.hub.sent == len(BIG), "no byte came twice"


def test_connections_that_are_reset_are_made_anew(desk: Desk) -> None:
    desk.hub.trouble(NAME, Trouble(breaks=9, after=512 << 10, reset=True))
    report = desk.pull(SOURCE)
    assert report.stage == "done"
    assert desk.part(SOURCE, NAME).read_bytes() == BIG


def test_a_hub_in_trouble_is_asked_again(desk: Desk) -> None:
    desk.hub.trouble(NAME, Trouble(statuses=[503, 502, 500]))
    assert desk.pull(SOURCE).stage == "done"
    assert desk.part(SOURCE, NAME).read_bytes() == BIG


def test_a_hub_that_is_gone_ends_it_and_what_came_is_kept(desk: Desk) -> None:
    desk.patience = 1.0
    desk.hub.trouble(NAME, Trouble(breaks=10_000, after=0))
    report = desk.pull(SOURCE)
    assert (report.stage, report.code) == ("failed", "broken_off")
    assert "goes on" in report.hint
    del desk.hub.troubles[NAME]
    assert desk.pull(SOURCE).stage == "done"


def test_a_wrong_checksum_is_not_taken_and_the_next_pull_fetches_it_again(desk: Desk) -> None:
    desk.hub.trouble(NAME, Trouble(wrong=True))
    report = desk.pull(SOURCE)
    assert (report.stage, report.code) == ("failed", "checksum")
    assert f"instead of sha256:{hashlib.sha256(BIG).hexdigest()}" in report.message
    assert list((desk.models / ".pull" / "parts").iterdir()) == []
    del desk.hub.troubles[NAME]
    assert desk.pull(SOURCE).stage == "done"


def test_small_files_are_measured_by_gits_checksum(desk: Desk) -> None:
    desk.hub.trouble("README.md", Trouble(wrong=True))
    report = desk.pull("hf:ada/tiny-GGUF:README.md")
    assert (report.code, f"git-sha1:{blob(b'# tiny' + bytes([10]))}" in report.message) == ("checksum", True)
    del desk.hub.troubles["README.md"]
    assert desk.pull("hf:ada/tiny-GGUF:README.md").stage == "done"


def test_kill_9_costs_no_more_than_what_was_not_noted(desk: Desk) -> None:
    held = desk.hub.trouble(NAME, Trouble(held=True, after=640 << 10))
    running = desk.begin(SOURCE)
    assert held.standing.wait(60)
    note = Path(f"{desk.part(SOURCE, NAME)}.note")
    until(lambda: note.exists() and sum(json.loads(note.read_text())["done"]) > MIB)
    running.kill()
    running.communicate(timeout=60)
    before = desk.hub.sent
    assert before >= MIB
    held.go.set()
    del desk.hub.troubles[NAME]
    report = desk.pull(SOURCE)
    assert report.stage == "done"
    assert desk.part(SOURCE, NAME).read_bytes() == BIG
    assert desk.hub.sent - before < len(BIG) - MIB, "it went on, and did not begin again"


def test_a_stop_notes_how_far_it_was(desk: Desk) -> None:
    held = desk.hub.trouble(NAME, Trouble(held=True, after=640 << 10))
    running = desk.begin(SOURCE)
    assert held.standing.wait(60)
    until(lambda: desk.report(SOURCE).done > MIB)
    assert desk.report(SOURCE).stage == "running"
    assert desk.report(SOURCE).paths == {desk.models / "ada" / "tiny-GGUF" / NAME}
    running.terminate()
    running.communicate(timeout=60)
    assert desk.report(SOURCE).code == "interrupted"
    note = json.loads(Path(f"{desk.part(SOURCE, NAME)}.note").read_text())
    assert sum(note["done"]) >= desk.report(SOURCE).done


def test_two_pulls_of_one_repository_fetch_each_file_once(desk: Desk) -> None:
    held = desk.hub.trouble(NAME, Trouble(held=True, after=128 << 10))
    first = desk.begin(SOURCE)
    assert held.standing.wait(60)
    other = f"hf:ada/tiny-GGUF:{NAME}"
    second = desk.begin(other)
    until(lambda: "waiting for another pull" in desk.report(other).text)
    held.go.set()
    for running in (first, second):
        running.communicate(timeout=60)
        assert running.returncode == 0
    assert desk.hub.sent == len(BIG)


def test_what_is_in_its_place_is_measured_and_not_fetched(desk: Desk) -> None:
    place = desk.models / "ada" / "tiny-GGUF" / NAME
    place.parent.mkdir(parents=True)
    place.write_bytes(BIG)
    assert desk.pull(SOURCE).stage == "done"
    assert desk.hub.sent == 0
    place.write_bytes(b"x" + BIG[1:])
    report = desk.pull(SOURCE)
    assert (report.code, str(place) in report.message) == ("in_the_way", True)


def test_a_disk_that_is_too_small_is_told_before_anything_comes(desk: Desk) -> None:
    disk = os.statvfs(desk.models)
    whole = disk.f_blocks * disk.f_frsize  # however much others free of it meanwhile
    desk.hub.repositories["ada/huge"] = {"config.json": b"{}", "model.safetensors": _Huge(whole)}
    report = desk.pull("hf:ada/huge")
    assert (report.stage, report.code) == ("failed", "disk_full")
    assert "are needed" in report.message
    assert desk.hub.sent == 0


class _Huge(bytes):
    """A file that says that it is larger than it is."""

    size: int

    def __new__(cls, size: int) -> Self:
        made = super().__new__(cls, b"huge")
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


def test_who_does_not_serve_ranges_is_told(desk: Desk) -> None:
    desk.hub.trouble(NAME, Trouble(ranges=False))
    report = desk.pull(SOURCE)
    assert (report.code, "HF_ENDPOINT" in report.hint) == ("no_ranges", True)
    assert list((desk.models / ".pull" / "parts").iterdir()) == []
    desk.piece = 64 * MIB
    assert desk.pull(SOURCE).stage == "done", "what fits one piece is not asked for in ranges"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("hf:ada/nothing", "no_such_repository"),
        ("hf:ada/tiny-GGUF:Q5_K_M", "no_such_file"),
        ("hf:ada/tiny-GGUF:other.gguf", "no_such_file"),
    ],
)
def test_what_is_not_there(desk: Desk, source: str, code: str) -> None:
    assert desk.pull(source).code == code
