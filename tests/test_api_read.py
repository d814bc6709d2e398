"""``tocsin.read`` on foreign logs and records side by side, and what it says where there is nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import tocsin
from tocsin import record

ROWS = "epoch,step,train_loss,val_loss\n" + "".join(f"{e},{e * 10},{2.0 / e},{3.0 / e}\n" for e in range(1, 9))


def csv(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ROWS)
    return path


def written(folder: Path) -> Path:
    writer = record.open_record(folder, config={}, environment={})
    writer.rows([(step, None, 0.0, {"train/loss": 1.0 / step}) for step in range(1, 65)])
    writer.close("finished")
    return folder


def test_records_and_logs_side_by_side(tmp_path: Path):
    written(tmp_path / "ours")
    csv(tmp_path / "theirs" / "metrics.csv")
    runs = tocsin.read(tmp_path)
    assert [run.name for run in runs] == ["ours", "theirs"]
    assert runs[0].source == "tocsin"
    assert runs[1].series["val/loss"].value.tolist()[0] == 3.0
    assert runs.unread == ()
    assert isinstance(runs, list)


def test_one_broken_record_stops_no_other(tmp_path: Path):
    written(tmp_path / "good")
    broken = written(tmp_path / "broken")
    (broken / "run.json").write_text("{")
    newer = written(tmp_path / "newer")
    (newer / "run.json").write_text('{"schema": "tocsin.record/9"}')
    runs = tocsin.read(tmp_path)
    assert [run.name for run in runs] == ["good"]
    assert len(runs.unread) == 2
    assert all("run.json" in sentence for sentence in runs.unread)
    assert set(runs.unread) <= set(tocsin.check(tmp_path).unread)
    assert set(runs.unread) <= set(tocsin.check(runs).unread)
    with pytest.raises(tocsin.ReadError, match=r"no run found .*run\.json"):
        tocsin.read(broken)


@pytest.mark.parametrize(
    ("names", "asked", "said"),
    [
        ([], "absent", "no such file or folder"),
        ([], "", "no run found in an empty folder"),
        (["a.txt", "b.png"], "", "no run found among 2 files"),
        (["a.txt"], "a.txt", "no run found in this file"),
        (["a.txt"], "a.txt/b", "no such file or folder"),
    ],
)
def test_nothing_to_read_says_what_was_seen(tmp_path: Path, names: list[str], asked: str, said: str):
    for name in names:
        (tmp_path / name).write_text("The quick brown fox.\n")
    with pytest.raises(tocsin.ReadError, match=said):
        tocsin.read(tmp_path / asked)


def test_a_pipe_and_an_empty_file_are_not_read(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.log").touch()
    for name in ("pipe", "empty.log"):
        with pytest.raises(tocsin.ReadError, match="no run found in a file without content"):
            tocsin.read(tmp_path / name)


def test_errors_about_odd_names_can_be_printed(tmp_path: Path):
    with pytest.raises(tocsin.ReadError) as told:
        tocsin.read(tmp_path / b"\xff\x1b".decode("utf-8", "surrogateescape"))
    str(told.value).encode("utf-8")
    with pytest.raises(tocsin.ReadError, match="cannot be read"):
        tocsin.read("a\0b")


def test_a_checkout_gives_its_log_and_not_its_code_and_data(tmp_path: Path):
    csv(tmp_path / "results" / "metrics.csv")
    (tmp_path / "train.py").write_text(
        "import torch\nfor epoch in range(10):\n    print(f'epoch {epoch} loss {loss:.4f}')\n"
    )
    (tmp_path / "README.md").write_text("# A model\n\n| epoch | loss |\n|---|---|\n| 1 | 0.5 |\n| 2 | 0.4 |\n")
    (tmp_path / "requirements.txt").write_text("torch==2.1.0\nnumpy>=1.24\n")
    (tmp_path / "data.csv").write_text("id,age,label\n" + "".join(f"{i},{20 + i % 50},{i % 2}\n" for i in range(200)))
    (tmp_path / "labels").mkdir()
    for i in range(20):
        (tmp_path / "labels" / f"{i}.txt").write_text(f"0 0.{i + 1} 0.5 0.25 0.25\n1 0.1 0.2 0.3 0.4\n")
    (tmp_path / "package.json").write_text('{"name": "x", "version": "1.0.0"}')
    (tmp_path / "coco.json").write_text('{"images": [{"id": 1, "width": 640}], "annotations": []}')
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert [run.name for run in tocsin.read(tmp_path)] == ["results"]
