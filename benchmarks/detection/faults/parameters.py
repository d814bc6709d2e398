"""Parameters that do not train."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detection.training import Net, Training
from detection.variants import fault


@fault(
    "left-out-of-optimizer",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "constellation", "wine"),
    expects="OPT001",
    why="the encoder gets gradients and no optimizer holds it: OPT001 names exactly this",
)
class LeftOut(Training):
    """The optimizer was given the heads only."""

    def trained(self) -> list[nn.Parameter]:
        return list(self.model.heads.parameters())


@fault(
    "frozen-layer",
    tasks=("digits-mlp", "cancer", "chars", "autoencoder", "constellation"),
    expects="OPT001",
    why="a layer that requires gradients never changes: OPT001 names exactly this",
)
class FrozenLayer(Training):
    """The first layer was frozen while the optimizer was built, and thawed afterwards."""

    def trained(self) -> list[nn.Parameter]:
        first = next(m for m in self.model.encoder.modules() if list(m.parameters(recurse=False)))
        first.requires_grad_(False)
        chosen = super().trained()
        first.requires_grad_(True)
        return chosen


class Detach(nn.Module):
    """Cuts the graph."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


@fault(
    "detached-branch",
    tasks=("digits-mlp", "chars", "diabetes", "autoencoder", "constellation"),
    expects="OPT002 OPT001",
    why="no gradient path to the encoder (OPT002), whose tensors therefore never change (OPT001 says why they do not)",
)
class DetachedBranch(Training):
    """The features are detached before they go to the heads."""

    def build(self) -> Net:
        net = super().build()
        net.encoder.append(Detach())
        return net


@fault(
    "detached-loss",
    tasks=("digits-mlp", "cancer", "diabetes", "wine"),
    expects="OBJ007 OPT002 OPT001",
    why="the total itself has no path: as a term (OBJ007), as parameters without gradient (OPT002), as frozen ones",
)
class DetachedLoss(Training):
    """The loss goes through a plain number and becomes a new leaf, so backward runs and reaches nothing."""

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        return torch.tensor(super().total(terms).item(), requires_grad=True)
