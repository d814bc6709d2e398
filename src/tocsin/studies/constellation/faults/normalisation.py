"""Mistakes of batch normalisation."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation


class BatchnormLag(Constellation):
    """BatchNorm with a momentum of 0.001: its running statistics lag behind weights that the peak rate moves fast.

    In PyTorch the momentum is the share of the *new* batch, in other libraries that of the old average: 0.999 there is
    0.001 here, an average over a thousand batches of a network that was another one by then. The batches of training
    are normalised by themselves, so nothing is wrong in training mode.
    """

    momentum = 0.001

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        for module in self.model.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = self.momentum

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """The network with BatchNorm, and half the epochs."""
        network = config.network.model_copy(update={"norm": "batch"})
        training = config.training.model_copy(update={"epochs": 6})
        return config.model_copy(update={"network": network, "training": training})


FAULTS: dict[str, type[Constellation]] = {
    "batchnorm-lag": BatchnormLag,
}
