"""``stats.weight_in_sum`` against ordinary least squares on the full design matrix."""

import numpy as np
import pytest
from scipy.stats import norm

from tocsin.stats import weight_in_sum


def full_ols(whole, parts, index, order, confidence):
    """The same regression without removing or scaling anything: coefficient and interval by (X'X)^-1."""
    n = whole.size
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, n), 2)
    columns = [basis]
    columns += [basis[:, [j]] * (parts - parts.mean(axis=0)) for j in range(order + 1)]
    x = np.concatenate(columns, axis=1)
    inverse = np.linalg.inv(x.T @ x)
    b = inverse @ x.T @ whole
    left = whole - x @ b
    se = np.sqrt(left @ left / (n - x.shape[1]) * inverse[3 + index, 3 + index])
    half = norm.ppf(0.5 + confidence / 2) * se
    smooth = whole - basis @ np.linalg.lstsq(basis, whole, rcond=None)[0]
    r2 = 1 - (left @ left / (n - x.shape[1])) / (smooth @ smooth / (n - 3))
    return b[3 + index], b[3 + index] - half, b[3 + index] + half, r2


@pytest.mark.parametrize("order", [0, 1, 2])
def test_agrees_with_the_full_design(order):
    rng = np.random.default_rng(order)
    parts = rng.normal([3, 2, 5], [0.1, 0.3, 0.2], (64, 3))
    whole = parts @ [0.7, 0.4, 1.1] + 0.02 * rng.normal(size=64) + np.linspace(0, 1, 64)
    got = weight_in_sum(whole, parts, 1, order, confidence=0.99)
    value, low, high, r2 = full_ols(whole, parts, 1, order, 0.99)
    assert (got.value, got.low, got.high, got.r2) == pytest.approx((value, low, high, r2), rel=1e-9)
    assert got.share == pytest.approx(low * parts[:, 1].std() / whole.std())


def test_interval_covers_the_true_weight():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        parts = rng.normal(size=(40, 2))
        got = weight_in_sum(parts @ [1.0, 0.3] + rng.normal(size=40), parts, 1, confidence=0.9)
        hits += got.low <= 0.3 <= got.high
    assert 0.83 <= hits / 300 <= 0.95


def test_no_answer_where_the_data_hold_none():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 64))
    assert weight_in_sum(a, np.stack([b, 2 * b], axis=1), 0) is None  # one imitates the other
    assert weight_in_sum(a[:14], np.stack([b[:14], a[:14] ** 2], axis=1), 0) is None  # nine degrees of freedom
    assert weight_in_sum(np.ones(64), np.stack([a, b], axis=1), 0) is None  # nothing to explain
    t = np.linspace(0, 1, 64)
    assert weight_in_sum(a, np.stack([b, t + t**2], axis=1), 1) is None  # a smooth part
