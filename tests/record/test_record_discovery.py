"""Run folders at or below a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from record.sample_record import opened
from tocsin import record
from tocsin.record import discovery


def make(folder: Path) -> Path:
    opened(folder).close("finished")
    return folder


def test_at_and_below_sorted(tmp_path: Path):
    made = [make(tmp_path / name) for name in ("b", "a/deep/er", "c")]
    make(tmp_path / ".hidden")
    make(tmp_path / "c" / "checkpoints")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text('{"schema": "wandb/3"}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_bytes(b"\xff\x00[")
    assert record.find(tmp_path) == sorted(made)
    assert record.find(made[0]) == [made[0]]
    assert record.find(made[0] / "run.json") == [made[0]]
    assert record.find(str(tmp_path / "foreign")) == []


def test_links_are_followed_once(tmp_path: Path):
    run = make(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs")
    (run / "self").symlink_to(run)
    (tmp_path / "link").symlink_to(run)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    found = record.find(tmp_path)
    assert [f.resolve() for f in found] == [run]
    assert record.find(tmp_path / "link") == [tmp_path / "link"]


def test_other_files_and_nothing(tmp_path: Path):
    (tmp_path / "log.csv").write_text("step,loss\n")
    (tmp_path / "run.json").write_text("[]")
    for path in (tmp_path / "log.csv", tmp_path / "run.json", tmp_path / "absent"):
        with pytest.raises(record.RecordError, match=str(path)):
            record.find(path)
    assert record.find(tmp_path) == []


def test_the_walk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discovery, "MAX_FOLDERS", 5)
    for name in "abcdef":
        (tmp_path / name).mkdir()
    with pytest.raises(record.RecordError, match="name a narrower one"):
        record.find(tmp_path)
    deep = tmp_path / "a" / Path(*["x"] * 30)
    monkeypatch.setattr(discovery, "MAX_FOLDERS", 500)
    make(deep)
    assert record.find(tmp_path) == []
    assert record.find(deep) == [deep]
