"""EVL005: fires where validation and test are one set; silent on equal sizes, perfect models and rounding."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.rules.evaluation.selected_on_test import _coincidence
from tocsin.run import Confusion, Evaluation, Moments, Run, Series

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


def series_of(values):
    return {name: Series.of(name, value) for name, value in values.items()}


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


EASY = Confusion.of([[70, 5, 0], [0, 75, 0], [0, 0, 150]])  # any set with 75 of the first class repeats it in 1 of 6


def test_one_evaluation_is_enough_where_chance_would_not_repeat_it():
    (found,) = findings(both(learned(0, looks=1), learned(0, looks=1)))
    assert "equal in the only shared evaluation since step 1" in found.message
    t = np.random.default_rng(0).normal(size=50)
    own = [Evaluation("val", "h", 3, "regression", 50, moments=(Moments.of(t, t / 2),))]
    assert findings(both(own, own))
    coarse = [Evaluation("val", "h", 3, "regression", 50, moments=(Moments.of(t, np.round(t)),))]
    assert not findings(both(coarse, coarse))


def test_losses_equal_to_the_last_digit_add_to_few_errors():
    one = [replace(e, confusion=EASY) for e in learned(0, looks=1)]
    for test, rings in ((0.1327843, True), (0.1327844, False)):
        series = {"val/loss": [0.1327843], "test/loss": [test]}
        assert bool(findings(both(one, one, series=series_of(series)))) == rings
    assert not findings(both(one, one, series=series_of({"val/loss": [0.13], "test/loss": [0.13]})))


@given(st.lists(st.lists(st.integers(0, 6), min_size=2, max_size=3), min_size=1, max_size=3), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_the_chance_of_a_table_bounds_every_predictors(rows, seed):
    """No predictor with fixed shares per class gives these counts more often than the bound says."""
    k = max(len(rows), max(map(len, rows)))
    dense = np.zeros((k, k), int)
    for i, row in enumerate(rows):
        dense[i, : len(row)] = row
    rng = np.random.default_rng(seed)
    log = 0.0
    for row in dense:
        p = rng.dirichlet(np.ones(k))
        log += math.lgamma(row.sum() + 1) + sum(
            c * math.log(q) - math.lgamma(c + 1) for c, q in zip(row, p, strict=True)
        )
    assert log / math.log(10) <= _coincidence(Confusion.of(dense)) + 1e-9


@pytest.mark.parametrize(
    "run",
    [
        both(learned(0), learned(1)),
        both(*[[replace(e, confusion=EASY) for e in learned(0, looks=1)]] * 2),
        both(learned(0, looks=1), learned(1, looks=1)),
        both(
            *[[replace(e, confusion=Confusion.of(np.eye(4) * 75)) for e in learned(0)]] * 2,
        ),
        both(
            *[[replace(e, confusion=Confusion.of(np.eye(4)[[1] * 4] * 75)) for e in learned(0)]] * 2,
        ),
        both(*[[replace(e, confusion=EASY) for e in learned(0)]] * 2),
        Run.of("r", evaluations=tuple(learned(0))),
    ],
    ids=["two sets", "few errors in one look", "two sets in one look", "perfect", "constant", "stuck", "one split"],
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
