"""Outputs of activation modules, on sampled steps, in the first training forward.

Hooks are put on for a sampled step and taken off after it, never on a module that is compiled: one added there would
not fire, and would cost a recompilation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tocsin.probes import measures
from tocsin.probes.hook import Hook, Meter
from tocsin.probes.normalisation import NormalisationLag, uncompiled
from tocsin.probes.walking import modules

MOST_MODULES = 32
MOST_ENTRIES = 2**16  # looked at of as many samples as that is; for dead units, of no fewer than LEAST_ROWS
FEW_PLACES = 128
LEAST_ROWS = 16  # fewer, and a living unit is often silent in all of them
EDGE = 0.01  # of the range: so near a bound counts as saturated
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softsign,
)  # fmt: skip


RECTIFIERS = (nn.ReLU, nn.ReLU6)


class Activations:
    """What the activation modules put out (at most ``MOST_MODULES``), and the lag of batch normalisation.

    Root mean square and share of exact zeros of each; the share of dead units of those that cut at 0; the share of
    saturated outputs of those with two bounds.
    """

    def __init__(self, model: nn.Module, meter: Meter) -> None:
        self.model = model
        self.meter = meter
        self._handles: list[Any] = []
        self._values: dict[str, Tensor | float] = {}
        self._lags = NormalisationLag(model, meter)
        self._sizes: tuple[set[int], set[int]] | None = None
        self._parts = 0

    @property
    def armed(self) -> bool:
        """Whether hooks are on."""
        return bool(self._handles) or self._lags.armed

    def arm(self) -> None:
        """Hook the activation modules for the next training forward."""
        self.disarm()
        self._values = {}
        walked = uncompiled(self.model)
        if len(walked) != self._parts:
            self._parts, self._sizes = len(walked), None
        found = [(name, m) for name, m in walked if isinstance(m, ACTIVATIONS)]
        for name, module in found[:: max(1, -(-len(found) // MOST_MODULES))]:
            hook = Hook("activations", self.meter, self._taker(name, module))
            self._handles.append(module.register_forward_hook(hook))
        self._lags.arm()

    def disarm(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._lags.disarm()

    def read(self) -> dict[str, Tensor | float]:
        """What the window saw; the hooks are gone afterwards."""
        self.disarm()
        return self._values | self._lags.read()

    def _taker(self, name: str, mine: nn.Module) -> Any:
        def take(module: nn.Module, _args: Any, output: Any) -> None:
            if torch.compiler.is_compiling() or module is not mine or not torch.is_grad_enabled():
                return
            if isinstance(output, Tensor) and output.numel() and f"act/rms/{name}" not in self._values:
                self._values[f"act/rms/{name}"] = measures.rms(first_samples(output))
                self._values[f"act/zero_frac/{name}"] = measures.zero_frac(output)
                self._values |= self._limits(name, mine, output)

        return take

    def _limits(self, name: str, module: nn.Module, output: Tensor) -> dict[str, Tensor | float]:
        """How much of the output is stuck at a limit of the function."""
        if isinstance(module, RECTIFIERS) and output.dim() > 1:
            self._sizes = self._sizes or unit_counts(self.model)
            axis = unit_axis(output, *self._sizes)
            if output.numel() >= LEAST_ROWS * output.shape[axis]:
                return {f"act/dead_frac/{name}": dead_frac(output, axis)}
        elif (limits := bounds(module)) is not None:
            return {f"act/saturated_frac/{name}": saturated_frac(output, *limits)}
        return {}


def first_samples(output: Tensor) -> Tensor:
    """The first samples of a batch, about ``MOST_ENTRIES`` entries, but no fewer than ``LEAST_ROWS``."""
    if output.dim() < 2 or output.numel() <= MOST_ENTRIES:
        return output.detach()
    return output.detach()[: max(LEAST_ROWS, MOST_ENTRIES * output.shape[0] // output.numel())]


def dead_frac(output: Tensor, axis: int) -> Tensor:
    """Share of the units along ``axis`` of a rectifier's output that are exactly 0 everywhere else."""
    axis %= output.dim()
    units = first_samples(output) if axis else output.detach()
    if axis and units.dim() > 2 and units[0, 0].numel() < FEW_PLACES:
        units, axis = units.amax(dim=0), axis - 1  # over the samples first: many times as fast as all axes at once
    return (units.amax(dim=[d for d in range(units.dim()) if d != axis]) == 0).float().mean()


def saturated_frac(output: Tensor, low: float, high: float) -> Tensor:
    """Share of entries within ``EDGE`` of the range of ``low`` or ``high``, on a strided sample."""
    entries, edge = measures.strided(output, measures.SHARE_ENTRIES), EDGE * (high - low)
    return (entries <= low + edge).logical_or(entries >= high - edge).float().mean()


def bounds(module: nn.Module) -> tuple[float, float] | None:
    """The two values that this activation cannot leave; None where it has no two."""
    if isinstance(module, nn.Hardtanh) and not isinstance(module, nn.ReLU6):
        return float(module.min_val), float(module.max_val)
    if isinstance(module, nn.Tanh | nn.Softsign):
        return -1.0, 1.0
    return (0.0, 1.0) if isinstance(module, nn.Sigmoid | nn.Hardsigmoid) else None


def unit_counts(model: nn.Module) -> tuple[set[int], set[int]]:
    """Numbers of channels that convolutions put out or take in, and of features that linear layers do."""
    channels, features = set[int](), set[int]()
    for _, module in modules(model):
        if isinstance(module, nn.modules.conv._ConvNd):
            channels |= {module.out_channels, module.in_channels}
        elif isinstance(module, nn.Linear):
            features |= {module.out_features, module.in_features}
    return channels, features


def unit_axis(output: Tensor, channels: set[int], features: set[int]) -> int:
    """The axis of a batch that counts units: 1 of an image, the last of a sequence, as the model's layers have it."""
    first, last = output.shape[1] in channels, output.shape[-1] in features
    if output.dim() < 3 or first == last:
        return 1 if output.dim() > 3 else -1
    return 1 if first else -1
