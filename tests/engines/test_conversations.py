"""The keeper of conversations: how it reads answers, and what it takes for another engine.

With the real llama-server under systemd: tests/job/test_conversations.py.
"""

import os
from pathlib import Path

import pytest

from swapper.conversations import EX_CONFIG, Server, made_of, main, message, number, restore, signed

SAVED = b'{"id_slot":0,"filename":"0.part","n_saved":12022,"n_written":3270060,"timings":{"save_ms":4.44}}'
REFUSED = b'{"error":{"code":400,"message":"Unable to restore slot","type":"invalid_request_error"}}'


def test_answers_are_read_without_a_parser() -> None:
    assert number(SAVED, b'"n_saved":') == 12022
    assert number(b'{"n_saved":7}', b'"n_saved":') == 7
    assert number(REFUSED, b'"n_saved":') == 0
    assert message(REFUSED) == "Unable to restore slot"
    assert message(b"<html>") == ""


def test_a_file_that_changes_is_another_engine(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"1")
    for word in (f"{file}", f"--model={file}", f"{tmp_path / 'absent'},{file}"):
        os.utime(file, ns=(0, 1))
        before = signed(word.encode())
        assert before == b"1 1 "
        os.utime(file, ns=(0, 2))
        assert signed(word.encode()) == b"1 2 "
    assert signed(b"--parallel") == signed(str(tmp_path).encode()) == b""


def test_what_the_engine_is_told_by_its_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = made_of(os.getpid())
    monkeypatch.setenv("LLAMA_ARG_CACHE_TYPE_K", "q8_0")
    assert made_of(os.getpid()) != before


def test_an_engine_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "0.part").touch()
    restore(Server(str(tmp_path / "http.sock"), 1.0), str(tmp_path), os.getpid())
    assert [path.name for path in tmp_path.iterdir()] == ["made-of"], "there was nothing to ask it for"
    with pytest.raises(FileNotFoundError):
        Server(str(tmp_path / "http.sock"), 1.0).slots()
    with pytest.raises(TimeoutError):
        Server(str(tmp_path / "http.sock"), 0.0).slots()


def test_a_process_that_has_gone_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAINPID", raising=False)
    order = ["--socket", str(tmp_path / "s"), "--folder", str(tmp_path), "--seconds", "1"]
    assert main(["save", *order]) == 0
    assert main(["save", *order[:4]]) == EX_CONFIG
