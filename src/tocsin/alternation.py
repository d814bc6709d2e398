"""Accuracies that come back to the same few values: one class for every input, but not always the same class."""

from __future__ import annotations

import numpy as np

from tocsin.identities import fewest_samples
from tocsin.run import Floats, Series

FEWEST_SAMPLES = 30
_LEAP, _TURNED = 0.05, 10  # between two of them, as a share and in samples: no noise of a converged model
_MOST = 0.8  # share of the evaluations that the repeated values have to make up


def flips(value: Floats, error: float) -> bool:
    """Whether an accuracy takes two values, p and 1 - p, p no 1/2, each at least twice, in 4 of 5 evaluations."""
    seen, times = np.unique(value, return_counts=True)
    for i, (p, count) in enumerate(zip(seen, times, strict=True)):
        other = np.flatnonzero(np.abs(seen[i + 1 :] + p - 1) <= 2 * error + 1e-9) + i + 1
        for j in other:
            apart = p > 0 and seen[j] - p > 10 * error
            shared = count + times[j]
            enough = shared == value.size or (shared >= _MOST * value.size and value.size >= 6)
            if apart and min(count, times[j]) >= 2 and enough and _many(np.array([p, seen[j]]), error, value.size):
                return True
    return False


def _many(shares: Floats, error: float, count: int) -> bool:
    """Whether so many samples stand behind shares that luck repeats none: or so many evaluations."""
    return fewest_samples(shares, error) > 12 or count >= 10


def returns(value: Floats, error: float) -> bool:
    """Whether, of 8 evaluations and more, 4 in 5 give one of 2 or 3 values, each at least twice, in no lasting order.

    They are shares of classes: add up to 1 at most, and are far apart on more than 30 samples, or add up to just 1.
    """
    seen, times = np.unique(value, return_counts=True)
    kept = seen[times >= 2]
    if value.size < 8 or not 2 <= kept.size <= 3 or kept.sum() > 1 + kept.size * error:
        return False
    told = value[np.isin(value, kept)]
    fewest, leap = fewest_samples(kept, error), float(np.diff(kept).min())
    apart = leap >= _LEAP and fewest * leap >= _TURNED and fewest > FEWEST_SAMPLES
    whole = kept.size == 3 and leap > 10 * error and abs(float(kept.sum()) - 1) <= 3 * error + 1e-9
    moves = np.count_nonzero(np.diff(told))
    return bool(told.size >= _MOST * value.size and moves > kept.size and (apart or whole))


def stands_still(value: Floats, training: Series | None, settles: bool) -> bool:
    """Whether every one of 20 evaluations and more gives the same accuracy, and training is no better.

    Training scores below it throughout, varies, and ends where it began. A small set repeats its score by right while
    training rises to it and beyond; where training does not, nothing is being learned that could turn a sample. Where
    the loss ``settles`` at that of a constant 8 evaluations are enough, and training may score .03 more.
    """
    if training is None or min(value.size, len(training)) < (8 if settles else 20) or np.ptp(value):
        return False
    seen, most = training.value, float(value[-1]) + (0.03 if settles else 0)
    third = seen.size // 3
    before, after = float(np.median(seen[:third])), float(np.median(seen[-third:]))
    calm = after - before <= max(0.02, float(seen[:third].std()))
    return bool(0 < value[-1] < 0.98 and calm and np.ptp(seen) > 0 and np.quantile(seen, 0.95) < most)
