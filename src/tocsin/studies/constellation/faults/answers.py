"""Mistakes in how the answer is taken from the network."""

from __future__ import annotations

import torch

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.model.heads import Raw


class ConstantSnrHead(Constellation):
    """A mask of the SNR classes in use, built from one frame instead of the data set, is applied when predicting."""

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        first = next(self.batches(1)).snr[:1]  # meant: every class that occurs in training
        self.in_use = torch.zeros(len(config.data.snr_db), dtype=torch.bool, device=device).index_fill(0, first, True)

    def decide(self, said: Raw) -> Raw:
        """Classes that are not in use are ruled out."""
        lowest = torch.finfo(said["snr"].dtype).min
        return {**said, "snr": said["snr"].masked_fill(~self.in_use, lowest)}


FAULTS: dict[str, type[Constellation]] = {
    "constant-snr-head": ConstantSnrHead,
}
