"""One training step: gradients, clipped, and an update that leaves out what is not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tocsin.studies.study import Experiment


def fill_gradients(
    experiment: Experiment,
    optimizer: Optimizer,
    scaler: torch.amp.GradScaler,
    total: Tensor,
    clip_norm: float,
    backward: Callable[[Tensor], Any] = Tensor.backward,
) -> Tensor:
    """Fresh gradients of ``total``, unscaled and clipped to ``clip_norm``; returns their norm before clipping."""
    experiment.model.zero_grad(set_to_none=True)  # of all parameters, also of those that no optimizer holds
    experiment.weighting.zero_grad(set_to_none=True)
    backward(scaler.scale(total))
    experiment.treat_gradients()
    scaler.unscale_(optimizer)
    return nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip_norm)


def update(optimizer: Any, scaler: torch.amp.GradScaler, norm: Tensor) -> bool:
    """Take the optimizer step, unless the gradients are not finite; returns whether it was taken.

    One bad batch then costs one step, and not the run. The loss of that batch was handed to the recorder before: the
    NaN is seen. Under a loss scale it is the scaler that skips, and lowers its scale.
    """
    if not scaler.is_enabled():
        finite = bool(torch.isfinite(norm))
        if finite:
            optimizer.step()
        return finite
    scale = scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()
    return scaler.get_scale() >= scale
