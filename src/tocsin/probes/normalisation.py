"""How far the running statistics of batch normalisation lag behind the batches.

Hooks run before the forward, so the running statistics are read as they stood before it moved them. The first training
forward after an evaluation shows them with the very weights that were evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from tocsin.probes.hook import Hook, Meter
from tocsin.probes.walking import modules

MOST_MODULES = 32
MOST_ENTRIES = 1 << 20
Values = dict[str, Tensor | float]
Emit = Callable[[str, Values], None]
SETTLED_BATCHES = 8  # a cumulative average (momentum=None) of fewer batches is noise


class NormalisationLag:
    """Distance of the outputs by running and by batch statistics, at most ``MOST_MODULES`` modules.

    Args:
        model: The watched model.
        meter: Times the hooks.
        emit: Takes the mode and the value of each module; without it, ``read`` gives them.
    """

    def __init__(self, model: nn.Module, meter: Meter, emit: Emit | None = None) -> None:
        self.model = model
        self.meter = meter
        self.emit = emit
        self._handles: dict[str, Any] = {}
        self._values: Values = {}

    @property
    def armed(self) -> bool:
        """Whether hooks are on."""
        return bool(self._handles)

    def arm(self, mode: str = "train") -> None:
        """Hook the batch normalisations for the next forward of this mode."""
        self.disarm()
        self._values = {}
        found = [(name, m) for name, m in uncompiled(self.model) if isinstance(m, _BatchNorm) and _tracks(m)]
        for name, module in found[:: max(1, -(-len(found) // MOST_MODULES))]:
            hook = Hook("normalisation lag", self.meter, self._taker(name, module, mode))
            self._handles[name] = module.register_forward_pre_hook(hook)

    def disarm(self) -> None:
        """Remove the hooks."""
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()

    def read(self) -> Values:
        """What the window saw; the hooks are gone afterwards."""
        self.disarm()
        return self._values

    def _taker(self, name: str, mine: _BatchNorm, mode: str) -> Any:
        key = f"norm/lag/{name}" if mode == "train" else f"norm/eval_lag/{name}"

        def take(module: nn.Module, args: Any) -> None:
            trains = mode == "train"
            if (
                module is not mine
                or not mine.training == torch.is_grad_enabled() == trains
                or name not in self._handles
            ):
                return
            self._handles.pop(name).remove()
            if args and isinstance(args[0], Tensor) and args[0].dim() > 1 and args[0].numel():
                self._take(mode, key, _settled(mine, lag(args[0], mine)))

        return take

    def _take(self, mode: str, key: str, value: Tensor) -> None:
        if self.emit is None:
            self._values[key] = value
        else:
            self.emit(mode, {key: value})


def uncompiled(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The named modules that no ``torch.compile`` stands on or above: a hook added there would not fire."""
    compiled: list[str] = []
    found: list[tuple[str, nn.Module]] = []
    for name, module in modules(model):
        if is_compiled(module) or any(name.startswith(f"{above}.") or not above for above in compiled):
            compiled.append(name)
        else:
            found.append((name, module))
    return found


def is_compiled(module: nn.Module) -> bool:
    """Whether ``torch.compile`` or ``Module.compile`` stands on this module itself."""
    wraps = "_orig_mod" in module._modules or "_orig_mod" in module.__dict__
    return wraps or getattr(module, "_compiled_call_impl", None) is not None


def lag(batch: Tensor, norm: _BatchNorm) -> Tensor:
    """RMS over channels of (by running - by batch statistics), in standard deviations of the output; a scalar.

    With the batch's mean m and variance v, the running ones M and V: the output by batch statistics z has variance
    v / (v + eps); by running ones it is z sqrt((v + eps) / (V + eps)) + (m - M) / sqrt(V + eps).
    """
    with torch.no_grad():
        wide = _thinned(batch.detach())
        wide = wide.float() if wide.dtype in (torch.float16, torch.bfloat16) else wide
        over = [d for d in range(wide.dim()) if d != 1]
        var, mean = torch.var_mean(wide, dim=over, correction=0)
        known_mean, known_var = norm.running_mean, norm.running_var
        assert known_mean is not None  # noqa: S101 (for the type checker: only tracking modules are hooked)
        assert known_var is not None  # noqa: S101
        scale = (known_var + norm.eps).sqrt()
        stretch = ((var + norm.eps).sqrt() / scale - 1).square() * var / (var + norm.eps)
        shift = ((mean - known_mean) / scale).square()
        distance: Tensor = (stretch + shift).mean().sqrt()
    return distance


def _settled(norm: _BatchNorm, value: Tensor) -> Tensor:
    """``value``, or NaN while a cumulative average has seen too few batches."""
    seen = norm.num_batches_tracked
    if norm.momentum is not None or seen is None:
        return value
    return torch.where(seen >= SETTLED_BATCHES, value, torch.nan)


def _thinned(batch: Tensor) -> Tensor:
    """All samples and channels of a batch, at every k-th place of the first spatial axis where it is large."""
    return batch[:, :, :: -(-batch.numel() // MOST_ENTRIES)] if batch.dim() > 2 else batch


def _tracks(norm: _BatchNorm) -> bool:
    statistics = (norm.running_mean, norm.running_var)
    return all(s is not None and not is_lazy(s) and s.device.type != "meta" for s in statistics)
