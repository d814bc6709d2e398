"""A curriculum over the SNR: the first epochs are sampled from the highest levels, later ones from all.

An epoch has as many frames with it as without. How many of each level is settled by arithmetic, not drawn; the order is
a function of (seed, epoch) alone, so a resumed run goes on exactly. No frame is ever sampled twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies.constellation.config.objective import Curriculum
from tocsin.studies.constellation.signal import random_bits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def snr_weights(settings: Curriculum, epoch: int, epochs: int, snr_db: Sequence[int]) -> Floats:
    """Sampling weight of each SNR level in an epoch (from 1), summing to 1, shape (S,).

    The share of levels in use grows linearly from ``start_frac`` at the first epoch to 1 after ``ramp_frac`` of all
    epochs. Levels come in by falling SNR, the newest one with the fraction of it that is in use. Platanios et al. 2019,
    Competence-based curriculum learning.
    """
    grown = min(1.0, (epoch - 1) / (settings.ramp_frac * epochs))
    in_use = (settings.start_frac + (1 - settings.start_frac) * grown) * len(snr_db)
    rank = np.argsort(np.argsort(-np.asarray(snr_db)))  # 0: the highest SNR
    weights = np.clip(max(in_use, 1.0) - rank, 0.0, 1.0)
    return np.asarray(weights / weights.sum())


def quotas(weights: Floats, total: int) -> Ints:
    """Whole numbers in proportion to the weights that sum to ``total`` (largest remainders, the first one of a tie)."""
    exact = weights * total
    counts = np.floor(exact + 1e-9).astype(np.int64)  # what float arithmetic left just below a whole number is one
    rest = np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]
    counts[rest] += 1
    return counts


class Sampler:
    """Which training frames an epoch is made of.

    Args:
        settings: How fast the levels come in.
        epochs: Epochs in all.
        snr_db: SNR of each class.
        modulations: Number of modulations; every one has the same number of frames of a level.
        per_cell: Frames of each (modulation, SNR) pair in an epoch without a curriculum.
    """

    def __init__(
        self, settings: Curriculum, epochs: int, snr_db: Sequence[int], modulations: int, per_cell: int
    ) -> None:
        self.settings, self.epochs, self.snr_db = settings, epochs, tuple(snr_db)
        self.modulations, self.per_cell = modulations, per_cell

    def of_levels(self, epoch: int) -> Ints:
        """Frames of each SNR level and modulation in an epoch (from 1), shape (S,)."""
        weights = snr_weights(self.settings, epoch, self.epochs, self.snr_db)
        return quotas(weights, self.per_cell * len(self.snr_db))

    def frames(self, epoch: int, seed: int) -> tuple[Tensor, Tensor]:
        """Cells (modulation * S + SNR) and frame numbers from 0 of an epoch, in its order, int64 (n,) each."""
        levels = len(self.snr_db)
        snr = torch.repeat_interleave(torch.arange(levels), torch.from_numpy(self.of_levels(epoch)))
        number = torch.cat([torch.arange(n) for n in self.of_levels(epoch).tolist()]) + self._before(epoch)[snr]
        cell = (torch.arange(self.modulations)[:, None] * levels + snr).reshape(-1)
        order = torch.randperm(len(cell), generator=_generator(seed, epoch))
        return cell[order], number.repeat(self.modulations)[order]

    def _before(self, epoch: int) -> Tensor:
        """Frames of each level and modulation that earlier epochs used, shape (S,)."""
        earlier = [self.of_levels(e) for e in range(1, epoch)]
        return torch.from_numpy(np.sum(earlier, axis=0) if earlier else np.zeros(len(self.snr_db), np.int64))


def _generator(seed: int, epoch: int) -> torch.Generator:
    number = int(random_bits.key(seed, torch.tensor([epoch])).item())
    return torch.Generator().manual_seed(number & ((1 << 63) - 1))
