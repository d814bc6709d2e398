"""Intervals of scores: of a share of hits in closed form, of any mean by resampling frames within their cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = 1.959964  # of a two-sided 95 % interval


def wilson(hits: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """95 % interval of a share of ``hits`` in ``n``, float64 [2, ...]; NaN where n is 0. Wilson 1927."""
    k, size = np.asarray(hits, np.float64), np.asarray(n, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share, weight = k / size, Z * Z / size
        middle = (share + weight / 2) / (1 + weight)
        half = Z / (1 + weight) * np.sqrt(share * (1 - share) / size + weight / (4 * size))
    return np.stack([middle - half, middle + half])


def mean_intervals(
    values: ArrayLike, strata: ArrayLike, *, draws: int = 1000, confidence: float = 0.95, seed: int = 0
) -> NDArray[np.float64]:
    """Percentile intervals of means of per-frame scores, float64 [scores, 2].

    Frames are drawn with replacement within each stratum, as the test set was made: the same number of frames of each
    cell. It is the spread of the evaluation alone; another seed of the training moves the score by more.
    Efron and Tibshirani 1993, chapter 13.

    Args:
        values: One row a score, one column a frame [scores, n]; NaN makes the interval NaN.
        strata: Stratum of each frame [n], whole numbers from 0.
        draws: Resamplings.
        confidence: Of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: Shapes that do not fit, or no frames.
    """
    scores, cell = np.atleast_2d(np.asarray(values, np.float64)), np.asarray(strata, np.int64)
    if cell.ndim != 1 or scores.shape[1] != cell.size or not cell.size:
        raise ValueError(f"expected scores [scores, n] and strata [n] with n > 0, got {scores.shape} and {cell.shape}")
    order = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell)
    sizes = sizes[sizes > 0]
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    width = np.repeat(sizes, sizes)
    held = scores[:, order]
    rng = np.random.default_rng(seed)
    means = np.empty((draws, len(scores)))
    for draw in means:
        draw[:] = held[:, starts + (rng.random(cell.size) * width).astype(np.int64)].mean(1)
    tails = (1 - confidence) / 2
    return np.quantile(means, [tails, 1 - tails], axis=0).T
