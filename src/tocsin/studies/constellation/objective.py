"""Two cross-entropies, weighted by learned uncertainties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class UncertaintyWeighting(nn.Module):
    """Total of several classification losses: sum over tasks of exp(-s) L + s / 2, with s = log sigma^2 learned.

    This is the classification form of Kendall, Gal and Cipolla 2018 (equation 10: L / sigma^2 + log sigma); the form
    with 2 sigma^2 belongs to regression. At its fixed point exp(-s) = 1 / (2 L), so a task with a smaller loss weighs
    more: that is arithmetic, no statement about its importance.

    Args:
        tasks: Names of the loss terms.
    """

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in tasks})

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted total of scalar losses, float32."""
        parts = [torch.exp(-s) * losses[task] + s / 2 for task, s in self.log_variance.items()]
        return torch.stack(parts).sum()

    @torch.no_grad()
    def weights(self) -> dict[str, float]:
        """exp(-s) of each task."""
        return {task: float(torch.exp(-s)) for task, s in self.log_variance.items()}
