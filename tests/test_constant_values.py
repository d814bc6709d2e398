"""Best constants: each formula against torch's own loss minimised by scipy, or scikit-learn's dummies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import f1_score, mean_absolute_error, mean_squared_error
from torch.nn import functional

from tocsin import constant_values as constants

COUNTS = np.array([50, 30, 15, 5])
LABELS = np.repeat(np.arange(4), COUNTS)
VALUES = np.random.default_rng(0).gamma(2.0, 3.0, 301) - 2
DOUBLE = {"dtype": torch.float64}


def least_logits(loss, labels, classes):
    """The least value of a loss of (logits, labels) over one vector of logits for all samples."""
    target = torch.as_tensor(labels)

    def cost(logits):
        free = torch.tensor(logits, requires_grad=True, **DOUBLE)
        value = loss(free.expand(len(target), classes), target)
        value.backward()
        return value.item(), free.grad.numpy()

    return minimize(cost, np.zeros(classes), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}).fun


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5, 9.0]])
def test_cross_entropy_weighted_and_smoothed(smoothing, weights):
    w = None if weights is None else torch.tensor(weights, **DOUBLE)

    def loss(logits, target):
        return functional.cross_entropy(logits, target, weight=w, label_smoothing=smoothing)

    assert constants.cross_entropy(COUNTS, weights, smoothing) == pytest.approx(least_logits(loss, LABELS, 4), rel=1e-6)
    zero = loss(torch.zeros(100, 4, **DOUBLE), torch.as_tensor(LABELS)).item()
    assert constants.uniform_cross_entropy(COUNTS, weights, smoothing) == pytest.approx(zero)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, [0.2, 0.3, 0.9, 1.0]])
def test_focal(gamma, alpha):
    a = torch.ones(4, **DOUBLE) if alpha is None else torch.tensor(alpha, **DOUBLE)

    def loss(logits, target):
        logq = functional.log_softmax(logits, dim=1).gather(1, target[:, None])[:, 0]
        return (-a[target] * (1 - logq.exp()) ** gamma * logq).mean()

    assert constants.focal(COUNTS, gamma, alpha) == pytest.approx(least_logits(loss, LABELS, 4), rel=1e-5)
    zero = loss(torch.zeros(100, 4, **DOUBLE), torch.as_tensor(LABELS)).item()
    assert constants.uniform_focal(COUNTS, gamma, alpha) == pytest.approx(zero)


def test_focal_of_gamma_0_is_cross_entropy_and_one_class_costs_nothing():
    assert constants.focal(COUNTS, 0.0) == pytest.approx(constants.cross_entropy(COUNTS), rel=1e-9)
    assert constants.focal([7, 0, 0]) == 0.0
    assert constants.cross_entropy([7, 0, 0]) == 0.0


@pytest.mark.parametrize("positives", [1, 30, 50, 99])
@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_binary_cross_entropy(positives, weight):
    target = torch.cat([torch.ones(positives, **DOUBLE), torch.zeros(100 - positives, **DOUBLE)])
    w = torch.tensor(weight, **DOUBLE)

    def cost(logit):
        flat = torch.full_like(target, float(logit))
        return functional.binary_cross_entropy_with_logits(flat, target, pos_weight=w).item()

    least = minimize_scalar(cost, bounds=(-20, 20), method="bounded", options={"xatol": 1e-9}).fun
    assert constants.binary_cross_entropy(positives / 100, weight) == pytest.approx(least, rel=1e-7)
    assert constants.zero_binary_cross_entropy(positives / 100, weight) == pytest.approx(cost(0.0))


def test_binary_cross_entropy_of_several_labels_is_their_mean():
    each = [constants.binary_cross_entropy(p) for p in (0.0, 0.2, 1.0)]
    assert constants.binary_cross_entropy([0.0, 0.2, 1.0]) == pytest.approx(np.mean(each))
    assert each[0] == each[2] == 0


def test_squared_and_absolute_errors_are_those_of_the_dummies():
    x, y = np.zeros((len(VALUES), 1)), VALUES
    mean, median = (DummyRegressor(strategy=s).fit(x, y).predict(x) for s in ("mean", "median"))
    assert constants.squared_error(y.var()) == pytest.approx(mean_squared_error(y, mean))
    assert constants.absolute_error(y)[0] == pytest.approx(mean_absolute_error(y, median))


@pytest.mark.parametrize("delta", [0.01, 1.0, 5.0, 1e6])
def test_huber_and_smooth_l1(delta):
    target = torch.as_tensor(VALUES)

    def cost(constant):
        return functional.huber_loss(torch.full_like(target, float(constant)), target, delta=delta).item()

    least = minimize_scalar(cost, bounds=(VALUES.min(), VALUES.max()), method="bounded", options={"xatol": 1e-10})
    value, best = constants.huber(VALUES, delta)
    assert value == pytest.approx(least.fun, rel=1e-9)
    smooth = functional.smooth_l1_loss(torch.full_like(target, best), target, beta=delta).item()
    assert value / delta == pytest.approx(smooth)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bounds", [(0.0, math.inf), (50.0, math.inf), (1e-6, 2.0)])
def test_gaussian_likelihood(full, bounds):
    target, mean = torch.as_tensor(VALUES), torch.full((len(VALUES),), VALUES.mean(), **DOUBLE)

    def cost(log_variance):
        v = torch.full_like(mean, float(np.clip(math.exp(log_variance), *bounds)))
        return functional.gaussian_nll_loss(mean, target, v, full=full, eps=1e-12).item()

    least = minimize_scalar(cost, bounds=(-6, 12), method="bounded", options={"xatol": 1e-10}).fun
    found = constants.gaussian_nll(VALUES.var(), low=bounds[0], high=bounds[1], full=full)
    assert found == pytest.approx(least, rel=1e-6)
    assert constants.gaussian_nll(VALUES.var(), learned=False, full=full) == pytest.approx(cost(0.0), rel=1e-2) or (
        bounds[0] > 1
    )


def test_scores_are_those_of_the_best_dummy_classifier():
    x = np.zeros((len(LABELS), 1))
    said = [DummyClassifier(strategy="constant", constant=c).fit(x, LABELS).predict(x) for c in range(4)]
    for average in ("macro", "weighted", "micro"):
        best = max(f1_score(LABELS, s, average=average, zero_division=0) for s in said)
        assert constants.f1(COUNTS, average) == pytest.approx(best)
    assert constants.accuracy(COUNTS) == 0.5
    assert constants.f1([60, 40], "binary") == pytest.approx(f1_score([0] * 60 + [1] * 40, [1] * 100))
    assert constants.f1([60, 40, 0], "present") == pytest.approx(constants.f1([60, 40], "macro"))


@given(st.lists(st.integers(0, 500), min_size=2, max_size=8).filter(any), st.sampled_from([0.5, 2.0]))
@settings(max_examples=40, deadline=None)
def test_no_constant_distribution_costs_less(counts, gamma):
    q = np.random.default_rng(sum(counts)).dirichlet(np.ones(len(counts)))
    share = np.array(counts) / sum(counts)
    cost = -np.log(np.clip(q, 1e-12, 1))
    assert constants.cross_entropy(counts) <= (share * cost).sum() + 1e-9
    assert constants.focal(counts, gamma) <= (share * (1 - q) ** gamma * cost).sum() + 1e-9


def test_without_targets_nothing_is_known():
    empty = np.zeros(0)
    found = [
        constants.cross_entropy([0, 0]), constants.focal([0]), constants.binary_cross_entropy(empty),
        constants.squared_error(empty), constants.huber(empty)[0], constants.absolute_error(empty)[0],
        constants.gaussian_nll(empty), constants.accuracy([0]), constants.f1([], "macro"),
    ]  # fmt: skip
    assert all(math.isnan(value) for value in found)
