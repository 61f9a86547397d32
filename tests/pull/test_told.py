"""What a pull says of itself, as others read it."""

from pathlib import Path

import pytest

from swapper.config import load
from swapper.pull import told
from swapper.pull.source import parse
from swapper.pull.told import Report, Stage
from swapper.router import obstacles

SOURCE = parse("hf:org/repo:Q4_K_M")


def report(target: Path, stage: Stage = Stage.RUNNING) -> Report:
    return Report(str(SOURCE), "i", stage, target=str(target), files=("m.gguf",), parts=("0",), model="m.gguf",
                  total=200, done=85, rate=23.0)  # fmt: skip


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert told.read(SOURCE.instance, tmp_path) is None
    told.write(SOURCE.instance, report(tmp_path), tmp_path)
    found = told.read(SOURCE.instance, tmp_path)
    assert found is not None
    assert (found.percent, found.left, found.path, found.stage) == (42.5, 5.0, tmp_path / "m.gguf", Stage.RUNNING)
    assert list(told.reports(tmp_path)) == [found]
    assert (tmp_path / f"{SOURCE.instance}.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stage": "x"}', '{"stage": "done", "files": 3}'])
def test_what_is_no_report_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert list(told.reports(tmp_path)) == []
    assert list(told.reports(tmp_path / "nowhere")) == []


def test_a_model_whose_files_come_says_how_far_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "c.yaml").write_text(
        f"models_dir: {tmp_path}\n"
        "models: {m: {engine: llama, model: org/repo/m.gguf}, other: {engine: llama, model: other.gguf}}\n"
    )
    models = load(tmp_path / "c.yaml").models
    monkeypatch.setattr(told, "FOLDER", tmp_path / "run")
    told.write(SOURCE.instance, report(tmp_path / "org" / "repo"), tmp_path / "run")
    coming, missing = obstacles.obstacles(models)
    assert (coming[0], coming[2], missing[2]) == ("m", 42.5, None)
    assert coming[1] is not None
    assert missing[1] is not None
    assert "hf:org/repo:Q4_K_M is being pulled" in coming[1].message
    assert (coming[1].code, "swapperctl pull" in coming[1].hint) == ("model_incomplete", True)
    assert "pull" not in missing[1].message + missing[1].hint
    told.write(SOURCE.instance, report(tmp_path / "org" / "repo", Stage.FAILED), tmp_path / "run")
    assert [percent for _, _, percent in obstacles.obstacles(models)] == [None, None]
