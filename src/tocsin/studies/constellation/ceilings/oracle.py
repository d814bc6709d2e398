"""The Bayes classifier of an image of independent samples, where frames are divided by a power of their own.

Given what a frame was divided by, the log-likelihood of a class is linear in the counts of its image (``baselines``).
A frame's own power jitters about the ensemble's: by 1 % in amplitude for 1,024 symbols of 64QAM, a tenth of a cell at
the rim of the image, which is more than the noise at 30 dB. So the likelihood is averaged over the jitter, normal by
the central limit theorem, at the nodes of Gauss and Hermite. A classifier that takes the ensemble's power for each
frame's loses a tenth of the frames at 30 dB (joint accuracy .800 instead of .815 over the quick data set).

Shapes: B frames, K nodes, C joint classes, modulation * number of SNRs + SNR.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies.constellation.ceilings.baselines import LEAST, cell_probabilities
from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.signal.modulation import Points

NODES = 9  # with 5, joint accuracy is lower by .0015; with 1, by .015


def has_oracle(data: Data, view: View) -> bool:
    """Whether the Bayes classifier of the image is known in closed form: independent samples, all in one layer."""
    return data.scenario == "synchronous" and "samples" in view.layers


class Oracle:
    """The best classifier of images of independent samples, with flat priors.

    Args:
        data: Classes and samples a frame; the synchronous scenario.
        view: Bins, extent, and whether frames are divided by their own power (``sample``), or by none that jitters.
        device: Where the counts will be.
    """

    def __init__(self, data: Data, view: View, device: torch.device | str = "cpu") -> None:
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES if view.power == "sample" else 1)
        log_p = [np.log(table + LEAST) for table in (_tables(data, view, float(node)) for node in nodes)]
        self._log_p = torch.from_numpy(np.stack(log_p)).to(device, torch.float32)
        self._log_weight = torch.from_numpy(np.log(weights)).to(device, torch.float32)

    def predict(self, counts: Tensor) -> Tensor:
        """Joint class [B] of count images [B, bins, bins]."""
        each = torch.einsum("bn,kcn->kbc", counts.flatten(1).to(torch.float32), self._log_p)
        return (each + self._log_weight[:, None, None]).logsumexp(0).argmax(1)


def _tables(data: Data, view: View, node: float) -> NDArray[np.float64]:
    """P(cell | class) [C, cells] where all frames' power is ``node`` deviations off the ensemble's."""
    made = []
    for name in data.modulations:
        points = data.constellation(name)
        for snr in data.snr_db:
            scale = 1.0 if view.power == "none" else math.sqrt(1 + 10 ** (-snr / 10))
            scale *= 1 + node * amplitude_jitter(points, snr, data.samples)
            made.append(cell_probabilities(points, snr, view.bins, view.extent, scale).reshape(-1))
    return np.stack(made)


def amplitude_jitter(points: Points, snr_db: float, samples: int) -> float:
    """Relative standard deviation of a frame's root mean square amplitude.

    Half of that of the mean of |s + n|^2, whose variance is E|s|^4 - 1 + 2 v + v^2 a sample, at E|s|^2 = 1 and noise
    power v.

    Args:
        points: Symbols of unit mean power [order].
        snr_db: SNR of a sample [dB].
        samples: Samples a frame, each a symbol.
    """
    v = 10 ** (-snr_db / 10)
    variance = float((np.abs(points) ** 4).mean()) - 1 + 2 * v + v * v
    return math.sqrt(variance / samples) / (1 + v) / 2
