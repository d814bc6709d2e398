"""Lightning, Keras, Ultralytics, and the exports of TensorBoard's and W&B's pages."""

from __future__ import annotations

import math
from pathlib import Path

from readers.reading_files import knows, points, run, runs, write
from tocsin.readers.formats import keras_csv, lightning_csv, table, tensorboard_csv, ultralytics, wandb_csv

LIGHTNING = """epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_acc,val_loss,test_loss
0,,49,,2.5,,,
,0.001,49,,,,,
0,,99,,2.25,,,
0,,99,,,0.5,2.0,
0,,99,2.4,,,,
1,,149,,nan,,,
1,,199,,,0.6,1.5,
1,,0,,,,,1.75
"""
KERAS = """epoch,accuracy,loss,lr,val_accuracy,val_loss\r
0,0.55,1.25,0.001,NA,NA\r
\r
1,0.58,1.0,0.001,0.5,1.5\r
\r
0,0.5,1.5,0.001,0.4,1.75\r
"""
YOLO = """epoch,time,train/box_loss,train/cls_loss,metrics/precision(B),metrics/mAP50(B),val/box_loss,lr/pg0,lr/pg1
1,20.5,1.5,2.5,0.5,0.25,1.75,0.003,0.001
2,41.0,1.25,2.0,0.6,0.5,nan,0.002,0.001
"""
YOLO5 = """               epoch,      train/box_loss,      train/obj_loss,     metrics/mAP_0.5,        val/box_loss,               x/lr0
                   0,                 0.5,                0.25,                 0.1,                 0.4,                 0.1
                   1,                 0.4,                0.25,                 0.2,                 0.3,                0.01
"""  # noqa: E501
CLASSIFY = """          epoch,             train/loss,  metrics/accuracy_top1,  metrics/accuracy_top5,     val/loss
              0,                    2.5,                    0.5,                    0.9,          2.0
              1,                    2.0,                    0.6,                    0.9,          1.5
"""
TENSORBOARD = "Wall time,Step,Value\n1654943296.5,0,59.5\n1654943298.5,10,NaN\n"
WANDB = """"Step","sunny-3 - val/loss","sunny-3 - val/loss__MIN","sunny-3 - val/loss__MAX","a - b - val/loss","a - b - val/loss__MIN","a - b - val/loss__MAX"
"0","2.5","2.5","2.5","","",""
"10","1.5","1.5","1.5","3.5","3.5","3.5"
"""  # noqa: E501


def test_lightning_rows_hold_what_was_logged_then(tmp_path: Path):
    found = run(lightning_csv.READER, write(tmp_path / "metrics.csv", LIGHTNING))
    assert found.series["train/loss"].step.tolist() == [49, 99, 149]
    assert math.isnan(found.series["train/loss"].value[2])
    assert points(found, "val/loss") == [(99, 2.0), (199, 1.5)]
    assert points(found, "val/acc") == [(99, 0.5), (199, 0.6)]
    assert found.series["val/loss"].epoch.tolist() == [1, 2]
    assert any(name.startswith("lr/") for name in found.series)
    assert not knows(keras_csv.READER, tmp_path / "metrics.csv")


def test_a_test_after_the_training_belongs_to_the_run(tmp_path: Path):
    found = run(lightning_csv.READER, write(tmp_path / "metrics.csv", LIGHTNING))
    assert points(found, "test/loss") == [(199, 1.75)]


def test_keras_appends_runs(tmp_path: Path):
    first, second = runs(keras_csv.READER, write(tmp_path / "training.log", KERAS))
    assert points(first, "train/loss") == [(1, 1.25), (2, 1.0)]
    assert points(first, "val/loss") == [(2, 1.5)]
    assert points(first, "train/accuracy") == [(1, 0.55), (2, 0.58)]
    assert points(second, "val/accuracy") == [(1, 0.4)]


def test_keras_without_validation(tmp_path: Path):
    text = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,1.25,NA,NA\n1,0.6,nan,NA,NA\n"
    found = run(keras_csv.READER, write(tmp_path / "log.csv", text))
    assert set(found.series) == {"accuracy", "train/loss"}
    assert math.isnan(found.series["train/loss"].value[1])


def test_ultralytics_counts_epochs_from_1(tmp_path: Path):
    found = run(ultralytics.READER, write(tmp_path / "results.csv", YOLO))
    assert points(found, "train/loss/box") == [(1, 1.5), (2, 1.25)]
    assert points(found, "val/mAP50(B)") == [(1, 0.25), (2, 0.5)]
    assert {"lr/0", "lr/1", "val/loss/box"} <= set(found.series)
    assert found.series["lr/0"].time.tolist() == [20.5, 41]


def test_yolov5_counts_epochs_from_0_in_padded_columns(tmp_path: Path):
    found = run(ultralytics.READER, write(tmp_path / "results.csv", YOLO5))
    assert points(found, "train/loss/obj") == [(1, 0.25), (2, 0.25)]
    assert points(found, "lr/0") == [(1, 0.1), (2, 0.01)]


def test_ultralytics_classification(tmp_path: Path):
    found = run(ultralytics.READER, write(tmp_path / "results.csv", CLASSIFY))
    assert points(found, "train/loss") == [(1, 2.5), (2, 2.0)]
    assert points(found, "val/accuracy_top1") == [(1, 0.5), (2, 0.6)]


def test_a_scalar_saved_from_tensorboard_is_named_by_its_file(tmp_path: Path):
    found = run(tensorboard_csv.READER, write(tmp_path / "run-exp1_v2-tag-val_loss.csv", TENSORBOARD))
    assert found.name == "exp1_v2"
    assert found.series["val/loss"].step.tolist() == [0, 10]
    assert found.series["val/loss"].time.tolist() == [0, 2]


def test_a_chart_saved_from_wandb_holds_several_runs(tmp_path: Path):
    first, second = runs(wandb_csv.READER, write(tmp_path / "wandb_export.csv", WANDB))
    assert (first.name, points(first, "val/loss")) == ("sunny-3", [(0, 2.5), (10, 1.5)])
    assert (second.name, points(second, "val/loss")) == ("a - b", [(10, 3.5)])
    assert set(first.series) == {"val/loss"}
    assert first.unread


def test_each_family_leaves_the_others_alone(tmp_path: Path):
    samples = {"lightning-csv": LIGHTNING, "keras-csv": KERAS, "ultralytics": YOLO, "tensorboard-csv": TENSORBOARD,
               "wandb-csv": WANDB, "table": "step,train_loss\n1,2\n2,1\n"}  # fmt: skip
    readers = [r.READER for r in (keras_csv, lightning_csv, tensorboard_csv, ultralytics, wandb_csv)]
    for source, text in samples.items():
        path = write(tmp_path / source / "x.csv", text)
        assert [r.source for r in readers if knows(r, path)] == ([] if source == "table" else [source])
    assert knows(table.READER, tmp_path / "table" / "x.csv")
