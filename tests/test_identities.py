"""Scores of constant predictions, computed by scikit-learn, are recognised; those of working models are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from tocsin import identities
from tocsin.run import Series


def scores(target, prediction, average, digits=4, scale=1):
    p, r, f, _ = precision_recall_fscore_support(target, prediction, average=average, zero_division=0)
    named = {("accuracy", ""): accuracy_score(target, prediction)}
    named |= dict(zip([("precision", ""), ("recall", ""), ("f1", "")], (p, r, f), strict=True))
    return {k: round(scale * v, digits) for k, v in named.items()}


@given(st.integers(2, 12), st.integers(0, 11), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_constant_class_is_recognised_by_each_averaging(k, said, seed):
    said, rng = said % k, np.random.default_rng(seed)
    target = np.r_[np.arange(k), rng.choice(k, 400, p=rng.dirichlet(np.full(k, 3.0)))]
    guess = np.full(target.size, said)
    assert identities.identity(scores(target, guess, "weighted"), 5e-5) in (
        "one class (weighted)", f"one of {k} classes"  # with equal priors both are the same numbers
    )  # fmt: skip
    found = identities.identity(scores(target, guess, "macro"), 5e-5)
    assert found in (f"one of {k} classes", "")
    if accuracy_score(target, guess) > 0.1:
        assert found == f"one of {k} classes"


@pytest.mark.parametrize(("said", "expected"), [(1, identities.POSITIVE), (0, identities.NEGATIVE)])
def test_a_constant_binary_decision(said, expected):
    target = np.r_[np.ones(150, int), np.zeros(350, int)]
    assert identities.identity(scores(target, np.full(500, said), "binary"), 5e-5) == expected
    assert identities.identity(scores(target, target, "binary"), 5e-5) == ""


def test_working_models_of_any_skill_are_not_taken_for_constants(record_property):
    rng, taken = np.random.default_rng(3), 0
    for _ in range(300):
        k = int(rng.integers(2, 9))
        target = rng.choice(k, 600, p=rng.dirichlet(np.full(k, 4.0)))
        guess = np.where(rng.random(600) < rng.uniform(0.05, 0.95), target, rng.integers(0, k, 600))
        average = "binary" if k == 2 else ("macro", "weighted")[int(rng.integers(2))]
        taken += bool(identities.identity(scores(target, guess, average), 5e-5))
    record_property("figure", f"identities: {taken} of 300 single evaluations of working models fit a constant")
    assert taken <= 3


def test_the_published_macro_f1():
    assert identities.identity({("accuracy", ""): 0.798, ("f1", "macro"): 0.1775}, 5e-5) == "one of 5 classes"


def group(**columns):
    (found,) = identities.groups({f"val/{k}": Series.of(f"val/{k}", v) for k, v in columns.items()})
    return found


FALLING = [Series.of("train/loss", np.linspace(2, 1, 12))]


def test_percent_and_flips():
    found = identities.constant(
        group(accuracy=[38.0, 62.0, 38.0, 62.0], precision=[38.0, 0, 38.0, 0], recall=[100.0, 0, 100, 0]), []
    )
    assert found.proven
    assert (found.what, found.count) == ("always positive or always negative", 4)


def test_repetition_needs_digits_and_a_moving_loss():
    assert identities.constant(group(accuracy=[0.7981] * 5), FALLING).what == "one class"
    assert identities.constant(group(accuracy=[0.7981] * 5), []) is None
    assert identities.constant(group(accuracy=[0.85] * 5), FALLING) is None  # 17 of 20 samples, again and again
    assert identities.constant(group(accuracy=[1.0] * 9), FALLING) is None
    assert identities.constant(group(accuracy=[0.7, 0.7981, 0.7981, 0.7981, 0.7981]), FALLING) is None
    flips = identities.constant(group(accuracy=[0.6214, 0.3786, 0.6214, 0.3786]), FALLING)
    assert flips.what == "one class, or the other"


def test_scores_that_rank_nothing():
    varied = [0.81, 0.8112, 0.8, 0.7013]
    assert identities.constant(group(auc=[0.5] * 4, accuracy=varied), FALLING).what == "one score"
    assert identities.constant(group(auc=[0.5] * 4, accuracy=[0.8, 0.8, 0.8, 0.7]), FALLING) is None  # coarse print
    assert identities.constant(group(mcc=[0.0] * 4, accuracy=varied), FALLING).what == "one class"
    assert identities.constant(group(r2=[-0.001] * 5, rmse=[1.2345] * 5), FALLING).what == "the mean"
    assert identities.constant(group(r2=[-0.001] * 5, rmse=[1.2345, 1.2, 1.21, 1.2, 1.2]), FALLING) is None


@pytest.mark.parametrize(("value", "fewest"), [(0.85, 20), (0.5, 2), (0.3333, 3), (0.7981, 104)])
def test_fewest_samples_by_trial(value, fewest):
    brute = next(n for n in range(1, 300) if any(round(j / n, 4) == value for j in range(n + 1)))
    assert identities.fewest_samples(value, 5e-5) == brute == fewest
