"""Whether a probability means what it says: the expected calibration error of top-class confidences."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> NDArray[np.float64]:
    """Counts, mean confidence and share of hits in equal parts of [0, 1], float64 [3, bins]; the means NaN where empty.

    Args:
        confidence: Probability of the predicted class [n], in [0, 1].
        right: Whether it was right [n].
        bins: Number of parts; a part is open on its left and closed on its right, the first one takes 0 too.

    Raises:
        ValueError: Other lengths, or a confidence outside [0, 1] or NaN.
    """
    p, hit = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if p.shape != hit.shape or p.ndim != 1:
        raise ValueError(f"expected two lists of one length, got shapes {p.shape} and {hit.shape}")
    if not np.all((p >= 0) & (p <= 1 + 1e-6)):
        raise ValueError("expected confidences in [0, 1]")
    place = np.clip(np.ceil(p * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, weights, bins) / counts for weights in (p, hit)]
    return np.stack([counts, *means])


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Mean distance of confidence and share of hits over the bins, weighted by their counts; NaN without samples.

    Naeini, Cooper and Hauskrecht 2015, Obtaining well calibrated probabilities using Bayesian binning. It is biased
    upwards by sqrt(bins / n): compare runs on samples of one size.
    """
    counts, said, true = reliability(confidence, right, bins)
    if not counts.sum():
        return float("nan")
    filled = counts > 0
    return float((counts * np.abs(said - true))[filled].sum() / counts.sum())
