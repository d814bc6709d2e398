"""Runs beside each other: their study, their settings, their scores."""

from __future__ import annotations

import numpy as np
import pytest

from tocsin import siblings
from tocsin.run import Confusion, Evaluation, Run


def run(name: str = "r", value: float = 0.5, metric: str = "val/accuracy", **config) -> Run:
    return Run.of(name, series={metric: [value]}, config=config)


def test_studies_by_any_key_they_share():
    runs = [run(sweep="a", study="x"), run(sweep="a"), run(study="x"), run(project="x"), run(sweep="")]
    assert siblings.studies(runs) == [[0, 1], [0, 2]]
    assert siblings.studies([run(sweep="a", study="x"), run(sweep="a", study="x")]) == [[0, 1]]


@pytest.mark.parametrize(
    ("one", "two", "differ"),
    [
        ({"lr": 1e-3}, {"lr": 0.001}, []),
        ({"lr": 1, "seed": 1, "out_dir": "a", "epochs": 3, "notes": "x", "sweep": "y"}, {"lr": 2, "seed": 2}, ["lr"]),
        ({"lr": 1}, {}, []),  # its default may be 1
        ({"ema": True}, {}, ["ema"]),
        ({"ema": False}, {}, []),
        ({"resume": "a/last.pt"}, {"resume": None}, ["resume"]),
        ({"resume": True}, {"resume": False}, []),
        ({"checkpoint_dir": "a/b"}, {"checkpoint_dir": "a/c"}, []),
        ({"init_from": "a.pt"}, {"init_from": "b.pt"}, ["init_from"]),
    ],
)
def test_factors(one, two, differ):
    assert list(siblings.factors([run(**one), run(**two)])) == differ


def test_samples_are_recorded_or_declared():
    last = Evaluation("val", "main", 9, "classes", 40, confusion=Confusion.of(np.eye(2, dtype=int) * 20))
    assert siblings.samples(Run.of(evaluations=(last,), config={"val_samples": 9}), "val/accuracy") == 40
    assert siblings.samples(run(n_val=70), "val/accuracy") == 70
    assert siblings.samples(run(data={"test": {"size": 80}}), "test/accuracy") == 80
    assert siblings.samples(run(train_samples=70), "val/accuracy") == 0


def test_the_best_value_by_the_metrics_own_direction():
    many = Run.of(series={"val/rmse": [3.0, 1.0, 2.0], "val/accuracy": [40.0, 60.0, np.nan]})
    assert siblings.shared_metrics([many]) == ["val/accuracy", "val/rmse"]
    low, high = siblings.score(many, "val/rmse"), siblings.score(many, "val/accuracy")
    assert (low.value, low.step) == (1.0, 2)
    assert (high.value, high.fraction) == (60.0, 0.6)
    assert siblings.score(many, "val/f1") is None


def test_the_spread_of_seeds_is_pooled():
    runs = [run(value=v, seed=k, lr=lr) for lr in (1, 2) for k, v in enumerate([0.1 * lr, 0.2 * lr, 0.3 * lr])]
    spread, freedom = siblings.spread_of_seeds(runs, "val/accuracy")
    assert freedom == 4
    assert spread == pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 2))
    assert siblings.spread_of_seeds(runs[:1], "val/accuracy")[1] == 0
    assert siblings.spread_of_seeds([run(lr=1), run(lr=1)], "val/accuracy")[1] == 0  # no seed is told
