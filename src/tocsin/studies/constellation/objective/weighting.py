"""How the losses of several tasks become one total: with fixed weights, learned uncertainties, or multiplied.

Each is a module called with the losses by task (scalars, float32); a term that is no task is not looked at. ``weights``
says how much of each task's gradient is in that of the total. A NaN in a loss is one in the total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from tocsin.studies.constellation.config.objective import Objective

LEAST = 1e-8  # nat; below it a loss is at its end, and its logarithm would outweigh all others


class Weighting(nn.Module):
    """What the weightings have in common: the tasks, and ``weights`` beside ``forward``."""

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The total of scalar losses."""
        raise NotImplementedError

    def weights(self) -> dict[str, float]:
        """The factor of each task's gradient at present."""
        raise NotImplementedError


class FixedWeighting(Weighting):
    """Sum over tasks of weight times loss.

    Args:
        tasks: Names of the loss terms.
        weights: Weight of the tasks that do not weigh 1.
    """

    def __init__(self, tasks: Iterable[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        self.fixed = dict.fromkeys(self.tasks, 1.0) | dict(weights or {})

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted total."""
        return torch.stack([self.fixed[task] * losses[task] for task in self.tasks]).sum()

    def weights(self) -> dict[str, float]:
        """As given."""
        return dict(self.fixed)


class UncertaintyWeighting(Weighting):
    """Total of several classification losses: sum over tasks of exp(-s) L + s / 2, with s = log sigma^2 learned.

    This is the classification form of Kendall, Gal and Cipolla 2018 (equation 10: L / sigma^2 + log sigma); the form
    with 2 sigma^2 belongs to regression. At its fixed point exp(-s) = 1 / (2 L), so a task with a smaller loss weighs
    more: that is arithmetic, no statement about its importance. The log-variances must not be decayed: that would pull
    the weights to 1.

    Args:
        tasks: Names of the loss terms.
    """

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__(tasks)
        self.log_variance = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in self.tasks})

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted total of scalar losses, float32."""
        parts = [torch.exp(-s) * losses[task] + s / 2 for task, s in self.log_variance.items()]
        return torch.stack(parts).sum()

    @torch.no_grad()
    def weights(self) -> dict[str, float]:
        """exp(-s) of each task."""
        return {task: float(torch.exp(-s)) for task, s in self.log_variance.items()}


class GeometricWeighting(Weighting):
    """The geometric mean of the losses: no task can be neglected, and none's unit matters.

    It is what uncertainty weighting comes down to at its fixed point, where the total is the sum of log L / 2 and a
    constant. Losses below ``LEAST`` count as that and have no gradient. Chennupati et al. 2019, MultiNet++.

    Args:
        tasks: Names of the loss terms.
    """

    latest: Tensor

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__(tasks)
        self.register_buffer("latest", torch.ones(len(self.tasks)))

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The geometric mean; in training mode the weights that it came to are kept."""
        values = torch.stack([losses[task] for task in self.tasks]).clamp(min=LEAST)
        total = values.log().mean().exp()
        if self.training:
            self.latest.copy_((total / (len(self.tasks) * values)).detach())
        return total

    def weights(self) -> dict[str, float]:
        """Total / (n L) of each of n tasks, its derivative, at the latest training batch; 1 before the first."""
        return dict(zip(self.tasks, self.latest.tolist(), strict=True))


def weighting_of(settings: Objective, tasks: Iterable[str]) -> Weighting:
    """The weighting that the settings name, for these tasks."""
    if settings.weighting == "fixed":
        return FixedWeighting(tasks, {"snr": settings.snr_weight})
    return {"kendall": UncertaintyWeighting, "geometric": GeometricWeighting}[settings.weighting](tasks)
