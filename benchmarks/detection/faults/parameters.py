"""Parameters that do not train."""

from __future__ import annotations

from torch import nn

from detection.training import Training
from detection.variants import fault


@fault(
    "left-out-of-optimizer",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "constellation"),
    expects="OPT001",
    why="the encoder gets gradients and no optimizer holds it: OPT001 names exactly this",
)
class LeftOut(Training):
    """The optimizer was given the heads only."""

    def trained(self) -> list[nn.Parameter]:
        return list(self.model.heads.parameters())
