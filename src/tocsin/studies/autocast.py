"""bfloat16 in the network alone: its losses, which are outside of it, stay in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class UnderAutocast(nn.Module):
    """A network that computes under bfloat16 autocast; it must answer in float32 itself.

    Fabric's own mixed precision does the same, but forbids every backward pass that is not its own: also those by which
    the recorder and preflight take the gradient of a single term.

    Args:
        model: The network, in float32.
        device: Type of its device, e.g. ``cuda``.
    """

    def __init__(self, model: nn.Module, device: str) -> None:
        super().__init__()
        self.model = model
        self.device = device

    def forward(self, *inputs: Any) -> Any:
        """What the network says of the inputs."""
        with torch.autocast(self.device, dtype=torch.bfloat16):
            return self.model(*inputs)


def in_precision(model: nn.Module, precision: str, device: str) -> nn.Module:
    """The model as it is called in this precision; without ``bfloat16`` the model itself."""
    return UnderAutocast(model, device) if precision == "bfloat16" else model
