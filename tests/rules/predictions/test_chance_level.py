"""PRD009: pinned at ln k with a second sign; silent on losses that pass by, lie near or belong to something else."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Run, Series

RULE = find_rule("PRD009")


def findings(series, **fields):
    return check_run(Run.of("r", series=series, source="csv", **fields), [RULE]).findings


def noise(n, sd, seed=0):
    return sd * np.random.default_rng(seed).standard_normal(n)


def test_two_classes_by_loss_and_accuracy_printed_to_four_digits():
    loss, accuracy = np.round(0.6932 + noise(20, 2e-4), 4), np.round(0.5 + noise(20, 0.008, 1), 4)
    (found,) = findings({"val/loss": loss, "val/accuracy": 100 * accuracy})
    assert (found.severity, found.subject) == ("error", "val/loss")
    assert "ln 2" in found.message
    assert "at 1/k" in found.message


def test_a_noisy_training_loss_alone_is_a_warning_and_a_known_k_an_error():
    loss = {"train/loss": math.log(2) + noise(2000, 0.05)}
    assert [f.severity for f in findings(loss)] == ["warning"]
    ten = {"train/loss": math.log(10) + noise(2000, 0.05)}
    assert [f.severity for f in findings(ten, config={"model": {"num_classes": 10}})] == ["error"]


def test_a_regression_without_skill():
    series = {"val/loss": 1.0 + noise(12, 0.004), "val/r2": noise(12, 0.004, 1)}
    assert "the mean of the target" in findings(series)[0].message


STEGANALYSIS = {"train/loss": 0.7213 + noise(8, 3e-4), "accuracy": 0.5024 + noise(8, 0.006, 2)}


def late(series, per=200):
    at = 51_200 + per * np.arange(8)
    return {
        k: Series.of(k, np.round(v, 4), step=at[: len(v)], epoch=1 + at[: len(v)] // 1000) for k, v in series.items()
    }


@pytest.mark.parametrize("scale", [1, 100])
def test_guesses_by_accuracy_beside_a_loss_above_the_level(scale):
    (found,) = findings(late(STEGANALYSIS | {"accuracy": scale * STEGANALYSIS["accuracy"]}))
    assert (found.severity, found.subject) == ("warning", "accuracy")
    assert "guesses among 2 classes" in found.message


@pytest.mark.parametrize(
    "series",
    [
        {"train/loss": 1.38 + noise(8, 0.01)},
        {"train/loss": 0.5 + noise(8, 0.01)},
        {"accuracy": 0.5 + noise(8, 0.03, 1)},
        {"accuracy": 0.515 + noise(8, 0.003, 1)},
        {"accuracy": np.linspace(0.49, 0.52, 8)},
        {"train/loss": np.linspace(0.75, 0.70, 8)},
        {"train/loss/d": 0.69 + noise(8, 0.01), "train/loss/g": 0.7 + noise(8, 0.01)},
    ],
    ids=["half of ten classes", "lower loss", "few samples", "a little skill", "rises", "loss falls", "adversarial"],
)
def test_neighbours_of_guesses_are_silent(series):
    assert not findings(late(STEGANALYSIS | series))
    assert not findings({k: v[:8] for k, v in STEGANALYSIS.items()})  # the first steps


E = np.arange(40.0)


@pytest.mark.parametrize(
    "series",
    [
        {"val/loss": 2.3 * np.exp(-E / 15) + 0.1},
        {"val/loss": np.where(E < 20, 0.693, 0.693 - 0.01 * (E - 20))},
        {"val/loss": 0.6931 + noise(40, 1e-3), "val/accuracy": 0.66 + noise(40, 5e-3, 1)},
        {"val/loss": 2.21 + noise(40, 0.02)},
        {"val/loss": 0.71 + noise(40, 1e-3)},
        {"train/loss": np.r_[np.linspace(10.8, 3.3, 60), 3.25 + noise(60, 0.1)]},
        {"val/loss": np.r_[0.69, 0.45, 0.5, 0.55, 0.6, 0.65, 0.693 + noise(14, 1e-3)]},
        {"val/loss": [0.693, 0.6931, 0.693]},
        {"val/loss": 1.0986 + noise(40, 0.03), "val/mae": 0.8 + noise(40, 0.01)},
    ],
    ids=["falls", "plateau first", "better", "no k", "beside", "language", "overfit", "short", "regression near ln 3"],
)
def test_neighbours_are_silent(series):
    assert not findings(series)


def evaluation(step, target, guess, k):
    dense = np.zeros((k, k), int)
    np.add.at(dense, (target, guess), 1)
    return Evaluation("val", "main", step, "classes", target.size, confusion=Confusion.of(dense))


@given(st.integers(2, 8), st.floats(0, 0.6), st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_recorded_predictions_ring_only_without_agreement(k, skill, seed):
    rng = np.random.default_rng(seed)
    target = rng.choice(k, 4000, p=rng.dirichlet(np.full(k, 5.0)))
    guesses = [np.where(rng.random(4000) < skill, target, rng.integers(0, k, 4000)) for _ in range(3)]
    run = Run.of(
        "r", evaluations=tuple(evaluation(i + 1, target, g, k) for i, g in enumerate(guesses)), exit="finished"
    )
    kappas = [cohen_kappa_score(target, g) for g in guesses]
    rung = bool(check_run(run, [RULE]).findings)
    assert not rung or max(kappas) < 0.08
    assert rung or max(np.abs(kappas)) > 0.005
