"""Mistakes in choosing the checkpoint."""

from __future__ import annotations

import torch

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.study import Evaluate


class WeightedSelection(Constellation):
    """The checkpoint is chosen by the sum of the losses times their learned weights, which says nothing of quality.

    Uncertainty weighting drives each weight to 1 / (2 L), so that the sum comes to 1/2 a task however good the network
    is. It is lowest where the losses fall faster than the weights follow: early.
    """

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        self.selection = "val/weighted_loss"

    def evaluate(self, split: str, record: Evaluate) -> dict[str, float]:
        """The metrics, and that sum beside them."""
        found = super().evaluate(split, record)
        weighted = sum(weight * found[f"{split}/loss/{task}"] for task, weight in self.weights().items())
        return {**found, f"{split}/weighted_loss": weighted}


FAULTS: dict[str, type[Constellation]] = {
    "weighted-selection": WeightedSelection,
}
