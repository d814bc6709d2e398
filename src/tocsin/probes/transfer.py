"""Many device scalars to the host in one copy a device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def to_host(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """The values as floats, in order: scalar tensors are stacked and moved once a device.

    Integers above 2^53 lose their low bits.
    """
    found: dict[str, float] = {}
    waiting: dict[torch.device, list[str]] = {}
    for name, value in values.items():
        if not isinstance(value, Tensor):
            found[name] = float(value)
        elif value.device.type == "cpu":
            found[name] = float(value.item())
        else:
            waiting.setdefault(value.device, []).append(name)
    for device, names in waiting.items():
        wide = torch.float32 if device.type == "mps" else torch.float64
        stacked = torch.stack([_scalar(values[name]).to(wide) for name in names])
        found.update(zip(names, stacked.tolist(), strict=True))
    return {name: found[name] for name in values}


def _scalar(value: Tensor | float) -> Tensor:
    return value.detach().reshape(()) if isinstance(value, Tensor) else torch.tensor(value)
