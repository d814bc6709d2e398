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

MOST_MODULES = 32
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softsign,
)  # fmt: skip


class Activations:
    """Root mean square and share of exact zeros of each activation module's output, at most ``MOST_MODULES``."""

    def __init__(self, model: nn.Module, meter: Meter) -> None:
        self.model = model
        self.meter = meter
        self._handles: list[Any] = []
        self._values: dict[str, Tensor | float] = {}

    @property
    def armed(self) -> bool:
        """Whether hooks are on."""
        return bool(self._handles)

    def arm(self) -> None:
        """Hook the activation modules for the next training forward."""
        self.disarm()
        self._values = {}
        if is_compiled(self.model):
            return
        found = [(name, m) for name, m in self.model.named_modules() if isinstance(m, ACTIVATIONS)]
        for name, module in found[:: max(1, -(-len(found) // MOST_MODULES))]:
            if not _inside_compiled(self.model, name):
                hook = Hook("activations", self.meter, self._taker(name, module))
                self._handles.append(module.register_forward_hook(hook))

    def disarm(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def read(self) -> dict[str, Tensor | float]:
        """What the window saw; the hooks are gone afterwards."""
        self.disarm()
        return self._values

    def _taker(self, name: str, mine: nn.Module) -> Any:
        def take(module: nn.Module, _args: Any, output: Any) -> None:
            if torch.compiler.is_compiling() or module is not mine or not torch.is_grad_enabled():
                return
            if isinstance(output, Tensor) and output.numel() and f"act/rms/{name}" not in self._values:
                self._values[f"act/rms/{name}"] = measures.rms(output)
                self._values[f"act/zero_frac/{name}"] = measures.zero_frac(output)

        return take


def is_compiled(module: nn.Module) -> bool:
    """Whether ``torch.compile`` or ``Module.compile`` stands on this module itself."""
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None


def _inside_compiled(model: nn.Module, name: str) -> bool:
    parts = name.split(".")
    return any(is_compiled(model.get_submodule(".".join(parts[:k]))) for k in range(1, len(parts) + 1))
