"""What is attainable on an image, with no training or next to none: the Bayes classifier of its counts.

At one sample a symbol the samples of a frame are independent, so the log-likelihood of a class is linear in the counts
of the image: sum over cells of count * log P(cell | modulation, SNR), where P is a mixture, over the symbols, of
products of two Gaussian cell probabilities. ``oracle`` makes the best classifier of it.

Of oversampled frames P is counted from training frames instead, and the classifier is naive: samples that overlap in a
pulse are not independent.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies.constellation.data.source import SPLITS, Source
from tocsin.studies.constellation.signal.modulation import Points

LEAST = 1e-12  # a cell of probability 0 would veto a class for one stray sample
NAIVE_FRAMES = 8  # of each pair of classes: 2 million samples of 272 pairs in 4096 cells


def cell_probabilities(points: Points, snr_db: float, bins: int, extent: float, scale: float) -> NDArray[np.float64]:
    """P(cell | modulation, SNR) [bins, bins], I along the rows; samples out of range belong to the border cells.

    Args:
        points: Symbols of unit mean power [order].
        snr_db: SNR of a sample [dB].
        bins: Cells a side.
        extent: The image spans [-extent, extent].
        scale: What frames are divided by.
    """
    noise = 10.0 ** (-snr_db / 10)
    edges = np.linspace(-extent, extent, bins + 1) * scale
    edges[0], edges[-1] = -np.inf, np.inf
    z_i, z_q = ((edges[None, :] - part[:, None]) / math.sqrt(noise) for part in (points.real, points.imag))
    p_i, p_q = (np.diff(torch.special.erf(torch.from_numpy(z)).numpy() / 2, axis=1) for z in (z_i, z_q))
    return np.asarray(np.einsum("si,sq->iq", p_i, p_q) / points.size)


class Linear:
    """A classifier linear in the counts; joint classes are modulation * number of SNRs + SNR.

    Args:
        probabilities: P(cell | class) [classes, cells].
        device: Where the counts will be.
    """

    def __init__(self, probabilities: NDArray[np.float64], device: torch.device | str = "cpu") -> None:
        self._log_p = torch.from_numpy(np.log(probabilities + LEAST)).to(device, torch.float32)

    def predict(self, counts: Tensor) -> Tensor:
        """Joint class [B] of count images [B, bins, bins]."""
        return (counts.flatten(1).to(torch.float32) @ self._log_p.T).argmax(1)


def naive_bayes(frames: Source) -> Linear:
    """The same with probabilities counted from the first training frames of each pair of classes, Laplace's rule."""
    layer = frames.view.layers.index("samples")
    cell = torch.arange(frames.cells, device=frames.device)
    total = torch.zeros(frames.cells, frames.view.bins**2, dtype=torch.float64)
    for number in range(NAIVE_FRAMES):
        counts = frames.batch(cell, torch.full_like(cell, SPLITS["train"] + number)).counts[:, layer]
        total += counts.flatten(1).double().cpu()
    seen = (total + 1.0 / total.shape[1]).numpy()
    return Linear(seen / seen.sum(1, keepdims=True), frames.device)
