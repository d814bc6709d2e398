"""Scores of joint modulation and SNR predictions.

All are computed from class numbers and probabilities over the whole split at once, never averaged over batches. "Joint"
means that both are exactly right; it is not a mean of the two accuracies, harmonic or other.

Shapes: n frames, M modulations, S levels of the SNR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.studies.constellation.evaluation.calibration import expected_calibration_error
from tocsin.studies.constellation.evaluation.intervals import mean_intervals
from tocsin.studies.exports import Row

Classes = NDArray[np.int64]
Table = list[Row]


@dataclass(frozen=True)
class Predictions:
    """Targets and predictions of one split, each a class number of shape (n,); joint classes are modulation * S + snr.

    Attributes:
        levels: S.
        nll: Negative log-likelihood of both labels [nat], (n,); NaN where the answer has one.
        confidence: Probability of the predicted pair, (n,).
        attainable: The pair that the best known classifier of the same image answers, (n,); None where there is none.
    """

    modulation: Classes
    snr: Classes
    predicted_modulation: Classes
    predicted_snr: Classes
    predicted_joint: Classes
    nll: NDArray[np.float64]
    confidence: NDArray[np.float64]
    levels: int
    attainable: Classes | None = None

    @property
    def joint(self) -> Classes:
        """True pair, (n,)."""
        return np.asarray(self.modulation * self.levels + self.snr)

    @property
    def modulation_right(self) -> NDArray[np.bool_]:
        """Where the modulation is right, (n,)."""
        return np.asarray(self.modulation == self.predicted_modulation)

    @property
    def snr_right(self) -> NDArray[np.bool_]:
        """Where the SNR class is exactly right, (n,)."""
        return np.asarray(self.snr == self.predicted_snr)

    @property
    def joint_right(self) -> NDArray[np.bool_]:
        """Where the answer to both is right, (n,)."""
        return np.asarray(self.joint == self.predicted_joint)

    @property
    def attainable_right(self) -> NDArray[np.bool_] | None:
        """Where the best known classifier of the image is right, (n,)."""
        return None if self.attainable is None else np.asarray(self.attainable == self.joint)


def scores(p: Predictions, snr_db: Sequence[int]) -> dict[str, float]:
    """Accuracies, likelihood, calibration, SNR errors and the attractor index.

    The attractor index is the largest share of the predictions that one SNR class takes, times the number of classes:
    1 when all are predicted alike, the number of classes when one takes all.
    """
    levels = np.asarray(snr_db, dtype=np.float64)
    predicted = np.bincount(p.predicted_snr, minlength=levels.size)
    return {
        "joint_accuracy": float(p.joint_right.mean()),
        "modulation_accuracy": float(p.modulation_right.mean()),
        "snr_accuracy": float(p.snr_right.mean()),
        "snr_within_one_bin_frac": float((np.abs(p.snr - p.predicted_snr) <= 1).mean()),
        "snr_mae_db": float(np.abs(levels[p.snr] - levels[p.predicted_snr]).mean()),
        "joint_nll": float(p.nll.mean()),
        "joint_calibration_error": _calibration_error(p),
        "attractor_index": float(predicted.max() / predicted.sum() * levels.size),
        "attractor_snr_db": float(levels[predicted.argmax()]),
        **_beside(p),
    }


def _calibration_error(p: Predictions) -> float:
    finite = np.isfinite(p.confidence)
    return expected_calibration_error(np.clip(p.confidence[finite], 0, 1), p.joint_right[finite])


def _beside(p: Predictions) -> dict[str, float]:
    right = p.attainable_right
    if right is None:
        return {}
    return {"oracle_joint_accuracy": float(right.mean()), "oracle_gap": float(right.mean() - p.joint_right.mean())}


def intervals(p: Predictions) -> dict[str, float]:
    """95 % bootstrap intervals of the accuracies, frames drawn anew within each pair of classes."""
    rows = {"joint": p.joint_right, "modulation": p.modulation_right, "snr": p.snr_right}
    ends = mean_intervals(np.stack([*rows.values()]), p.joint)
    return {
        f"{name}_accuracy_{end}": float(value)
        for name, pair in zip(rows, ends, strict=True)
        for end, value in zip(("low", "high"), pair, strict=True)
    }


def tables(p: Predictions, modulations: Sequence[str], snr_db: Sequence[int]) -> dict[str, Table]:
    """Scores by modulation, by SNR and by pair, and the counts of both confusion matrices (cells above 0)."""
    levels = [f"{db} dB" for db in snr_db]
    made = {
        "by_modulation": _by_class(p, p.modulation, p.predicted_modulation, modulations, snr_db),
        "by_snr": _by_class(p, p.snr, p.predicted_snr, levels, snr_db),
        "confusion_modulation": _confusion(p.modulation, p.predicted_modulation, modulations),
        "confusion_snr": _confusion(p.snr, p.predicted_snr, levels),
    }
    return {**made, "by_pair": _by_pair(p, modulations, levels)}


def _by_class(
    p: Predictions, target: Classes, predicted: Classes, names: Sequence[str], snr_db: Sequence[int]
) -> Table:
    """Support, accuracies, SNR error, and precision and F1 of the task whose classes these are."""
    levels = np.asarray(snr_db, dtype=np.float64)
    error = np.abs(levels[p.snr] - levels[p.predicted_snr])

    def row(k: int, name: str) -> Row:
        inside, called = target == k, predicted == k
        hits, support = float((inside & called).sum()), float(inside.sum())
        right = {"modulation": p.modulation_right, "snr": p.snr_right, "joint": p.joint_right}
        return {
            "class": name,
            "n": int(support),
            **{f"{task}_accuracy": _mean(hit[inside]) for task, hit in right.items()},
            "precision": hits / called.sum() if called.any() else float("nan"),
            "f1": 2 * hits / (support + called.sum()) if support + called.sum() else float("nan"),
            "snr_mae_db": _mean(error[inside]),
        }

    return [row(k, name) for k, name in enumerate(names)]


def _confusion(target: Classes, predicted: Classes, names: Sequence[str]) -> Table:
    counts = confusion(target, predicted, len(names))
    return [
        {"target": names[a], "predicted": names[b], "n": int(counts[a, b])} for a, b in np.argwhere(counts > 0).tolist()
    ]


def _by_pair(p: Predictions, modulations: Sequence[str], levels: Sequence[str]) -> Table:
    """Joint accuracy of each pair of classes, and that of the best known classifier of the image."""
    rows: Table = []
    for a, modulation in enumerate(modulations):
        for b, level in enumerate(levels):
            inside = (p.modulation == a) & (p.snr == b)
            mine, best = _mean(p.joint_right[inside]), p.attainable_right
            row: Row = {"modulation": modulation, "snr": level, "n": int(inside.sum()), "joint_accuracy": mine}
            if best is not None:
                row |= {"oracle_joint_accuracy": _mean(best[inside]), "oracle_gap": _mean(best[inside]) - mine}
            rows.append(row)
    return rows


def confusion(target: Classes, predicted: Classes, classes: int) -> NDArray[np.int64]:
    """Counts [K, K] of true (rows) and predicted (columns) classes."""
    return np.bincount(target * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if values.size else float("nan")
