"""What an oversampled frame holds, by ready-made classifiers: SNR by the spectral floor, both by pictures and features.

Counts of a layer are judged by naive Bayes, a table of P(cell | class) from training frames: less than a network makes
of them, and without training it. Features are judged by the neighbours of a frame and by a linear discriminant.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.data.generated import SPLITS, Frames
from tocsin.studies.constellation.view.features import spectral_floor
from tocsin.studies.constellation.view.representation import Batch

DATA = Data(scenario="oversampled", modulations="digital-17")
TRAIN, TEST = 40, 15  # frames of each (modulation, SNR) pair
HIGH = 11  # classes from 22 dB
FLOOR_GOAL = 0.985
LAYERS = {
    "samples": View(bins=32),
    "instants": View(bins=32, layers=("instants",)),
    "differences": View(bins=32, layers=("lags",)),
    "second differences": View(bins=32, layers=("lags",), differences=2),
}

Row = dict[str, float | str]


def rows() -> list[Row]:
    """Accuracies of each source, and those of the spectral floor by SNR."""
    floor, by_snr, predicted = _floor()
    features = View(bins=16, scalars=("spectral_floor", "cumulants", "m2m4"))
    train, test = _frames(features, "train", TRAIN), _frames(features, "test", TEST)
    neighbours = _fitted(lambda: KNeighborsClassifier(15, weights="distance"), train, test)
    linear = _fitted(LinearDiscriminantAnalysis, train, test)
    found = [floor, {"source": "all features, 15 neighbours", **neighbours}, {"source": "all features, LDA", **linear}]
    for name, view in LAYERS.items():
        train, test = _frames(view, "train", TRAIN), _frames(view, "test", TEST)
        found.append({"source": f"{name}, naive Bayes", **_naive_bayes(train, test, None)})
        if name == "instants":
            found.append({"source": "instants at the floor's SNR", **_naive_bayes(train, test, predicted)})
    return found + by_snr


def _frames(view: View, split: str, each: int) -> Batch:
    frames = Frames(DATA, view=view)
    cell = torch.arange(frames.cells).repeat(each)
    return frames.batch(cell, SPLITS[split] + torch.arange(each).repeat_interleave(frames.cells))


def _floor() -> tuple[Row, list[Row], Tensor]:
    """Accuracy over all and by SNR, and the classes found, in the order of ``_frames`` of the test split."""
    frames, levels = Frames(DATA), torch.tensor(DATA.snr_db)
    cell = torch.arange(frames.cells).repeat(TEST)
    index = SPLITS["test"] + torch.arange(TEST).repeat_interleave(frames.cells)
    snr = cell % len(levels)
    db = spectral_floor(frames.iq(cell // len(levels), snr, index), 8)
    predicted = (db[:, None] - levels).abs().argmin(1)
    error = (db - levels[snr]).numpy()
    right = (predicted == snr).double().numpy()
    each = [
        {"source": f"spectral floor at {level} dB", "snr": right[at].mean(), "bias_db": float(error[at].mean()),
         "sd_db": float(error[at].std())}
        for k, level in enumerate(DATA.snr_db) for at in [(snr == k).numpy()]
    ]  # fmt: skip
    overall = {"source": "spectral floor", "snr": right.mean(), "snr 22-30": right[snr.numpy() >= HIGH].mean()}
    return overall, each, predicted


def _fitted(make: Callable[[], object], train: Batch, test: Batch) -> Row:
    """A classifier of scikit-learn for each task."""
    x, y = train.scalars.numpy(), test.scalars.numpy()
    answers = [make().fit(x, getattr(train, task).numpy()).predict(y) for task in ("modulation", "snr")]
    return _accuracies(*answers, test)


def _naive_bayes(train: Batch, test: Batch, snr: Tensor | None) -> Row:
    """Both tasks by the counts; the modulation at the SNR classes [B] that are known, if they are."""
    levels = len(DATA.snr_db)
    table = torch.zeros(len(DATA.modulations) * levels, train.counts[0].numel())
    table.index_add_(0, train.modulation * levels + train.snr, train.counts.flatten(1).float())
    log_p = ((table + 0.05) / (table + 0.05).sum(1, keepdim=True)).log()
    joint = (test.counts.flatten(1).float() @ log_p.T).view(len(test.snr), -1, levels)
    answers = [joint.logsumexp(2).argmax(1), joint.logsumexp(1).argmax(1)]
    if snr is not None:
        answers = [joint.gather(2, snr[:, None, None].expand(-1, joint.shape[1], 1))[..., 0].argmax(1), snr]
    return _accuracies(*(a.numpy() for a in answers), test)


def _accuracies(modulation: np.ndarray, snr: np.ndarray, test: Batch) -> Row:
    right_modulation, right = modulation == test.modulation.numpy(), snr == test.snr.numpy()
    return {
        "modulation": float(right_modulation.mean()),
        "snr": float(right.mean()),
        "both": float((right_modulation & right).mean()),
        "snr 22-30": float(right[test.snr.numpy() >= HIGH].mean()),
    }


def table(found: list[Row]) -> str:
    """One line each."""
    names = ("modulation", "snr", "both", "snr 22-30", "bias_db", "sd_db")
    lines = [f"{'source':32}" + "".join(f"{name:>12}" for name in names)]
    for row in found:
        cells = [f"{row[name]:12.3f}" if name in row else " " * 11 + "-" for name in names]
        lines.append(f"{row['source']:32}" + "".join(cells))
    return "\n".join(lines)


def missed(found: list[Row]) -> list[str]:
    """The spectral floor is the one part with a known answer."""
    share = float(found[0]["snr"])
    return [f"spectral floor {share:.3f} of {FLOOR_GOAL}"] if share < FLOOR_GOAL else []
