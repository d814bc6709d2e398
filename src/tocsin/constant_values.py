"""What the best constant prediction costs under a loss, or scores under a metric, from the targets alone.

A constant has used nothing of the input. Each function takes a distribution of targets (counts of classes, or values)
and gives the least loss, or the highest score, that one answer for every input can reach: in closed form, or by a
one-dimensional search. NaN where there is no target. Losses are means over samples, natural logarithms.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tocsin.run import Floats

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def entropy(shares: Floats) -> float:
    """-sum p ln p; 0 ln 0 = 0."""
    kept = shares[shares > 0]
    return float(-(kept * np.log(kept)).sum())


def cross_entropy(counts: ArrayLike, weights: ArrayLike | None = None, smoothing: float = 0.0) -> float:
    """Cross-entropy of the best constant distribution over K classes, as ``torch.nn.CrossEntropyLoss`` averages it.

    Args:
        counts: Samples of each class, shape (K,).
        weights: Class weights, shape (K,): the mean is divided by the weights of the targets.
        smoothing: Label smoothing in [0, 1].
    """
    mass, total = _smoothed(counts, weights, smoothing)
    if not total > 0:
        return math.nan
    return float(mass.sum() / total) * entropy(mass / mass.sum())


def uniform_cross_entropy(counts: ArrayLike, weights: ArrayLike | None = None, smoothing: float = 0.0) -> float:
    """The same for equal odds: what logits of zero cost."""
    mass, total = _smoothed(counts, weights, smoothing)
    return float(mass.sum() / total) * math.log(mass.size) if total > 0 else math.nan


def _smoothed(counts: ArrayLike, weights: ArrayLike | None, smoothing: float) -> tuple[Floats, float]:
    """What each class's log-probability weighs in the sum, and what the sum is divided by."""
    n = np.asarray(counts, np.float64)
    w = np.ones_like(n) if weights is None else np.asarray(weights, np.float64)
    return (1 - smoothing) * n * w + smoothing / max(n.size, 1) * w * n.sum(), float((n * w).sum())


def focal(counts: ArrayLike, gamma: float = 2.0, alpha: ArrayLike | None = None) -> float:
    """Focal loss -alpha_y (1 - q_y)^gamma ln q_y (Lin et al. 2017, eq. 5) of the best constant distribution q.

    The loss of each class is convex in its q, so one multiplier of sum q = 1 settles all: found by bisection.

    Args:
        counts: Samples of each class, shape (K,).
        gamma: Focusing exponent, at least 0.
        alpha: Weight of each class, shape (K,), or of all; the mean is over samples.
    """
    n = np.asarray(counts, np.float64)
    total = n.sum()
    mass = n * (1.0 if alpha is None else np.asarray(alpha, np.float64))
    mass = mass[mass > 0]
    if not (total > 0 and mass.size and gamma >= 0):
        return math.nan
    if mass.size == 1:
        return 0.0
    q = _focal_odds(mass / mass.sum(), gamma)
    return float((mass * _focal_of(q, gamma)).sum() / total)


def uniform_focal(counts: ArrayLike, gamma: float = 2.0, alpha: ArrayLike | None = None) -> float:
    """The same for equal odds among all K classes."""
    n = np.asarray(counts, np.float64)
    if not n.sum() > 0:
        return math.nan
    mass = n * (1.0 if alpha is None else np.asarray(alpha, np.float64))
    return float(mass.sum() / n.sum() * _focal_of(np.array([1 / n.size]), gamma)[0])


def _focal_of(q: Floats, gamma: float) -> Floats:
    cost: Floats = -((1 - q) ** gamma) * np.log(q)
    return cost


def _focal_slope(q: Floats, gamma: float) -> Floats:
    """-d/dq of the focal loss of one class: positive and falling in q."""
    inner = 0.0 if gamma == 0 else -gamma * (1 - q) ** (gamma - 1) * np.log(q)
    slope: Floats = inner + (1 - q) ** gamma / q
    return slope


def _focal_odds(share: Floats, gamma: float) -> Floats:
    low, high = -60.0, 80.0  # ln of the multiplier
    q = share
    for _ in range(100):
        middle = (low + high) / 2
        q = _where_slope(math.exp(middle) / share, gamma)
        low, high = (middle, high) if q.sum() > 1 else (low, middle)
    return np.clip(q, 1e-300, 1 - 1e-16)


def _where_slope(wanted: Floats, gamma: float) -> Floats:
    """The odds at which the slope is ``wanted``, by bisection of ln q."""
    low, high = np.full_like(wanted, -90.0), np.full_like(wanted, -1e-16)
    for _ in range(70):
        middle = (low + high) / 2
        steep = _focal_slope(np.exp(middle), gamma) > wanted
        low, high = np.where(steep, middle, low), np.where(steep, high, middle)
    odds: Floats = np.exp((low + high) / 2)
    return odds


def binary_cross_entropy(share: ArrayLike, pos_weight: ArrayLike = 1.0) -> float:
    """BCE of the best constant odds, meaned over labels.

    Args:
        share: Share of positives of each label, a number or shape (K,).
        pos_weight: Factor on the positive part, as in ``BCEWithLogitsLoss``.
    """
    p, w = np.asarray(share, np.float64), np.asarray(pos_weight, np.float64)
    if not p.size:
        return math.nan
    q = w * p / (w * p + 1 - p)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = -np.where(p > 0, w * p * np.log(q), 0) - np.where(p < 1, (1 - p) * np.log1p(-q), 0)
    return float(cost.mean())


def zero_binary_cross_entropy(share: ArrayLike, pos_weight: ArrayLike = 1.0) -> float:
    """The same for logits of zero."""
    p, w = np.asarray(share, np.float64), np.asarray(pos_weight, np.float64)
    return float(((w * p + 1 - p) * math.log(2)).mean()) if p.size else math.nan


def squared_error(variance: ArrayLike) -> float:
    """Mean squared error of the mean, meaned over outputs: the variance."""
    v = np.asarray(variance, np.float64)
    return float(v.mean()) if v.size else math.nan


def huber(values: ArrayLike, delta: float = 1.0) -> tuple[float, float]:
    """Huber loss (1964) of the best constant, and that constant: where the mean of the clipped residuals is 0.

    ``delta`` = inf is half the squared error. Smooth L1 of ``beta`` is Huber / beta with delta = beta.
    """
    t = np.asarray(values, np.float64)
    if not t.size:
        return math.nan, math.nan
    low, high = float(t.min()), float(t.max())
    for _ in range(200):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if np.clip(t - middle, -delta, delta).mean() > 0 else (low, middle)
    best = low + (high - low) / 2
    return float(huber_each(t - best, delta).mean()), best


def huber_each(residual: Floats, delta: float = 1.0) -> Floats:
    """Huber loss of each residual."""
    size = np.abs(residual)
    cost: Floats = np.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * min(delta, 1e300)))
    return cost


def absolute_error(values: ArrayLike) -> tuple[float, float]:
    """Mean absolute error of the median, and the median."""
    t = np.asarray(values, np.float64)
    if not t.size:
        return math.nan, math.nan
    middle = float(np.median(t))
    return float(np.abs(t - middle).mean()), middle


def gaussian_nll(
    variance: ArrayLike, *, learned: bool = True, low: float = 0.0, high: float = math.inf, full: bool = False
) -> float:
    """Gaussian negative log likelihood 1/2 (ln v + (t - mu)^2 / v) of the best constant mu and v, meaned over outputs.

    Args:
        variance: Variance of each output's targets.
        learned: Whether v is predicted; else v = 1.
        low: Lower bound (clamp) of v.
        high: Upper bound of v.
        full: Whether 1/2 ln 2 pi is added.
    """
    spread = np.asarray(variance, np.float64)
    if not spread.size:
        return math.nan
    v = np.clip(spread if learned else np.ones_like(spread), low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = 0.5 * (np.log(v) + np.where(spread > 0, spread / v, float(learned)))
    return float(cost.mean()) + (HALF_LOG_2PI if full else 0.0)


def accuracy(counts: ArrayLike) -> float:
    """Share of the largest class."""
    n = np.asarray(counts, np.float64)
    return float(n.max() / n.sum()) if n.size and n.sum() > 0 else math.nan


def f1(counts: ArrayLike, average: str, positive: int = 1) -> float:
    """F1 of the best constant class; 0 / 0 counts as 0.

    Args:
        counts: Samples of each class, shape (K,).
        average: ``macro`` (over all K), ``present`` (macro over the classes with targets), ``weighted``, ``micro`` or
            ``binary``.
        positive: The class whose F1 ``binary`` is: the constant always says it.
    """
    n = np.asarray(counts, np.float64)
    if not (n.size and n.sum() > 0):
        return math.nan
    p = n / n.sum()
    own = 2 * p / (1 + p)
    if average == "binary":
        return float(own[positive])
    if average == "micro":
        return float(p.max())
    if average == "weighted":
        return float((p * own).max())
    return float(own.max() / (n.size if average == "macro" else np.count_nonzero(n)))
