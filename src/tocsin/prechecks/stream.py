"""How alike the labels within a batch are, and those of neighbouring batches, against batches drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
LEAST_BLOCKS = 5
LEAST_SAMPLES = 8  # of a block: fewer have no composition
MOST_COLUMNS = 32
FEW_VALUES = 20
PERMUTATIONS = 199


@dataclass(frozen=True)
class Stream:
    """Labels along the stream, in blocks of as many samples as an optimizer step sees.

    Attributes:
        likeness: Share of the variance of the labels between blocks (intraclass correlation, Shrout and Fleiss 1979,
            case 1); about 0 in random order, 1 where each block has one label.
        likeness_p: Its p value against random orders of the samples.
        lag: Lag-1 autocorrelation of the blocks' means.
        lag_p: Its p value against random orders of the blocks.
        blocks: How many.
        size: Samples of a block.
    """

    likeness: float
    likeness_p: float
    lag: float
    lag_p: float
    blocks: int
    size: int


def as_columns(target: Tensor) -> tuple[Floats, bool] | None:
    """One column a class or a value, and whether they are classes; None for targets with an order of their own."""
    flat = target.reshape(len(target), -1)
    if target.dim() > 2 or not 1 <= flat.shape[1] <= MOST_COLUMNS:
        return None
    values = flat.double().numpy()
    if not np.isfinite(values).all():
        return None
    if flat.shape[1] > 1:
        return values, False
    kinds, which = np.unique(values, return_inverse=True)
    whole = bool(np.all(kinds == np.round(kinds)))
    if not whole or (target.is_floating_point() and len(kinds) > FEW_VALUES):
        return _ranks(values), False
    return _coded(len(kinds))[which.reshape(-1)], True


def _coded(classes: int) -> Floats:
    """A column a class; random signs where there are many, which keep the shares of variance on average."""
    if classes <= MOST_COLUMNS:
        return np.eye(classes)
    return np.random.default_rng(0).choice([-1.0, 1.0], (classes, MOST_COLUMNS))


def _ranks(values: Floats) -> Floats:
    """Ranks in place of values: one outlier must not be the variance."""
    return np.argsort(np.argsort(values, axis=0), axis=0).astype(np.float64)


def stream(labels: Floats, batch: NDArray[np.int64], accumulate: int = 1, seed: int = 0) -> Stream | None:
    """``Stream`` of label columns [n, K]; None with fewer than ``LEAST_BLOCKS`` blocks, or where no label differs."""
    size = int(np.median(np.bincount(batch))) * accumulate
    size *= -(-LEAST_SAMPLES // size)
    blocks = len(labels) // size
    used = labels[: blocks * size]
    if blocks < LEAST_BLOCKS or not np.ptp(used, axis=0).any():
        return None
    rng = np.random.default_rng(seed)
    means = _means(used, size)
    spread = _between(means)
    others = [_between(_means(used[rng.permutation(len(used))], size)) for _ in range(PERMUTATIONS)]
    lag = _lag(means)
    lags = [_lag(means[rng.permutation(blocks)]) for _ in range(PERMUTATIONS)]
    return Stream(_likeness(used, spread, size, blocks), _p(spread, others), lag, _p(lag, lags), blocks, size)


def _means(labels: Floats, size: int) -> Floats:
    means: Floats = labels.reshape(-1, size, labels.shape[1]).mean(axis=1)
    return means


def _between(means: Floats) -> float:
    return float(((means - means.mean(axis=0)) ** 2).sum())


def _likeness(labels: Floats, spread: float, size: int, blocks: int) -> float:
    total = float(((labels - labels.mean(axis=0)) ** 2).sum())
    between = size * spread / (blocks - 1)
    within = (total - size * spread) / (blocks * (size - 1))
    return (between - within) / (between + (size - 1) * within)


def _lag(means: Floats) -> float:
    d = means - means.mean(axis=0)
    total = float((d**2).sum())
    return float((d[1:] * d[:-1]).sum()) / total if total > 1e-12 * d.size else 0.0


def _p(value: float, others: list[float]) -> float:
    return (1 + sum(other >= value * (1 - 1e-12) for other in others)) / (1 + len(others))
