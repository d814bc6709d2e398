"""Which recorded frames are trained on: by a hash of what a frame is, never by its place in a listing.

The frames of each (modulation, SNR) cell are ordered by hash (seed, name, SNR in dB, number) and cut into parts: each
part has the same number of frames of every cell, another list of classes leaves the cells that remain as they were,
and no machine or order of files can change who is in which part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tocsin.studies.constellation.signal import random_bits
from tocsin.studies.study import StudyError

PARTS = ("train", "val", "test")
FORMAT = 1


@dataclass(frozen=True)
class Split:
    """Frame numbers within each cell, by part.

    Attributes:
        frames: For each of ``PARTS`` the numbers of its frames, int64 [cells, n], cell = modulation * SNRs + SNR.
        manifest: What the split is, with a hash of each part: plain data, to be kept beside every checkpoint.
    """

    frames: Mapping[str, NDArray[np.int64]]
    manifest: dict[str, Any]


def split(
    modulations: Sequence[str], snr_db: Sequence[int], per_cell: int, *, fractions: Sequence[float], seed: int
) -> Split:
    """Cut ``per_cell`` frames of every cell into training, validation and test part.

    Args:
        modulations: Names of the classes, in class order.
        snr_db: Levels [dB], in class order.
        per_cell: Frames of each cell.
        fractions: Of the three parts; they sum to 1 at most, and what is left over is in no part.
        seed: Of the split.

    Raises:
        StudyError: Fractions that are no shares, or a part that would be empty.
    """
    if len(fractions) != len(PARTS) or min(fractions) <= 0 or sum(fractions) > 1 + 1e-9:
        raise StudyError(f"split: expected three shares above 0 that sum to 1 at most, got {tuple(fractions)}")
    ends = np.floor(np.cumsum(fractions) * per_cell + 1e-6).astype(int)
    if ends[0] < 1 or np.any(np.diff(ends) < 1):
        raise StudyError(f"split: {per_cell} frames a cell are too few for the shares {tuple(fractions)}")
    order = np.stack([_order(name, db, per_cell, seed) for name in modulations for db in snr_db])
    frames = {name: order[:, a:b] for name, a, b in zip(PARTS, (0, *ends), ends, strict=False)}
    described = {
        "format": FORMAT, "seed": seed, "fractions": [float(f) for f in fractions], "frames_per_cell": per_cell,
        "modulations": list(modulations), "snr_db": [int(db) for db in snr_db],
    }  # fmt: skip
    hashes = {name: _digest(part, modulations, snr_db) for name, part in frames.items()}
    return Split(frames, {**described, "sha256": hashes})


def _order(name: str, snr_db: int, frames: int, seed: int) -> NDArray[np.int64]:
    """Frame numbers of a cell in the order of their hashes."""
    named = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    numbers = torch.arange(frames)
    keys = random_bits.key(seed, torch.full_like(numbers, named), torch.full_like(numbers, int(snr_db)), numbers)
    return np.argsort(keys.numpy(), kind="stable").astype(np.int64)


def _digest(part: NDArray[np.int64], modulations: Sequence[str], snr_db: Sequence[int]) -> str:
    """Of the identities of a part's frames, whatever the order of classes."""
    cells = [(name, int(db)) for name in modulations for db in snr_db]
    digest = hashlib.sha256()
    for cell, row in sorted(zip(cells, np.sort(part), strict=True), key=lambda pair: pair[0]):
        digest.update(repr(cell).encode() + row.astype("<i8").tobytes())
    return digest.hexdigest()
