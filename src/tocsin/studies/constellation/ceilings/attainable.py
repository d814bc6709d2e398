"""What receivers that need no training make of test frames, by SNR: the broken lines beside a run's accuracy.

Only for several samples a symbol; at one a symbol the Bayes oracle of the image stands in the tables of the test. The
receivers look at few frames, for a matched filter costs more than the rest of an evaluation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tocsin.studies.constellation.ceilings import matched_filter
from tocsin.studies.constellation.ceilings.references import floor_classes
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.data.source import SPLITS, Source
from tocsin.studies.exports import Row

MOST = 2200  # frames: about 7 s of one CPU core, a standard error of at most 0.043 a level
FLOOR, FILTER, BOTH = (
    "SNR: spectral floor",
    "modulation: matched filter, told all but the symbols",
    "joint: both of these",
)


def by_snr(frames: Source) -> list[Row]:
    """Accuracy of each receiver at each SNR: rows of level, name, accuracy and number of frames.

    The matched filter is there for generated frames without fading and without GMSK.
    """
    if frames.data.samples_per_symbol == 1:
        return []
    per_cell = max(1, min(frames.data.test_per_cell, MOST // frames.cells))
    number = torch.arange(frames.cells * per_cell, device=frames.device)
    levels = len(frames.data.snr_db)
    cell = number % frames.cells
    modulation, snr, index = cell // levels, cell % levels, SPLITS["test"] + number // frames.cells
    right = {FLOOR: torch.cat([floor_classes(frames, *part) for part in _parts(modulation, snr, index)]) == snr}
    if isinstance(frames, Frames) and matched_filter.knows(frames.data):
        right[FILTER] = matched_filter.modulation_classes(frames, modulation, snr, index) == modulation
        right[BOTH] = right[FLOOR] & right[FILTER]
    return [
        {"snr": f"{db} dB", "name": name, "accuracy": float(hits[snr == k].double().mean()), "n": int((snr == k).sum())}
        for name, hits in right.items()
        for k, db in enumerate(frames.data.snr_db)
    ]


def _parts(*columns: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(torch.split(column, matched_filter.CHUNK) for column in columns), strict=True))
