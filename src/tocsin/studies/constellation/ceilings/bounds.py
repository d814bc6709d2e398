"""How well any estimator can know the SNR of a frame: Cramer-Rao bounds, and the class accuracy that they allow.

Model: N samples y = a s + n with symbols s of a known constellation, amplitude a, complex white noise of power v; both
unknown, phase and timing known. SNR = a^2 / v. The bounds are for unbiased estimators; a classifier that knows the
possible levels can do better near the ends of their range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tocsin.studies.constellation.signal.modulation import constellation

_DB = 10 / math.log(10)


def data_aided_sd_db(snr_db: float, samples: int) -> float:
    """Least standard deviation [dB] where the symbols are known: (10 / ln 10) sqrt((1 + 2 / SNR) / N).

    From the Fisher information of (a, v): 2 N / v and N / v^2, without a cross term (Alagha 2001).
    """
    return _DB * math.sqrt((1 + 2 * 10 ** (-snr_db / 10)) / samples)


def blind_sd_db(modulation: str, snr_db: float, samples: int, *, draws: int = 20_000, seed: int = 0) -> float:
    """Least standard deviation [dB] where the symbols are unknown, by Monte Carlo over ``draws`` samples.

    The Fisher information is the mean outer product of the score of the mixture density over all symbols; it has no
    closed form but for BPSK and QPSK (Alagha 2001). Its own error is about 1 / sqrt(draws).
    """
    rng = np.random.default_rng(seed)
    points, v = constellation(modulation), 10 ** (-snr_db / 10)
    noise = rng.normal(size=(2, draws)) * math.sqrt(v / 2)
    y: NDArray[np.complex128] = rng.choice(points, draws) + noise[0] + 1j * noise[1]
    scores = np.concatenate([_score(part, points, v) for part in np.array_split(y, -(-draws // 1000))])
    information = scores.T @ scores / draws * samples
    slope = np.array([2.0, -1 / v])  # of ln SNR in (a, v), at a = 1
    return _DB * math.sqrt(float(slope @ np.linalg.solve(information, slope)))


def _score(y: NDArray[np.complex128], points: NDArray[np.complex128], v: float) -> NDArray[np.float64]:
    """Gradient of the log-density of each sample in (a, v) at a = 1, [n, 2]."""
    error = y[:, None] - points[None, :]
    power = np.abs(error) ** 2
    weight = np.exp(-(power - power.min(1, keepdims=True)) / v)
    weight /= weight.sum(1, keepdims=True)
    of_a = 2 * (error * points.conj()[None, :]).real / v
    of_v = power / v**2 - 1 / v
    return np.stack([(weight * of_a).sum(1), (weight * of_v).sum(1)], 1)


def class_accuracy(sd_db: Sequence[float], snr_db: Sequence[float]) -> NDArray[np.float64]:
    """Share of frames of each level whose estimate, normal about the truth, lies nearest to it, [levels].

    Args:
        sd_db: Standard deviation of the estimate at each level [dB].
        snr_db: The levels, increasing [dB].

    Raises:
        ValueError: Levels that do not increase, or another number of deviations.
    """
    levels, sd = np.asarray(snr_db, np.float64), np.asarray(sd_db, np.float64)
    if levels.shape != sd.shape or np.any(np.diff(levels) <= 0):
        raise ValueError(f"expected increasing levels and one deviation each, got {levels.shape} and {sd.shape}")
    half = np.diff(levels) / 2
    below = np.concatenate([[np.inf], half]) / sd
    above = np.concatenate([half, [np.inf]]) / sd
    return np.array([1 - _tail(b) - _tail(a) for b, a in zip(below, above, strict=True)])


def _tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
