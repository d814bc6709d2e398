"""Histories in JSON, and JSON that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from readers.reading_files import knows, points, run, runs, write
from tocsin.readers.formats.json_history import READER

KERAS = {"loss": [2.5, 2.0], "accuracy": [0.5, 0.6], "val_loss": [2.25, 1.75], "val_accuracy": [0.4, 0.5]}
NAMES = {"train/loss", "train/accuracy", "val/loss", "val/accuracy"}


def saved(tmp_path: Path, data: Any) -> Path:
    return write(tmp_path / "history.json", json.dumps(data))


@pytest.mark.parametrize(
    "data",
    [
        KERAS,
        {"history": KERAS, "epochs": 2},
        {"params": {"epochs": 2}, "history": KERAS},
        {"train": {"loss": [2.5, 2.0], "accuracy": [0.5, 0.6]}, "val": {"loss": [2.25, 1.75], "accuracy": [0.4, 0.5]}},
        {"loss": {"train": [2.5, 2.0], "val": [2.25, 1.75]}, "accuracy": {"train": [0.5, 0.6], "valid": [0.4, 0.5]}},
        [{"epoch": e, **{k: v[e - 1] for k, v in KERAS.items()}} for e in (1, 2)],
        {"history": [{"epoch": e, **{k: v[e] for k, v in KERAS.items()}} for e in (0, 1)], "best_epoch": 1},
        {"1": {k: v[0] for k, v in KERAS.items()}, "2": {k: v[1] for k, v in KERAS.items()}},
        {"epoch_0": {k: v[0] for k, v in KERAS.items()}, "epoch_1": {k: v[1] for k, v in KERAS.items()}},
        {"epoch": [1, 2], **KERAS},
        {**KERAS, "classes": ["a", "b", "c"], "class_weights": [1, 2, 3], "confusion_matrix": [[1, 2], [3, 4]]},
    ],
)
def test_one_history_in_many_shapes(tmp_path: Path, data: Any):
    found = run(READER, saved(tmp_path, data))
    assert set(found.series) == NAMES
    assert points(found, "train/loss") == [(1, 2.5), (2, 2.0)]
    assert points(found, "val/accuracy") == [(1, 0.4), (2, 0.5)]
    assert found.unread == ()


def test_models_are_runs_of_their_own(tmp_path: Path):
    found = runs(READER, saved(tmp_path, {"cnn": KERAS, "mlp": KERAS, "note": "x"}))
    assert [one.name for one in found] == ["cnn", "mlp"]
    assert all(set(one.series) == NAMES for one in found)


def test_an_evaluation_every_second_epoch(tmp_path: Path):
    found = run(READER, saved(tmp_path, {"train_loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [3.5, 1.5]}))
    assert points(found, "val/loss") == [(2, 3.5), (4, 1.5)]


def test_lists_that_do_not_fit_are_said(tmp_path: Path):
    found = run(READER, saved(tmp_path, {"train_loss": [4.0, 3.0, 2.0], "val_loss": [3.5, 1.5]}))
    assert points(found, "val/loss") == [(1, 3.5), (2, 1.5)]
    assert found.unread == ("val_loss: 2 values for 3 rows: taken as those of the first 2",)


def test_configuration_beside_the_history(tmp_path: Path):
    found = run(READER, saved(tmp_path, {"config": {"lr": 0.1}, "history": KERAS}))
    assert found.config == {"lr": 0.1}


def test_missing_values_and_nan(tmp_path: Path):
    path = write(tmp_path / "h.json", '{"loss": [2.5, NaN, 1.5], "val_loss": [null, 2.25, "1.75"]}')
    found = run(READER, path)
    assert len(found.series["train/loss"]) == 3
    assert points(found, "val/loss") == [(2, 2.25), (3, 1.75)]


def test_a_torn_history_gives_what_stands_before_the_damage(tmp_path: Path):
    path = write(tmp_path / "h.json", json.dumps({"val_loss": [3.0, 2.0, 1.0], "loss": [3.0, 2.0, 1.0]})[:-8])
    found = run(READER, path)
    assert points(found, "val/loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert found.unread[0].startswith("truncated at character")


@pytest.mark.parametrize(
    "data",
    [
        {"images": [{"id": 1, "file_name": "a", "height": 3}], "annotations": [{"id": 1, "bbox": [1, 2], "area": 3}]},
        [{"image_id": i, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5} for i in range(9)],
        {"name": "x", "version": "1.0", "dependencies": {"loss": "1.2"}},
        {"fit_time": [1, 2, 3], "score_time": [1, 2, 3], "test_score": [0.1, 0.2, 0.3]},
        {"hidden_size": 768, "layers": [1, 2, 3], "lr": 1e-4, "losses": ["a", "b"]},
        [{"model": m, "accuracy": 0.5, "loss": 0.25} for m in "abcdefgh"],
        {"accuracy": 0.9, "f1": 0.8, "loss": 0.1},
        {"metadata": {"total_size": 1}, "weight_map": {"lr.weight": "a.bin"}},
        {"model": {"vocab": {"loss": 1, "acc": 2}}},
        {"precision": [0.9, 0.8, 0.7], "recall": [0.1, 0.2, 0.3], "thresholds": [0.1, 0.2, 0.3]},
        [], {}, [1, 2, 3], "loss", None,
    ],
)  # fmt: skip
def test_other_json_is_left_alone(tmp_path: Path, data: Any):
    assert not knows(READER, saved(tmp_path, data))
