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
    share = accuracy_score(target, guess)
    same = {"one class (weighted)"} if abs(share - 1 / k) < 1e-3 else set()
    assert found in {f"one of {k} classes", ""} | same
    if share > 0.1:
        assert found in {f"one of {k} classes"} | same


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


def test_percent_and_flips():
    found = identities.constant(
        group(accuracy=[38.0, 62.0, 38.0, 62.0], precision=[38.0, 0, 38.0, 0], recall=[100.0, 0, 100, 0])
    )
    assert found.proven
    assert (found.what, found.count) == ("always positive or always negative", 4)


@pytest.mark.parametrize("n", [3, 30, 300])
@pytest.mark.parametrize("scale", [1, 100])
@pytest.mark.parametrize("digits", [4, 6])
def test_any_number_of_evaluations_as_fractions_or_percent(n, scale, digits):
    target = np.r_[np.zeros(700, int), np.ones(200, int), np.full(100, 2)]
    printed = scores(target, np.zeros(1000, int), "macro", digits - 2 * (scale == 100), scale)
    found = identities.constant(group(**{measure: [value] * n for (measure, _), value in printed.items()}))
    assert (found.what, found.count, found.proven) == ("one of 3 classes", n, True)


def test_an_f1_of_0_beside_an_accuracy_that_stands():
    assert identities.constant(group(accuracy=[0.8312] * 5, f1=[0.0] * 5)).what == "always negative"
    assert identities.constant(group(accuracy=[0.8312, 0.84, 0.85, 0.86, 0.87], f1=[0.0] * 5)) is None
    letters = group(acc=[0.8312] * 3, p=[0.0] * 3, r=[0.0] * 3, f=[0.0] * 3)
    assert identities.constant(letters).what == "always negative"


@pytest.mark.parametrize(("value", "fewest"), [(0.85, 20), (0.5, 2), (0.3333, 3), (0.7981, 104)])
def test_fewest_samples_by_trial(value, fewest):
    brute = next(n for n in range(1, 300) if any(round(j / n, 4) == value for j in range(n + 1)))
    assert identities.fewest_samples(value, 5e-5) == brute == fewest


def test_several_values_of_one_set_tell_more_of_its_size():
    assert identities.fewest_samples([0.7188], 5e-5) == 32
    assert identities.fewest_samples([0.7188, 0.7198, 0.7202], 5e-5) > 500
