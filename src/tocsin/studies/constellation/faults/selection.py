"""Mistakes in choosing the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.objective.weighting import UncertaintyWeighting
from tocsin.studies.study import Evaluate


class _FastUncertainty(UncertaintyWeighting):
    """Log-variances that learn ten times as fast as the network, as they often do: the parameters are tenths of them.

    That alone is no mistake. The weights then stay close to 1 / (2 L).
    """

    speed = 10.0

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted total of scalar losses, float32."""
        variances = {task: self.speed * s for task, s in self.log_variance.items()}
        return torch.stack([torch.exp(-s) * losses[task] + s / 2 for task, s in variances.items()]).sum()

    @torch.no_grad()
    def weights(self) -> dict[str, float]:
        """exp(-s) of each task."""
        return {task: float(torch.exp(-self.speed * s)) for task, s in self.log_variance.items()}


class WeightedSelection(Constellation):
    """The checkpoint is chosen by the sum of the losses times their learned weights, which says nothing of quality.

    Uncertainty weighting drives each weight to 1 / (2 L), so that the sum comes to 1/2 a task however good the network
    is. It is lowest where the losses fall faster than the weights follow: early.
    """

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        self.weighting = _FastUncertainty(self.tasks.terms_named).to(device)
        self.selection = "val/weighted_loss"

    def evaluate(self, split: str, record: Evaluate) -> dict[str, float]:
        """The metrics, and that sum beside them."""
        found = super().evaluate(split, record)
        weighted = sum(weight * found[f"{split}/loss/{task}"] for task, weight in self.weights().items())
        return {**found, f"{split}/weighted_loss": weighted}


FAULTS: dict[str, type[Constellation]] = {
    "weighted-selection": WeightedSelection,
}
