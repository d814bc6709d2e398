"""EVL005: fires where validation and test are one set; silent on equal sizes, perfect models and rounding."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Moments, Run

RULE = find_rule("EVL005")


def findings(run):
    return check_run(run, [RULE]).findings


def learned(seed, looks=4, n=300, k=4):
    rng = np.random.default_rng(seed)
    found = []
    for step in range(1, looks + 1):
        target = np.arange(n) % k
        guess = np.where(rng.random(n) < 0.3 + 0.1 * step, target, rng.integers(0, k, n))
        dense = np.zeros((k, k), dtype=int)
        np.add.at(dense, (target, guess), 1)
        found.append(Evaluation("val", "main", step, "ids", n, confusion=Confusion.of(dense)))
    return found


def both(val, test, **fields):
    other = [replace(e, split="test") for e in test]
    return Run.of("r", evaluations=tuple(e for pair in zip(val, other, strict=True) for e in pair), **fields)


def test_equal_predictions_are_named():
    (found,) = findings(both(learned(0), learned(0), exit="finished"))
    assert found.message == (
        "val/main and test/main are the same 300 samples: n and confusion are equal in all of 4 evaluations "
        "since step 1"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "main", 1)


def test_equal_moments_too():
    t = np.random.default_rng(0).normal(size=50)
    own = [Evaluation("val", "h", s, "regression", 50, moments=(Moments.of(t, t / s + s),)) for s in (1, 2, 3)]
    (found,) = findings(both(own, own))
    assert "n and moments are equal" in found.message


@pytest.mark.parametrize(
    "run",
    [
        both(learned(0), learned(1)),
        both(learned(0, looks=2), learned(0, looks=2)),
        both(
            *[[replace(e, confusion=Confusion.of(np.eye(4) * 75)) for e in learned(0)]] * 2,
        ),
        both(
            *[[replace(e, confusion=Confusion.of(np.eye(4)[[1] * 4] * 75)) for e in learned(0)]] * 2,
        ),
        both(*[[replace(e, confusion=learned(0)[0].confusion) for e in learned(0)]] * 2),
        Run.of("r", evaluations=tuple(learned(0))),
    ],
    ids=["two sets", "two looks", "perfect", "constant", "stuck", "one split"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_a_baseline_is_no_second_split():
    val = learned(0)
    test = [replace(e, split="test", baseline="knn") for e in val]
    assert not findings(Run.of("r", evaluations=(*val, *test)))


LOG = {"val/accuracy": [0.5123, 0.6214, 0.6871], "val/loss": [1.3127, 1.0211, 0.9004]}


def log(test, **fields):
    return Run.of("r", series={**LOG, **{n.replace("val", "test"): v for n, v in test.items()}}, source="csv", **fields)


def test_series_equal_to_the_last_digit():
    (found,) = findings(log(LOG))
    assert found.message.startswith("val and test are the same set: accuracy, loss agree to the last digit in all of 3")
    assert [e.source for e in found.evidence] == ["val/accuracy", "test/accuracy"]


@pytest.mark.parametrize(
    "test",
    [
        {**LOG, "val/loss": [1.3127, 1.0211, 0.9005]},
        {"val/accuracy": [0.5123, 0.6214, 0.6870]},
        {},
    ],
)
def test_one_other_digit_is_enough(test):
    assert not findings(log(test))


@pytest.mark.parametrize("values", [[0.5, 0.6, 0.7, 0.7], [1.0, 1.0, 1.0, 1.0], [0.99, 1.0, 1.0, 1.0]])
def test_coarse_values_agree_by_chance(values):
    assert not findings(Run.of(series={"val/accuracy": values, "test/accuracy": values}, source="csv"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"trainer": {"early_stopping": {"monitor": "test_acc"}}}, "monitor is test_acc"),
        ({"metric_for_best_model": "test/f1"}, "metric_for_best_model is test/f1"),
        ({"data": {"val_file": "a/b.csv", "test_file": "a/b.csv"}}, "are the same: a/b.csv"),
    ],
)
def test_a_configuration_that_says_so(config, words):
    (found,) = findings(Run.of(config=config, series={"train/loss": [2.0, 1.0]}))
    assert words in found.message
    assert found.step == 0


@pytest.mark.parametrize(
    "config",
    [
        {"monitor": "val_loss"},
        {"monitor": "latest"},
        {"monitor": "contest_score"},
        {"data": {"val_file": "a/val.csv", "test_file": "a/test.csv"}},
        {"data": {"val_dir": "data", "test_file": "data"}},
        {"data": {"val_file": None, "test_file": None}},
    ],
)
def test_other_configurations_are_silent(config):
    assert not findings(Run.of(config=config, series={"train/loss": [2.0, 1.0]}))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_independent_sets_of_one_size_are_silent(seed):
    assert not findings(both(learned(seed, n=40, k=2), learned(seed + 20_000, n=40, k=2)))
