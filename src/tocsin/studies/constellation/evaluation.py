"""Scores of joint modulation and SNR predictions.

All are computed from class numbers over the whole split at once, never averaged over batches. "Joint" means that both
are exactly right; it is not a mean of the two accuracies, harmonic or other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64]
Table = list[dict[str, float | str]]


@dataclass(frozen=True)
class Predictions:
    """Targets and predictions of one split, each a class number of shape (n,)."""

    modulation: Classes
    snr: Classes
    predicted_modulation: Classes
    predicted_snr: Classes

    @property
    def modulation_right(self) -> NDArray[np.bool_]:
        """Where the modulation is right, shape (n,)."""
        return np.asarray(self.modulation == self.predicted_modulation)

    @property
    def snr_right(self) -> NDArray[np.bool_]:
        """Where the SNR class is exactly right, shape (n,)."""
        return np.asarray(self.snr == self.predicted_snr)


def scores(p: Predictions, snr_db: Sequence[int]) -> dict[str, float]:
    """Accuracies, SNR errors and the attractor index.

    The attractor index is the largest share of the predictions that one SNR class takes, times the number of classes:
    1 when all are predicted alike, the number of classes when one takes all.
    """
    levels = np.asarray(snr_db, dtype=np.float64)
    predicted = np.bincount(p.predicted_snr, minlength=levels.size)
    return {
        "joint_accuracy": float((p.modulation_right & p.snr_right).mean()),
        "modulation_accuracy": float(p.modulation_right.mean()),
        "snr_accuracy": float(p.snr_right.mean()),
        "snr_within_one_bin_frac": float((np.abs(p.snr - p.predicted_snr) <= 1).mean()),
        "snr_mae_db": float(np.abs(levels[p.snr] - levels[p.predicted_snr]).mean()),
        "attractor_index": float(predicted.max() / predicted.sum() * levels.size),
        "attractor_snr_db": float(levels[predicted.argmax()]),
    }


def tables(p: Predictions, modulations: Sequence[str], snr_db: Sequence[int]) -> dict[str, Table]:
    """One table by modulation and one by SNR: support, accuracies and SNR error of each class."""
    levels = np.asarray(snr_db, dtype=np.float64)
    error = np.abs(levels[p.snr] - levels[p.predicted_snr])

    def row(label: str, inside: NDArray[np.bool_]) -> dict[str, float | str]:
        right = {"modulation": p.modulation_right, "snr": p.snr_right, "joint": p.modulation_right & p.snr_right}
        accuracies = {f"{name}_accuracy": _mean(hit[inside]) for name, hit in right.items()}
        return {"class": label, "n": int(inside.sum()), **accuracies, "snr_mae_db": _mean(error[inside])}

    return {
        "by_modulation": [row(name, p.modulation == k) for k, name in enumerate(modulations)],
        "by_snr": [row(f"{db} dB", p.snr == k) for k, db in enumerate(snr_db)],
    }


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if values.size else float("nan")
