"""Interval of a mean over the first batches."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tocsin import stats

FEWEST = 3  # batches: of fewer an interval says nothing


def batch_interval(x: NDArray[np.float64], confidence: float = 0.95) -> stats.Interval:
    """Student interval of a mean over batches at the same weights; NaN below 2.

    Not widened for autocorrelation: nothing was learned between two batches, and from eight values it cannot be told.
    """
    if x.size < 2:
        return stats.NAN
    half = stats.t_of(confidence, x.size - 1) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return float(x.mean()) - half, float(x.mean()) + half


def seen_interval(values: ArrayLike) -> stats.Interval:
    """The 95 % interval of a mean over batches; of fewer than ``FEWEST`` least and largest value, NaN of none."""
    x = np.asarray(values, np.float64)
    if x.size >= FEWEST:
        return batch_interval(x)
    return (float(x.min()), float(x.max())) if x.size else stats.NAN
