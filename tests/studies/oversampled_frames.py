"""Frames of the oversampled scenario for several tests."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.signal.modulation import NAMES

IDEAL = {"timing": 0.0, "random_phase": False, "carrier_sd": 0.0, "rate_sd": 0.0}


def oversampled(**changes: object) -> Frames:
    """The data set of all 19 modulations, with these settings changed."""
    return Frames(Data(**{"scenario": "oversampled", "modulations": NAMES, **changes}))


def labels(frames: Frames, name: str, count: int, snr: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class numbers and indices of the first ``count`` frames of one class."""
    modulation = torch.full((count,), frames.data.modulations.index(name))
    return modulation, torch.full_like(modulation, snr), torch.arange(count)


def complex_frames(iq: torch.Tensor) -> NDArray[np.complex128]:
    """Frames (B, 2, N) as complex (B, N)."""
    parts = iq.double().numpy()
    return np.asarray(parts[:, 0] + 1j * parts[:, 1])
