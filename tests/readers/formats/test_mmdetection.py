"""OpenMMLab logs: steps over the run, seconds since the start, evaluations, headers, MMEngine's scalars."""

from __future__ import annotations

import json
import math
from pathlib import Path

from readers.reading_files import knows, lines, points, run, write
from tocsin.readers.formats.mmdetection import READER

CONFIG = """model = dict(type='FCOS', pretrained='x')
optimizer = dict(type='SGD', lr=0.02, paramwise_cfg=dict(bias_lr_mult=2.0))
lr_config = dict(step=[8, 11])
total_epochs = 12
work_dir = os.path.join('a', 'b')
"""
HEADER = {"env_info": "sys.platform: linux\nMMCV: 1.1.6", "config": CONFIG, "seed": None, "exp_name": "fcos.py"}


def train(epoch: int, iteration: int, loss: float) -> dict[str, object]:
    return {"mode": "train", "epoch": epoch, "iter": iteration, "lr": 0.01, "memory": 2702, "data_time": 0.1,
            "loss_cls": loss / 2, "loss": loss, "time": 0.5}  # fmt: skip


def test_steps_and_seconds_run_on_over_the_epochs(tmp_path: Path):
    rows = [HEADER]
    for epoch in (1, 2):
        rows += [train(epoch, 50, 2.0), train(epoch, 100, float("nan"))]
        rows += [
            {"mode": "val", "epoch": epoch, "iter": 120, "lr": 0.01, "bbox_mAP": 0.25, "bbox_mAP_copypaste": "0.2 0.1"}
        ]
    found = run(READER, write(tmp_path / "a.log.json", lines(rows)))
    assert found.series["train/loss"].step.tolist() == [50, 100, 170, 220]
    assert found.series["train/loss"].time.tolist() == [25, 50, 85, 110]
    assert math.isnan(found.series["train/loss"].value[1])
    assert points(found, "val/bbox_mAP") == [(120, 0.25), (240, 0.25)]
    assert set(found.series) == {"lr/0", "train/loss", "train/loss/cls", "train/memory", "val/bbox_mAP"}
    assert found.environment["steps_per_epoch"] == 120
    assert found.environment["planned"] == {"epochs": 12}
    assert found.config["optimizer"]["lr"] == 0.02
    assert "work_dir" not in found.config  # nothing is executed


def test_an_evaluation_counted_in_its_own_batches(tmp_path: Path):
    rows = [train(1, 50, 2.0), train(1, 100, 1.5), {"mode": "val", "epoch": 1, "iter": 7, "lr": 0.01, "acc": 0.5}]
    found = run(READER, write(tmp_path / "a.log.json", lines(rows)))
    assert points(found, "val/acc") == [(100, 0.5)]


def test_a_run_by_iterations(tmp_path: Path):
    rows = [train(epoch, iteration, 2.0) for epoch, iteration in ((1, 50), (1, 100), (2, 150), (2, 200))]
    rows.append({"mode": "val", "epoch": 2, "iter": 9, "lr": 0.01, "mIoU": 0.5})
    found = run(READER, write(tmp_path / "a.log.json", lines(rows)))
    assert found.series["train/loss"].step.tolist() == [50, 100, 150, 200]
    assert points(found, "val/mIoU") == [(200, 0.5)]


def test_mmengine_counts_evaluations_in_epochs(tmp_path: Path):
    rows = []
    for epoch in (1, 2):
        rows += [{"lr": 0.02, "data_time": 0.1, "loss": 1.5, "time": 0.5, "epoch": epoch, "iter": 69 * epoch,
                  "memory": 3, "step": 69 * epoch}]  # fmt: skip
        rows += [{"coco/bbox_mAP": 0.25, "data_time": 0.1, "time": 0.2, "step": epoch}]
    found = run(READER, write(tmp_path / "scalars.json", lines(rows)))
    assert found.series["train/loss"].step.tolist() == [69, 138]
    (name,) = (name for name in found.series if name.startswith("val/"))
    assert points(found, name) == [(69, 0.25), (138, 0.25)]
    assert found.series[name].epoch.tolist() == [1, 2]


def test_mmengine_by_iterations(tmp_path: Path):
    rows = [
        {"lr": 0.02, "data_time": 0.1, "loss": 1.5, "time": 0.5, "iter": i, "memory": 3, "step": i} for i in (50, 100)
    ]
    rows += [{"mIoU": 20.5, "data_time": 0.1, "time": 0.2, "step": 100}]
    found = run(READER, write(tmp_path / "scalars.json", lines(rows)))
    assert points(found, "val/mIoU") == [(100, 20.5)]


def test_a_start_that_failed_tells_that_it_was_launched(tmp_path: Path):
    found = run(READER, write(tmp_path / "a.log.json", json.dumps(HEADER) + "\n"))
    assert not found.series
    assert [event.kind for event in found.events] == ["launch"]


def test_a_second_header_is_a_resume_and_a_torn_line_is_said(tmp_path: Path):
    text = lines([HEADER, train(1, 50, 2.0), HEADER, train(1, 100, 1.5)]) + '{"mode": "train", "epo'
    found = run(READER, write(tmp_path / "a.log.json", text))
    assert "resume" in [event.kind for event in found.events]
    assert any("torn" in sentence for sentence in found.unread)
    assert len(found.series["train/loss"]) == 2


def test_other_json_lines_are_left_alone(tmp_path: Path):
    assert not knows(READER, write(tmp_path / "a.jsonl", lines([{"step": 1, "loss": 2.5}])))
    assert not knows(READER, write(tmp_path / "b.jsonl", "no json"))
