"""What is attainable: the Bayes classifier of the image itself, with no training.

At one sample a symbol the samples of a frame are independent, so the log-likelihood of a class is linear in the counts
of the image: sum over cells of count * log P(cell | modulation, SNR), where P is a mixture, over the symbols, of
products of two Gaussian cell probabilities. With flat priors its argmax is the best that any network can do on the
image, up to the jitter that normalising by the frame's own power adds (P is taken at the ensemble's power).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies.constellation.config import Data, View
from tocsin.studies.constellation.modulation import constellation


def cell_probabilities(modulation: str, snr_db: float, bins: int, extent: float) -> NDArray[np.float64]:
    """P(cell | modulation, SNR) [bins, bins], I along the rows; samples out of range belong to the border cells."""
    points, noise = constellation(modulation), 10.0 ** (-snr_db / 10)
    scale = math.sqrt(1.0 + noise)  # root mean square amplitude of the ensemble
    edges = np.linspace(-extent, extent, bins + 1) * scale
    edges[0], edges[-1] = -np.inf, np.inf
    z_i, z_q = ((edges[None, :] - part[:, None]) / math.sqrt(noise) for part in (points.real, points.imag))
    p_i, p_q = (np.diff(torch.special.erf(torch.from_numpy(z)).numpy() / 2, axis=1) for z in (z_i, z_q))
    return np.asarray(np.einsum("si,sq->iq", p_i, p_q) / points.size)


class BayesOracle:
    """The linear Bayes classifier of the counts; joint classes are modulation * number of SNRs + SNR."""

    def __init__(self, data: Data, view: View, device: torch.device | str = "cpu") -> None:
        tables = [
            cell_probabilities(name, snr, view.bins, view.extent).reshape(-1)
            for name in data.modulations
            for snr in data.snr_db
        ]
        # A cell that the model gives probability 0 in double precision would veto a class for one stray sample.
        floor = 1e-12
        self._log_p = torch.from_numpy(np.log(np.stack(tables) + floor)).to(device, torch.float32)

    def predict(self, counts: Tensor) -> Tensor:
        """Joint class [B] of count images [B, bins, bins]."""
        return (counts.flatten(1).to(torch.float32) @ self._log_p.T).argmax(1)
