"""Levels and accuracies of no skill: each form rings on its own sign, and not without it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tocsin import unskilled
from tocsin.run import Run, Series


def run(**columns):
    """One value an epoch; ``__`` for ``/``."""
    series = {}
    for name, values in columns.items():
        at = np.arange(1, len(values) + 1)
        series[name.replace("__", "/")] = Series.of("", np.asarray(values, float), step=at, epoch=at)
    return Run.of(series=series, source="csv")


def noise(n, sd, seed=0):
    return sd * np.random.default_rng(seed).standard_normal(n)


DOWN = np.array([0.8568, 0.7551, 0.7419, 0.7252, 0.7144, 0.7042, 0.6985, 0.695, 0.6942])
HALF = np.array([0.5004, 0.4993, 0.4978, 0.4981, 0.496, 0.501, 0.499, 0.5015, 0.4993])


@pytest.mark.parametrize("scale", [1, 100])
def test_a_loss_that_comes_down_to_guesses(scale):
    told = unskilled.guesses(run(train__loss=DOWN, accuracy=scale * HALF), 0.02)
    assert told is not None
    assert (told.subject, "ln 2 = 0.6931" in told.message) == ("accuracy", True)


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [(DOWN - 0.03, HALF), (DOWN, HALF + 0.05), (DOWN, HALF + 0.004 * np.arange(9)), (DOWN[:4], HALF[:4])],
    ids=["below the level", "another share", "rises", "short"],
)
def test_no_guesses(loss, accuracy):
    assert unskilled.guesses(run(train__loss=loss, accuracy=accuracy), 0.02) is None


@pytest.mark.parametrize("k", [2, 3, 4, 10])
def test_losses_that_never_leave_their_level(k):
    level = math.log(k) * (1 + noise(12, 5e-4))
    told = unskilled.never_left(run(train__loss=level, val__loss=level[::-1]))
    assert told is not None
    assert f"ln {k}" in told.message
    away = math.log(k) * (1 - 0.003 * np.arange(12))
    assert unskilled.never_left(run(train__loss=away, val__loss=level)) is None
    assert unskilled.never_left(run(train__loss=level, val__loss=level, val__auc=np.linspace(0.5, 0.7, 12))) is None
    assert unskilled.never_left(run(train__loss=level[:7], val__loss=level[:7])) is None
    assert unskilled.never_left(run(train__loss=level)) is None


def test_losses_at_one():
    one = np.array([1.000721, 1.000319, 0.99996, 1.000042])
    assert unskilled.at_one(run(train__loss=one, val__loss=one)) is not None
    assert unskilled.at_one(run(train__loss=one, val__loss=np.ones(4))) is not None
    assert unskilled.at_one(run(train__loss=np.ones(4), val__loss=np.ones(4))) is None  # no digit to go by
    assert unskilled.at_one(run(train__loss=one, val__loss=[1.0, 0.99, 0.98, 0.97])) is None
    assert unskilled.at_one(run(train__loss=one, val__loss=one, val__dice=[0.1, 0.2, 0.3, 0.4])) is None
    assert unskilled.at_one(run(train__loss=one, val__loss=one, discriminator__loss=one)) is None


def test_epochs_that_gain_next_to_nothing():
    n = 30
    columns = {
        "train__loss": np.linspace(2.2, 2.12, n),
        "val__loss": 2.17 + noise(n, 0.01),
        "train__accuracy": np.linspace(0.12, 0.18, n),
        "val__accuracy": 0.14 + noise(n, 0.01, 1),
    }
    told = unskilled.hardly_better(run(**columns))
    assert told is not None
    assert "9 classes" in told.message
    assert unskilled.hardly_better(run(**columns | {"val__loss": np.linspace(2.19, 1.9, n)})) is None
    assert unskilled.hardly_better(run(**columns | {"val__accuracy": np.linspace(0.12, 0.3, n)})) is None
    assert unskilled.hardly_better(run(**{k: v[:15] for k, v in columns.items()})) is None
