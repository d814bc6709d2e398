"""The scenarios by name, and what each of them can do."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.signal import oversampled, synchronous
from tocsin.studies.constellation.signal.truth import Truth

GENERATORS = {"synchronous": synchronous.GENERATOR, "oversampled": oversampled.GENERATOR}


class Scenario(Protocol):
    """Makes the frames of keys [B] and modulation classes [B]."""

    def symbols(self, modulation: Tensor, keys: Tensor) -> Tensor:
        """Symbol numbers int64 [B, K]."""

    def noise_words(self, keys: Tensor) -> Tensor:
        """Random words int64 [B, N] that the noise is made from."""

    def signal(self, modulation: Tensor, keys: Tensor) -> Tensor:
        """Frames without noise, float32 [B, 2, N]."""

    def iq(self, modulation: Tensor, keys: Tensor, snr_db: Tensor) -> Tensor:
        """Received frames, float32 [B, 2, N]."""

    def truth(self, modulation: Tensor, keys: Tensor, snr_db: Tensor) -> Truth:
        """What the frames were made of."""


def scenario(data: Data, device: torch.device) -> Scenario:
    """The one that the settings name."""
    if data.scenario == "oversampled":
        return oversampled.Oversampled(data, device)
    return synchronous.Synchronous(data, device)
