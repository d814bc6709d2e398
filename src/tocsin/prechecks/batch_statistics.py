"""How far the statistics of one batch, and the running ones, are from those of all batches, per BatchNorm layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tocsin.prechecks.answers import answer, hooked
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import SetupError


@dataclass
class Layer:
    """One BatchNorm layer over the first batches, each [batches, channels] float64."""

    name: str
    module: _BatchNorm
    means: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)
    running: tuple[Tensor, Tensor] | None = None
    values: int = 0

    @property
    def momentum(self) -> float | None:
        """Weight of the newest batch in the running statistics; None for the mean of all batches."""
        return self.module.momentum

    @property
    def loaded(self) -> bool:
        """Whether the running statistics are of some training."""
        tracked = self.module.num_batches_tracked
        return tracked is not None and int(tracked) > len(self.means)  # this look has counted itself

    def apart(self) -> list[float]:
        """For each batch: g against the mean of the others, in sd of the output."""
        means, variances = torch.stack(self.means), torch.stack(self.variances)
        k = len(means)
        rest_mean = (means.sum(0) - means) / (k - 1)
        rest_var = (variances.sum(0) - variances) / (k - 1) + _between(means, rest_mean)
        return [_lag(m, v, M, V) for m, v, M, V in zip(means, variances, rest_mean, rest_var, strict=True)]

    def behind(self) -> list[float]:
        """For each batch: g against the running statistics."""
        if self.running is None:
            return []
        M, V = self.running
        return [_lag(m, v, M, V) for m, v in zip(self.means, self.variances, strict=True)]


def _between(means: Tensor, rest: Tensor) -> Tensor:
    """Variance of the other batches' means about their own mean."""
    k = len(means)
    squares = (means.square().sum(0) - means.square()) / (k - 1)
    return (squares - rest.square()).clamp_min(0.0)


def _lag(m: Tensor, v: Tensor, M: Tensor, V: Tensor) -> float:
    """sqrt(mean over channels of (s/S - 1)^2 + ((m - M)/S)^2); channels that never vary say nothing."""
    S, s = V.clamp_min(0).sqrt(), v.clamp_min(0).sqrt()
    alive = (S > 1e-6) & (s > 1e-6)
    if not bool(alive.any()):
        return float("nan")
    squares = (s[alive] / S[alive] - 1).square() + ((m[alive] - M[alive]) / S[alive]).square()
    return float(squares.mean().sqrt())


def layers(bench: Bench) -> list[Layer]:
    """The BatchNorm layers that the first batches go through in train mode, with what each batch has there."""
    found = {m: Layer(name, m) for name, m in bench.model.named_modules() if isinstance(m, _BatchNorm)}

    def seen(module: Any, args: Any) -> None:
        x = args[0].detach().double()
        over = [d for d in range(x.dim()) if d != 1]
        layer = found[module]
        if not layer.means and module.running_mean is not None:
            layer.running = tuple(t.detach().double().cpu().clone() for t in (module.running_mean, module.running_var))
        layer.means.append(x.mean(over).cpu())
        layer.variances.append(x.var(over, correction=0).cpu())
        layer.values = x.numel() // x.shape[1]

    hooks = [m.register_forward_pre_hook(seen) for m in found]
    bench.model.train()
    with hooked(*hooks), torch.enable_grad():
        for batch in bench.train:
            try:
                answer(bench, batch)
            except SetupError:  # one value a channel: the loader's last batch, say
                continue
    return [layer for layer in found.values() if len(layer.means) > 1]
