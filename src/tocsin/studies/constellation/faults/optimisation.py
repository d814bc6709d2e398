"""Mistakes in the optimizer and the learning rate."""

from __future__ import annotations

from typing import Any

import torch

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults.one_snr_head import with_one_snr_head


class FrozenBackbone(Constellation):
    """The backbone was frozen when the optimizer was built and thawed afterwards: it gets gradients and no steps."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of what required a gradient at that moment."""
        backbone: torch.nn.Module = self.model.get_submodule("backbone")
        backbone.requires_grad_(False)
        groups = super().parameter_groups()
        backbone.requires_grad_(True)
        return groups


class LrBottleneck(Constellation):
    """An SNR head through a bottleneck of 64, AdamW at a rate of 0.3, as SGD takes, and hardly a warm-up.

    The first steps replace the weights by others ten times their size. Every frame then gets one SNR, another one at
    each evaluation, while the modulation is still learned a little. With a warm-up of a fifth of the run the SNR is
    half learned; at a rate of 0.05 all is well, whatever the width.
    """

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """One SNR head through the bottleneck, that rate, and the rise within one step in a hundred."""
        config = with_one_snr_head(config)
        network = config.network.model_copy(update={"snr_head": "bottleneck", "bottleneck": 64})
        training = config.training.model_copy(update={"peak_lr": 0.3, "warmup_frac": 0.01})
        return config.model_copy(update={"network": network, "training": training})


FAULTS: dict[str, type[Constellation]] = {
    "frozen-backbone": FrozenBackbone,
    "lr-bottleneck": LrBottleneck,
}
