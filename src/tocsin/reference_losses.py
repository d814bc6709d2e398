"""What the best constant costs under a loss, from the targets of one evaluation: see ``references`` for which loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tocsin import constant_values as constants
from tocsin.loss_names import Loss
from tocsin.run import Evaluation, Floats, Moments


@dataclass(frozen=True)
class Reference:
    """The best constant's value under one logged loss or metric.

    Attributes:
        name: The series it is beside.
        value: What the best constant reaches; NaN where it is undefined (a correlation).
        low: The lowest value that fits what is known (weights or smoothing may be in the logged loss or not).
        high: The highest.
        zero: What predicting zero (logits of zero) costs; NaN where unknown.
        error: Standard error of ``value`` from the bounded sample of targets; 0 where all were counted.
        of: The loss or metric, in words.
        source: Where it stands in the run: ``evaluation:<split>/<task>`` or ``reference/<name>``; "" if it is the
            same for any targets.
        step: Step of that evaluation or point.
        sign: -1 for a loss, 1 where higher is better.
    """

    name: str
    value: float
    low: float
    high: float
    zero: float
    error: float
    of: str
    source: str
    step: int
    sign: int

    def times(self, factor: float) -> Reference:
        """The same in another unit."""
        return replace(
            self,
            value=factor * self.value,
            low=factor * self.low,
            high=factor * self.high,
            zero=factor * self.zero,
            error=factor * self.error,
        )


def one_value(value: float, of: str, sign: int, zero: float = math.nan, error: float = 0.0) -> Reference:
    return Reference("", value, value, value, zero, error, of, "", 0, sign)


def of_classes(e: Evaluation, loss: Loss) -> Reference | None:
    """The reference of a loss on the class targets, or labels, of an evaluation; None where it does not apply."""
    one_of_many = e.kind in ("classes", "ids")
    counts = e.confusion.support if e.confusion is not None and e.confusion.n else None
    family = loss.family
    if one_of_many and counts is not None and family in ("cross-entropy", "NLL", "perplexity"):
        found = _cross_entropy(counts.astype(np.float64), loss.parameters)
        if family != "perplexity" or found is None:
            return found
        return replace(one_value(math.exp(min(found.low, 700)), "perplexity", -1), zero=float(counts.size))
    if one_of_many and counts is not None and family == "focal loss":
        return _focal(counts.astype(np.float64), loss.parameters)
    shares = _positives(e)
    if shares is None or family not in ("binary cross-entropy", "cross-entropy", "NLL", "focal loss"):
        return None
    return _sigmoid_focal(shares, loss.parameters) if family == "focal loss" else _binary(shares, loss.parameters)


def _positives(e: Evaluation) -> Floats | None:
    """Share of positives of each label; None where the evaluation is of another kind."""
    if e.kind == "binary" and e.confusion is not None and e.confusion.n:
        return np.array([e.confusion.support[1] / e.confusion.n])
    if e.kind == "multilabel" and e.labels_confusion is not None and len(e.labels_confusion):
        table = e.labels_confusion.astype(np.float64)
        total = table.sum(axis=1)
        shares: Floats = (table[:, 0] + table[:, 2])[total > 0] / total[total > 0]
        return shares
    return None


def _cross_entropy(counts: Floats, parameters: Mapping[str, Any]) -> Reference | None:
    smoothing, weights = number(parameters.get("label_smoothing")), parameters.get("weight")
    listed = _vector(weights, counts.size)
    if (weights and listed is None and number(weights) is None) or not 0 <= (smoothing or 0) < 1:
        return None  # weights that are not known; a number weighs the whole term
    readings = [(w, s) for w in dict.fromkeys((listed, None)) for s in dict.fromkeys((smoothing or 0.0, 0.0))]
    values = [constants.cross_entropy(counts, w, s) for w, s in readings]
    zero = constants.uniform_cross_entropy(counts, *readings[0])
    return _several(values, "cross-entropy", zero)


def _several(values: Sequence[float], of: str, zero: float) -> Reference | None:
    if not all(map(math.isfinite, values)):
        return None
    return replace(one_value(values[0], of, -1, zero), low=min(values), high=max(values))


def _focal(counts: Floats, parameters: Mapping[str, Any]) -> Reference | None:
    gamma, alpha = number(parameters.get("gamma")), parameters.get("alpha")
    weights = _vector(alpha, counts.size) or number(alpha)
    if gamma is None or gamma < 0 or (alpha is not None and weights is None):
        return None
    return _several(
        [constants.focal(counts, gamma, weights)], "focal loss", constants.uniform_focal(counts, gamma, weights)
    )


def _sigmoid_focal(shares: Floats, parameters: Mapping[str, Any]) -> Reference | None:
    """Focal loss on independent labels: alpha weighs positives, 1 - alpha negatives; below 0 or absent: none."""
    gamma, alpha = number(parameters.get("gamma")), number(parameters.get("alpha"))
    if gamma is None or gamma < 0:
        return None
    weights = (1 - alpha, alpha) if alpha is not None and 0 <= alpha <= 1 else None
    pairs = [np.array([1 - p, p]) for p in shares]
    best = float(np.mean([constants.focal(pair, gamma, weights) for pair in pairs]))
    zero = float(np.mean([constants.uniform_focal(pair, gamma, weights) for pair in pairs]))
    return _several([best], "focal loss", zero)


def _binary(shares: Floats, parameters: Mapping[str, Any]) -> Reference | None:
    given = parameters.get("pos_weight")
    same = number(given)
    listed = _vector(given, shares.size) or (None if same is None else (same,) * shares.size)
    if given and listed is None:
        return None
    weights = list(dict.fromkeys((listed, None)))
    values = [constants.binary_cross_entropy(shares, 1.0 if w is None else w) for w in weights]
    zero = constants.zero_binary_cross_entropy(shares, 1.0 if weights[0] is None else weights[0])
    return _several(values, "binary cross-entropy", zero)


def of_values(e: Evaluation, loss: Loss) -> tuple[tuple[float, float], Reference | None]:
    """What the evaluation's own predictions cost under a loss, its standard error, and the reference.

    Squared errors come from the moments; others from the recorded sample of pairs, whose mean has an error unless
    it is the whole evaluation.
    """
    spread = [m.var_target for m in e.moments]
    if loss.family in ("MSE", "RMSE"):
        mine = float(np.mean([_mse(m) for m in e.moments]))
        zero = float(np.mean([m.var_target + m.mean_target**2 for m in e.moments]))
        trio = [mine, constants.squared_error(spread), zero]
        own, best, zero = [math.sqrt(max(v, 0.0)) for v in trio] if loss.family == "RMSE" else trio
        return (own, 0.0), one_value(best, loss.family, -1, zero)
    if loss.family not in ("MAE", "Huber loss", "smooth L1") or not all(m.sample_target.size for m in e.moments):
        return (math.nan, 0.0), None
    delta = number(loss.parameters.get("beta" if loss.family == "smooth L1" else "delta"))
    delta = 1.0 if delta is None or delta <= 0 else delta
    each = np.array([_sampled(m, loss.family, delta) for m in e.moments])
    own, best, zero, own_error, error = each.mean(axis=0)
    return (float(own), float(own_error)), one_value(float(best), loss.family, -1, float(zero), float(error))


def _mse(m: Moments) -> float:
    return m.var_target + m.var_prediction - 2 * m.cov + (m.mean_prediction - m.mean_target) ** 2


def _sampled(m: Moments, family: str, delta: float) -> tuple[float, float, float, float, float]:
    """Cost of the predictions, of the best constant, of zero; standard errors of the first two."""
    t, p = m.sample_target, m.sample_prediction
    constant = constants.absolute_error(t)[1] if family == "MAE" else constants.huber(t, delta)[1]
    costs = [each_cost(residual, family, delta) for residual in (p - t, constant - t, -t)]
    errors = [0.0 if t.size == m.n else float(cost.std()) / math.sqrt(t.size) for cost in costs]
    return float(costs[0].mean()), float(costs[1].mean()), float(costs[2].mean()), errors[0], errors[1]


def each_cost(residual: Floats, family: str, delta: float = 1.0) -> Floats:
    """What each residual costs under a loss on values; the squared error for any other."""
    if family == "MAE":
        return np.abs(residual)
    if family in ("Huber loss", "smooth L1"):
        scale = delta if family == "smooth L1" else 1.0
        return constants.huber_each(residual, delta) / scale
    squared: Floats = residual**2
    return squared


def gaussian(moments: Sequence[Moments], parameters: Mapping[str, Any]) -> Reference | None:
    spread = [m.var_target for m in moments]
    low, high = _bounds(parameters)
    readings = [constants.gaussian_nll(spread, low=low, high=high, full=full) for full in (False, True)]
    full = parameters.get("full")
    kept = readings if not isinstance(full, bool) else [readings[full]]
    zero = [0.5 * (m.var_target + m.mean_target**2) for m in moments]
    added = constants.HALF_LOG_2PI if kept[0] == readings[1] else 0.0
    return _several(kept, "Gaussian NLL", float(np.mean(zero)) + added)


def _bounds(parameters: Mapping[str, Any]) -> tuple[float, float]:
    """Bounds of the variance, as clamps of it, of sigma, or of their logarithms state them."""
    ends = {"min": 0.0, "max": math.inf}
    for (stem, end), power in {(s, e): 1 if s == "var" else 2 for s in ("var", "sigma", "std") for e in ends}.items():
        for log in ("", "log_", "log"):
            for key in (f"{log}{stem}_{end}", f"{end}_{log}{stem}"):
                value = number(parameters.get(key))
                if value is not None and (log or value > 0):
                    ends[end] = (math.exp(min(value, 300.0)) if log else value) ** power
    return ends["min"], max(ends["max"], ends["min"])


def number(value: Any) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except ValueError:
        return None
    return read if math.isfinite(read) else None


def _vector(value: Any, size: int) -> tuple[float, ...] | None:
    """A list of ``size`` numbers; None for anything else."""
    if not isinstance(value, list | tuple) or len(value) != size:
        return None
    found = [n for v in value if (n := number(v)) is not None and n >= 0]
    return tuple(found) if len(found) == size and sum(found) > 0 else None
