"""Wrappers that frameworks put round a model or an optimizer: hooks belong on what is inside.

Told by the names of their classes, so that no framework is imported. torch's step hooks are called with the optimizer
inside, and names of parameters are the user's only there.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

_MODULES = {"_FabricModule": "module", "DistributedDataParallel": "module"}
_OPTIMIZERS = {"_FabricOptimizer", "AcceleratedOptimizer", "LightningOptimizer"}


def inner_module(module: nn.Module) -> nn.Module:
    """The user's own module."""
    for name in _names(module):
        if name in _MODULES:
            inner = getattr(module, _MODULES[name], None)
            return inner_module(inner) if isinstance(inner, nn.Module) else module
    return module


def inner_optimizer(optimizer: Optimizer) -> Optimizer:
    """The optimizer that steps."""
    inner = getattr(optimizer, "optimizer", None) if _OPTIMIZERS.intersection(_names(optimizer)) else None
    return inner_optimizer(inner) if isinstance(inner, Optimizer) else optimizer


def _names(wrapped: Any) -> list[str]:
    return [kind.__name__ for kind in type(wrapped).__mro__]
