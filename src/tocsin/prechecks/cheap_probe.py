"""A cheap probe: ridge regression in closed form, judged on samples that it was not fitted to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tocsin import stats
from tocsin.prechecks.probe_tables import Floats, finite, standardised
from tocsin.prechecks.probe_targets import Target

FOLDS = 5
PENALTIES = np.logspace(-4, 3, 8)  # of the number of samples: columns have variance 1


@dataclass(frozen=True)
class HeldOut:
    """What a probe costs on samples that it was not fitted to, beside the best constant.

    Attributes:
        error: Weight times error of each sample (a wrong class; a squared difference), [n].
        constant: The same of the constant: a class by chance, the mean of the samples that were fitted, [n].
    """

    error: Floats
    constant: Floats

    @property
    def skill(self) -> float:
        """Share of the constant's error that is gone: 1 knows all, 0 is the constant."""
        return 1 - float(self.error.sum()) / float(self.constant.sum())

    def interval(self, clusters: ArrayLike | None = None, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of the skill, by the jackknife over samples or clusters of them."""
        return _jackknife([self], clusters, confidence)

    def less(self, other: HeldOut, clusters: ArrayLike | None = None, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of this skill less the other one's on the same samples: paired."""
        return _jackknife([self, other], clusters, confidence)


def _jackknife(probes: list[HeldOut], clusters: ArrayLike | None, confidence: float) -> tuple[float, float]:
    """Of the first skill less the second, if there is one: delete one cluster at a time, Student's t."""
    n = probes[0].error.size
    of = np.unique(np.arange(n) if clusters is None else np.asarray(clusters), return_inverse=True)[1].reshape(-1)
    many = int(of.max()) + 1
    if many < 3:
        return math.nan, math.nan
    whole, without = 0.0, np.zeros(many)
    for sign, probe in zip((1, -1), probes, strict=False):
        left = [held.sum() - np.bincount(of, held) for held in (probe.error, probe.constant)]
        whole += sign * probe.skill
        without += sign * (1 - left[0] / np.maximum(left[1], 1e-300))
    half = stats.t_of(confidence, many - 1) * math.sqrt((many - 1) * float(without.var()))
    return whole - half, whole + half


def random_folds(n: int, folds: int = FOLDS) -> NDArray[np.intp]:
    """Fold of each sample by a fixed shuffle."""
    found = np.arange(n) % folds
    return np.random.default_rng(0).permutation(found)


def grouped_folds(groups: NDArray[np.intp], folds: int = FOLDS) -> NDArray[np.intp]:
    """Fold of each sample, no group in two: the largest group first, each into the fold that is emptiest."""
    sizes = np.bincount(groups)
    load, fold_of = np.zeros(folds), np.zeros(sizes.size, np.intp)
    order = np.random.default_rng(0).permutation(sizes.size)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = int(np.argmin(load))
        load[fold_of[group]] += sizes[group]
    return fold_of[groups]


def held_out(x: Floats, target: Target, folds: NDArray[np.intp], *, lenient: bool = False) -> HeldOut:
    """Fit to all folds but one and predict that one, for each.

    Args:
        x: Features, [n, p], rows as in ``target``.
        target: What to predict.
        folds: Fold of each row.
        lenient: Take the penalty that predicts the held-out samples best, not the one of the leave-one-out error:
            no probe of this kind does better.
    """
    errors, constant = np.zeros((PENALTIES.size, len(x))), np.zeros(len(x))
    chosen = np.zeros(len(x), np.intp)
    for fold in np.unique(folds):
        out, fit = folds == fold, folds != fold
        ridge = Ridge.fitted(x[fit], target.columns[fit], target.weight_among(fit))
        errors[:, out] = [_error(target, out, p) for p in ridge.predictions(x[out])]
        constant[out] = _constant(target, out, fit)
        chosen[out] = ridge.best
    if lenient:
        chosen[:] = np.argmin(errors.sum(axis=1))
    return HeldOut(errors[chosen, np.arange(len(x))], constant)


def _error(target: Target, out: NDArray[np.bool_], predicted: Floats) -> Floats:
    each: Floats = ((predicted - target.columns[out]) ** 2).sum(axis=1)
    if target.labels is not None:
        each = (predicted.argmax(axis=1) != target.labels[out]).astype(np.float64)
    return target.weight[out] * each


def _constant(target: Target, out: NDArray[np.bool_], fit: NDArray[np.bool_]) -> Floats:
    if target.labels is not None:
        chance: Floats = target.weight[out] * (1 - 1 / target.columns.shape[1])
        return chance
    return _error(target, out, np.broadcast_to(target.columns[fit].mean(axis=0), target.columns[out].shape))


@dataclass(frozen=True)
class Ridge:
    """Ridge regression with an intercept, at every one of ``PENALTIES`` times the weight of the samples.

    Attributes:
        loo: Weighted squared leave-one-out error at each penalty.
    """

    x_mean: Floats
    y_mean: Floats
    axes: Floats
    coefficients: list[Floats]
    loo: Floats

    @property
    def best(self) -> int:
        """The penalty with the least leave-one-out error."""
        return int(np.argmin(self.loo))

    @classmethod
    def fitted(cls, x: Floats, y: Floats, weight: Floats) -> Ridge:
        """From the eigenvectors of the Gram matrix, once for all penalties (Golub, Heath & Wahba 1979)."""
        total, root = float(weight.sum()), np.sqrt(weight)[:, None]
        x_mean, y_mean = weight @ x / total, weight @ y / total
        xs, ys = (x - x_mean) * root, (y - y_mean) * root
        size, axes = np.linalg.eigh(xs.T @ xs)
        turned = xs @ axes
        image, squares = turned.T @ ys, turned**2
        coefficients, loo = [], []
        for penalty in PENALTIES * total:
            shrunk = 1 / (size.clip(0) + penalty)
            coefficients.append(shrunk[:, None] * image)
            left = 1 - weight / total - squares @ shrunk
            loo.append(float((((ys - turned @ coefficients[-1]) / left.clip(1e-9)[:, None]) ** 2).sum()))
        return cls(x_mean, y_mean, axes, coefficients, np.asarray(loo))

    def predictions(self, x: Floats) -> list[Floats]:
        """Of new samples, at each penalty."""
        turned = (x - self.x_mean) @ self.axes
        return [turned @ one + self.y_mean for one in self.coefficients]


def recovered(raw: Floats, table: Floats, least: float = 0.95) -> bool:
    """Whether a linear map gives up to 64 columns of ``raw``, and its rows' means, back from ``table``.

    Judged on the last fifth of the rows, by the least R^2; False where the table is too wide for its rows to tell.
    """
    raw, x, every = finite(raw), standardised(finite(table)), max(1, raw.shape[1] // 64)
    y = standardised(np.concatenate([raw[:, ::every], raw.mean(axis=1, keepdims=True)], axis=1))
    cut = len(x) * 4 // 5
    if x.shape[1] > 0.7 * cut:
        return False
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    image = design[cut:] @ np.linalg.lstsq(design[:cut], y[:cut], rcond=1e-6)[0]
    left = ((y[cut:] - image) ** 2).sum(axis=0) / np.maximum(((y[cut:] - y[cut:].mean(axis=0)) ** 2).sum(axis=0), 1e-12)
    return bool((left <= 1 - least).all())
