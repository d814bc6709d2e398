"""Pure statistics on arrays: intervals, robust levels, trends, nulls; numpy only, every function tested against scipy.

All take float64 arrays, ignore nothing silently (the caller drops NaN), and return NaN intervals where the data cannot
support one, so a comparison with them is False and a rule stays quiet.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]
NAN: Interval = (math.nan, math.nan)
_FEWEST = 1e-9  # fewer cases, effective ones among them, support no interval


def z_of(confidence: float) -> float:
    """Two-sided standard normal quantile: 1.96 for .95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def t_of(confidence: float, freedom: float) -> float:
    """Two-sided Student quantile for ``freedom`` >= 1, whole or not (Hill 1970, algorithm 396).

    Relative error below 2.5 % under 3 degrees of freedom and .2 % above, for a confidence of .8 to .999. Between
    1 and 2, where that expansion fails, log t is the parabola in 1 / freedom through 1, 2 and 3.
    """
    n, tails = max(freedom, 1.0), 1 - confidence
    if n == 1:
        return 1 / math.tan(tails * math.pi / 2)
    if n < 2:
        one, two, three = (math.log(t_of(confidence, whole)) for whole in (1, 2, 3))
        x = 6 / n  # 6, 3 and 2 at the three points
        parts = one * (x - 3) * (x - 2) / 12 - two * (x - 6) * (x - 2) / 3 + three * (x - 6) * (x - 3) / 4
        return math.exp(parts)
    a = 1 / (n - 0.5)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * tails) ** (2 / n)
    if y > a + 0.05:
        x = -z_of(confidence)
        c += 0.3 * (n - 4.5) * (x + 0.6) if n < 5 else 0.0
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = x * x
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        near = 1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3)
        y = ((near + 0.5 / (n + 4)) * y - 1) * (n + 1) / (n + 2) + 1 / y
    return math.sqrt(n * y)


def spend(look: int, alpha: float = 0.05) -> float:
    """Level for the ``look``-th of many looks (from 1): 6 alpha / (pi^2 k^2); the levels sum to ``alpha``."""
    return 6 * alpha / (math.pi**2 * look**2)


def wilson(hits: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927)."""
    if not (n > _FEWEST and 0 <= hits <= n):
        return NAN
    z, p = z_of(confidence), hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def wilson_bounds(hits: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's lower and upper bounds of many proportions at once; NaN where n is 0."""
    z2, k, size = z_of(confidence) ** 2, np.asarray(hits, np.float64), np.asarray(n, np.float64)
    size = np.where(size > 0, size, np.nan)
    share, weight = k / size, 1 + z2 / size
    centre = (share + z2 / (2 * size)) / weight
    half = np.sqrt(z2 * (share * (1 - share) / size + z2 / (4 * size**2))) / weight
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def proportion_difference(hits1: float, n1: float, hits2: float, n2: float, confidence: float = 0.95) -> Interval:
    """Interval of p1 - p2 from two Wilson intervals (Newcombe 1998, method 10)."""
    if n1 <= 0 or n2 <= 0:
        return NAN
    (l1, u1), (l2, u2) = wilson(hits1, n1, confidence), wilson(hits2, n2, confidence)
    p1, p2 = hits1 / n1, hits2 / n2
    return p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)


def mean_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """Student interval of a mean, with the AR(1) effective size; NaN when that is below 2."""
    values = np.asarray(x, np.float64)
    n = effective_size(values)
    if n < 2:
        return NAN
    half = t_of(confidence, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return float(values.mean()) - half, float(values.mean()) + half


def lag1(x: ArrayLike) -> float:
    """Lag-1 autocorrelation; 0 for fewer than 3 points or a constant."""
    values = np.asarray(x, np.float64)
    if values.size < 3:
        return 0.0
    d = values - values.mean()
    total = float(d @ d)
    return float(d[1:] @ d[:-1]) / total if total > 0 else 0.0


def effective_size(x: ArrayLike) -> float:
    """Number of independent points worth the same: n (1 - rho) / (1 + rho), between 1 and n (0 for none).

    rho is the lag-1 correlation freed of its small-sample bias -(1 + 3 rho) / n (Marriott & Pope 1954).
    """
    values = np.asarray(x, np.float64)
    n = values.size
    return _independent(n, (n * lag1(values) + 1) / (n - 3) if n > 3 else 0.0)


def paired_size(x: ArrayLike, y: ArrayLike) -> float:
    """Number of independent pairs worth the same for their correlation: n (1 - c) / (1 + c) (Bartlett 1935).

    c is the product of the two lag-1 correlations, each freed of its bias and at least 0.
    """
    n = np.size(x)
    each = [min(max((n * lag1(v) + 1) / (n - 3), 0.0), 0.999) if n > 3 else 0.0 for v in (x, y)]
    return _independent(n, each[0] * each[1])


def spread_size(x: ArrayLike) -> float:
    """Number of normal values whose variance is known as well: n min(1, 2 / (kurtosis - 1)); 0 for a constant or inf.

    The relative variance of a sample variance is (kurtosis - 1) / n: one spike among zeros is worth 2 values.
    """
    values = np.asarray(x, np.float64)
    if not values.size or not 0 < np.ptp(values) < math.inf:
        return 0.0
    d2 = ((values - values.mean()) / np.ptp(values)) ** 2
    excess = float((d2**2).mean() / d2.mean() ** 2) - 1
    return values.size * min(1.0, 2 / excess) if excess > 0 else float(values.size)


def _independent(n: int, rho: float) -> float:
    rho = min(max(rho, 0.0), 0.999)
    return max(1.0, n * (1 - rho) / (1 + rho)) if n else 0.0


def fisher_interval(r: float, n: float, confidence: float = 0.95) -> Interval:
    """Interval of a correlation by Fisher's z; ``n`` may be an effective size."""
    if n <= 3 or not abs(r) <= 1:
        return NAN
    if abs(r) == 1:
        return r, r
    centre, half = math.atanh(r), z_of(confidence) / math.sqrt(n - 3)
    return math.tanh(centre - half), math.tanh(centre + half)


def calibration_slope(r: float, s: float, n: float, confidence: float = 0.95) -> Interval:
    """Interval of the slope r/s of target on prediction, both standardised by the target's sd (least squares)."""
    if n <= 3 or not (s > 0 and abs(r) <= 1):
        return NAN
    half = t_of(confidence, n - 2) * math.sqrt((1 - r * r) / (n - 2)) / s
    return r / s - half, r / s + half


def correlation_p(r: float, n: float) -> float:
    """One-sided p value of a correlation against none, by Fisher's z; ``n`` may be an effective size; NaN up to 3."""
    if n <= 3 or not abs(r) <= 1:
        return math.nan
    return 0.5 * math.erfc(math.atanh(r) * math.sqrt((n - 3) / 2)) if abs(r) < 1 else float(r < 0)


def _shifts(n: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` shifts, spread evenly, that stay at least 5 % away from 0."""
    return np.unique(np.linspace(max(1, n // 20), n - max(1, n // 20), min(most, n - 2)).astype(np.int64))


def least_shift_p(n: int, shifts: int = 199) -> float:
    """The smallest p value that ``circular_shift_p`` can give ``n`` >= 20 pairs: below 108 it is above .01."""
    return 1 / (1 + _shifts(n, shifts).size) if n >= 20 else math.nan


def circular_shift_p(target: ArrayLike, prediction: ArrayLike, shifts: int = 199) -> float:
    """One-sided p value of their correlation against circular shifts of one of them (keeps autocorrelation).

    Shifts are spread evenly over the record and stay at least 5 % away from 0. NaN below 20 pairs.
    """
    t, p = np.asarray(target, np.float64), np.asarray(prediction, np.float64)
    n = t.size
    if n < 20:
        return math.nan
    if not (np.ptp(t) > 0 and np.ptp(p) > 0):
        return 1.0
    t, p = t - t.mean(), p - p.mean()
    at = _shifts(n, shifts)
    null = np.fft.irfft(np.fft.rfft(p).conj() * np.fft.rfft(t), n)[at]
    return float((1 + np.sum(null >= float(t @ p) * (1 - 1e-12))) / (1 + at.size))


def robust_level(x: ArrayLike) -> tuple[float, float]:
    """Median and 1.4826 MAD (consistent for the normal sd)."""
    values = np.asarray(x, np.float64)
    if not values.size:
        return NAN
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


@dataclass(frozen=True)
class Trend:
    """Theil-Sen slope per unit of x, its interval, and the points it rests on."""

    slope: float
    low: float
    high: float
    n: int

    @property
    def falling(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0

    @property
    def rising(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def flat(self) -> bool:
        """Whether the interval contains 0 (False where there is no interval)."""
        return self.low <= 0 <= self.high


def trend(x: ArrayLike, y: ArrayLike, confidence: float = 0.95, most: int = 200) -> Trend:
    """Theil-Sen slope with Sen's interval (Sen 1968), widened for autocorrelation of the residuals.

    The Kendall variance n(n-1)(2n+5)/18 is multiplied by n / n_eff (Hamed & Rao 1998, first-order form); n_eff from
    the residuals' lag-1 correlation, freed of its small-sample bias -(2 + 4 rho) / n about a line (Marriott & Pope
    1954); at its widest the interval spans the smallest and the largest pairwise slope, as all orders of 5 points
    allow (2 / 5! < .05). More than ``most`` points are first averaged in equal blocks. NaN below 5 points.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if xs.size > most:
        xs, ys = block_means(xs, most), block_means(ys, most)
    n = xs.size
    if n < 5:
        return Trend(math.nan, math.nan, math.nan, n)
    i, j = np.triu_indices(n, 1)
    dx = xs[j] - xs[i]
    slopes = np.sort((ys[j] - ys[i])[dx != 0] / dx[dx != 0])
    if not slopes.size:
        return Trend(math.nan, math.nan, math.nan, n)
    slope = float(np.median(slopes))
    rho = (n * lag1(ys - slope * xs) + 2) / (n - 4) if n > 4 else 0.0
    inflation = n / _independent(n, rho)
    half = z_of(confidence) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18 * inflation) / 2
    low, high = round(slopes.size / 2 - half) - 1, round(slopes.size / 2 + half)
    return Trend(slope, float(slopes[max(low, 0)]), float(slopes[min(high, slopes.size - 1)]), n)


def block_means(x: Floats, blocks: int) -> Floats:
    """Means of ``blocks`` (at most x.size) consecutive parts of nearly equal size."""
    edges = np.linspace(0, x.size, min(blocks, x.size) + 1).astype(int)
    sums: Floats = np.add.reduceat(x, edges[:-1]) / np.diff(edges)
    return sums


def running_medians(x: ArrayLike, half: int) -> Floats:
    """The median about each of n finite values: of ``half`` before it to ``half`` after it, fewer at the ends."""
    values = np.asarray(x, np.float64).tolist()
    ordered, medians = sorted(values[:half]), []
    for at in range(len(values)):
        if at + half < len(values):
            insort(ordered, values[at + half])
        if at > half:
            del ordered[bisect_left(ordered, values[at - half - 1])]
        n = len(ordered)
        medians.append(ordered[(n - 1) // 2] / 2 + ordered[n // 2] / 2)  # their sum may overflow
    return np.array(medians)


def order_p(y: ArrayLike) -> float:
    """One-sided p value of a rising order: Kendall's S of all pairs, against all orders of as many values (Mann 1945).

    Exact up to 40 values (from the numbers of orders with k inversions), normal with the correction for continuity
    beyond; ties count as pairs out of order. 1 below 2 values.
    """
    values = np.asarray(y, np.float64)
    n = values.size
    if n < 2:
        return 1.0
    wrong = n * (n - 1) // 2 - sum(int(np.count_nonzero(values[k + 1 :] > values[k])) for k in range(n - 1))
    if n > 40:
        score = n * (n - 1) / 2 - 2 * wrong
        return 0.5 * math.erfc((score - 1) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18) / math.sqrt(2))
    share = np.ones(1)  # of the orders of m values, by their number of inversions
    for m in range(2, n + 1):
        share = np.convolve(share, np.full(m, 1 / m))
    return min(1.0, float(share[: wrong + 1].sum()))


def change_point(y: ArrayLike, margin: int = 3) -> tuple[int, float]:
    """The split that best separates two mean levels: index of the second part's first point, and |t| of the step.

    |t| uses the pooled sd of the two parts; as the largest of many it is not Student-distributed. (0, 0.0) when
    fewer than 2 ``margin`` points.
    """
    values = np.asarray(y, np.float64)
    n = values.size
    if n < max(2 * margin, 1):
        return 0, 0.0
    values = values - values.mean()
    k = np.arange(margin, n - margin + 1)
    total, squares = np.cumsum(values), np.cumsum(values**2)
    m1, m2 = total[k - 1] / k, (total[-1] - total[k - 1]) / (n - k)
    within = np.maximum(squares[-1] - k * m1**2 - (n - k) * m2**2, 0.0)
    scale = np.sqrt(within / max(n - 2, 1) * (1 / k + 1 / (n - k)))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(scale > 1e-300, np.abs(m2 - m1) / scale, np.where(m1 == m2, 0.0, np.inf))
    best = int(np.argmax(t))
    return int(k[best]), float(t[best])


def least_squares(columns: Floats, y: Floats) -> tuple[Floats, float]:
    """Coefficients of y on the columns [n, k] (no intercept), and R^2 about the mean of y."""
    coefficients: Floats = np.linalg.lstsq(columns, y, rcond=None)[0].astype(np.float64)
    left = y - columns @ coefficients
    total = float(((y - y.mean()) ** 2).sum())
    return coefficients, 1 - float(left @ left) / total if total > 0 else math.nan


@dataclass(frozen=True)
class Weight:
    """The mean weight of one part in a sum, its interval, and how well the parts account for the sum.

    ``share`` is the lower end of the interval times sd(part) / sd(sum); ``r2`` is adjusted for the degrees of freedom.
    """

    value: float
    low: float
    high: float
    share: float
    r2: float


def weight_in_sum(whole: Floats, parts: Floats, index: int, order: int = 0, confidence: float = 0.999) -> Weight | None:
    """Least squares of ``whole`` (n,) on ``parts`` (n, k): the weight of column ``index``.

    The weights are polynomials of ``order`` <= 2 in time, plus a free quadratic that is removed from all columns first
    (Frisch and Waugh 1933). None when fewer than 10 degrees of freedom are left, when the whole is smooth, or when the
    remaining columns and a quadratic imitate more than 96 % of the part's variance.
    """
    n = whole.size
    freedom = n - parts.shape[1] * (order + 1) - 3
    scale, sizes = float(whole.std()), parts.std(axis=0)
    if freedom < 10 or not scale or not sizes[index]:
        return None
    basis = np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, n), 2).astype(np.float64)
    z = (parts - parts.mean(axis=0)) / np.where(sizes > 0, sizes, 1.0)
    columns = np.concatenate([basis[:, j : j + 1] * z for j in range(order + 1)], axis=1)
    columns, y = _beside(basis, columns), _beside(basis, (whole - whole.mean()) / scale)
    own = _beside(np.delete(columns, index, axis=1), columns[:, index])
    left = _beside(columns, y)
    alone, moved = float(own @ own), float(y @ y)
    if alone < 0.04 * n or moved < 1e-12 * n:
        return None
    noise, w, unit = float(left @ left) / freedom, float(own @ y) / alone, scale / float(sizes[index])
    half = z_of(confidence) * math.sqrt(noise / alone)
    return Weight(w * unit, (w - half) * unit, (w + half) * unit, w - half, 1 - noise * (n - 3) / moved)


def _beside(columns: Floats, y: Floats) -> Floats:
    """``y`` less its least-squares image on ``columns``; directions below 1e-4 of the largest count as none."""
    if not columns.shape[1]:
        return y
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    u = u[:, s > 1e-4 * s[0]]
    left: Floats = y - u @ (u.T @ y)
    return left


def class_scores(support: ArrayLike, predicted: ArrayLike, correct: ArrayLike) -> dict[str, dict[str, float]]:
    """The standard scores of a classifier from its counts, by measure and by definition; 0 / 0 counts as 0.

    Args:
        support: Samples of each target class, shape (K,).
        predicted: Samples predicted as each class, shape (K,).
        correct: Correctly predicted samples of each class, shape (K,).

    Returns:
        For ``accuracy``: plain and balanced. For ``f1``, ``precision``, ``recall``: macro over the K classes, over
        those with a target, over those with a target or a prediction; micro; weighted by support; with K = 2 each
        class as the positive one. Empty without samples.
    """
    true, said, hit = (np.asarray(v, np.float64) for v in (support, predicted, correct))
    if not true.sum() > 0:
        return {}
    recall, precision, f1 = _ratio(hit, true), _ratio(hit, said), _ratio(2 * hit, true + said)
    n = float(true.sum())
    micro = {
        "recall": float(hit.sum()) / n,
        "precision": float(_ratio(hit.sum(), said.sum())),
        "f1": float(2 * hit.sum() / (n + said.sum())),
    }
    scores = {"accuracy": {"accuracy": micro["recall"], "balanced": float(recall[true > 0].mean())}}
    for measure, each in (("f1", f1), ("precision", precision), ("recall", recall)):
        scores[measure] = {
            f"macro over {true.size} classes": float(each.mean()),
            "macro over classes with targets": float(each[true > 0].mean()),
            "macro over classes seen": float(each[true + said > 0].mean()),
            "micro": micro[measure],
            "weighted": float(each @ true) / n,
        }
        if true.size == 2:
            scores[measure] |= {f"class {k} positive": float(each[k]) for k in (0, 1)}
    return scores


def _ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    top, bottom = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
