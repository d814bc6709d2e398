"""What is attainable on the test frames of the arms, with no training: beside every table of what was trained.

Shares of the same frames that the arms are scored on.
"""

from __future__ import annotations

import numpy as np
import torch
from arms import ARMS

from tocsin.studies import load
from tocsin.studies.constellation.ceilings import bounds
from tocsin.studies.constellation.ceilings.baselines import naive_bayes
from tocsin.studies.constellation.ceilings.matched_filter import modulation_classes
from tocsin.studies.constellation.ceilings.oracle import Oracle
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.view.features import spectral_floor

ORACLE = "Bayes oracle of the image"
SCORED = 128
DRAWS = 4000  # of the information of unknown symbols, an error of 2 % of the deviation

Row = dict[str, float | str]


def rows() -> dict[str, list[Row]]:
    """Accuracies by table: of classifiers on the test split, and what bounds of estimators allow."""
    return {"synchronous": _synchronous(), "oversampled": _oversampled()}


def _frames(name: str) -> Frames:
    config = load("constellation").configure("quick", None, dict(ARMS[name].settings))
    return Frames(config.data, view=config.view)


def _synchronous() -> list[Row]:
    frames = _frames("synchronous")
    levels = frames.data.snr_db
    oracle = Oracle(frames.data, frames.view)
    blind = [
        bounds.class_accuracy([bounds.blind_sd_db(m, db, frames.data.samples, draws=DRAWS) for db in levels], levels)
        for m in frames.data.modulations
    ]
    answers = [
        (b.modulation * len(levels) + b.snr, oracle.predict(b.counts[:, 0])) for b in frames.held_out("test", SCORED)
    ]
    return [
        {"ceiling": ORACLE, **_pairs(*_columns(answers), len(levels))},
        {"ceiling": "Cramér-Rao bound, symbols unknown, modulation known", "snr": float(np.mean(blind))},
        _data_aided(frames),
    ]  # fmt: skip


def _oversampled() -> list[Row]:
    frames = _frames("features")
    count, naive = len(frames.data.snr_db), naive_bayes(frames)
    images = [(b.modulation * count + b.snr, naive.predict(b.counts[:, 0])) for b in frames.held_out("test", SCORED)]
    parts = [_receivers(frames, *part) for part in frames.numbers("test", SCORED)]
    target, answer = _columns(parts)
    both = _pairs(target, answer, count)
    return [
        {"ceiling": "matched filter at the true instants, told the SNR", "modulation": both["modulation"]},
        {"ceiling": "spectral floor", "snr": both["snr"], "snr_high": both["snr_high"]},
        {"ceiling": "both of these", "joint": both["joint"]},
        _data_aided(frames),
        {"ceiling": "naive Bayes of the image", **_pairs(*_columns(images), count)},
    ]


def _receivers(
    frames: Frames, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs [B], and what matched filter and spectral floor make of them [B]."""
    levels = torch.tensor(frames.data.snr_db)
    floor = spectral_floor(frames.iq(modulation, snr, index), frames.data.samples_per_symbol)
    found = (floor[:, None] - levels).abs().argmin(1)
    return modulation * len(levels) + snr, modulation_classes(frames, modulation, snr, index) * len(levels) + found


def _columns(parts: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    target, answer = (torch.cat(column) for column in zip(*parts, strict=True))
    return target, answer


def _pairs(target: torch.Tensor, answer: torch.Tensor, count: int) -> dict[str, float]:
    """Shares that are right, of joint classes [n] = modulation * count + SNR; ``snr_high`` from 22 dB of 0 to 30."""
    snr_right = target % count == answer % count
    right: dict[str, torch.Tensor] = {
        "joint": target == answer,
        "modulation": target // count == answer // count,
        "snr": snr_right,
        "snr_high": snr_right[target % count >= 11],
    }
    return {name: float(hits.double().mean()) for name, hits in right.items()}


def _data_aided(frames: Frames) -> Row:
    levels = frames.data.snr_db
    sd = [bounds.data_aided_sd_db(db, frames.data.samples) for db in levels]
    return {"ceiling": "Cramér-Rao bound, symbols known", "snr": float(bounds.class_accuracy(sd, levels).mean())}
