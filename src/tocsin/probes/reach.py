"""Whether a module whose tensors get no gradient takes part in training forwards: unused, or cut off behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tocsin.probes.hook import Hook, Meter
from tocsin.probes.normalisation import uncompiled

MOST_MODULES = 64


class Reach:
    """On sampled steps, hooks on the modules of the tensors that the window before found without gradient."""

    def __init__(self, model: nn.Module, meter: Meter) -> None:
        self.model = model
        self.meter = meter
        self._suspects: frozenset[str] = frozenset()
        self._ran: dict[str, float] = {}
        self._handles: list[Any] = []

    def note(self, host: Mapping[str, float]) -> None:
        """Remember the modules of the tensors without gradient, by the values of a window."""
        counts = {name.removeprefix("grad/count/"): n for name, n in host.items() if name.startswith("grad/count/")}
        if counts:
            without = (name for name, n in counts.items() if n == 0 or host.get(f"grad/norm/{name}") == 0)
            self._suspects = frozenset(name.rpartition(".")[0] for name in without)

    def arm(self) -> None:
        """Hook the suspects, the model itself left out: it always runs."""
        self.disarm()
        self._ran.clear()
        if not self._suspects:
            return
        found = [(name, m) for name, m in uncompiled(self.model) if name and name in self._suspects]
        for name, module in found[:MOST_MODULES]:
            self._ran[name] = 0.0
            self._handles.append(module.register_forward_pre_hook(Hook("reach", self.meter, self._taker(name))))

    def disarm(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def read(self) -> dict[str, float]:
        """1 for each hooked module that ran with gradients enabled, 0 for the others; the hooks are gone then."""
        self.disarm()
        found, self._ran = {f"module/ran/{name}": ran for name, ran in self._ran.items()}, {}
        return found

    def _taker(self, name: str) -> Any:
        def take(*_: Any) -> None:
            if torch.is_grad_enabled() and name in self._ran:
                self._ran[name] = 1.0

        return take
